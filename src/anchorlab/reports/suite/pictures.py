"""Pictures and texts on the page of a suite: inputs whose prediction changed, and examples of triggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import torch
from torch import Tensor

from anchorlab.metrics import METRICS
from anchorlab.reports.html import picture_uri
from anchorlab.reports.suite.figures import triggered_examples
from anchorlab.reports.suite.settings import slugs_of
from anchorlab.reports.suite.summary import ChangedInstance, Condition
from anchorlab.suites.examples import Examples
from anchorlab.suites.results import SuiteResults


@dataclass(frozen=True)
class Picture:
    """A picture, or a text, with its words."""

    uri: str
    words: Sequence[str]
    text: str = ""


@dataclass(frozen=True)
class Pair:
    """A clean and a triggered picture; or a triggered text in parts, each with whether it is the trigger."""

    words: str
    clean: str = ""
    triggered: str = ""
    parts: Sequence[tuple[str, bool]] = ()


class Pictures:
    """Every picture of the test splits that the page needs, read once for each task because data are slow to open."""

    def __init__(self, results: SuiteResults, conditions: Sequence[Condition]) -> None:
        rows: dict[str, set[int]] = {}
        for condition in conditions:
            for group in condition.groups:
                for instances in group.changed.values():
                    rows.setdefault(condition.setting.task, set()).update(instance.row for instance in instances)
        self._rows = {task: sorted(wanted) for task, wanted in rows.items()}
        self._examples = {task: results.pictures(task, wanted) for task, wanted in self._rows.items() if wanted}

    def of(self, task: str, changed: Sequence[ChangedInstance]) -> list[Picture]:
        """Pictures with their words; words alone where the pictures are not at hand."""
        examples = self._examples.get(task)
        pictures = []
        for instance in changed:
            true, reference, candidate = (
                str(label) if examples is None else examples.classes[label]
                for label in (instance.label, instance.reference, instance.candidate)
            )
            all_agree = instance.agreeing == instance.runs
            runs = "" if all_agree else f" (in {instance.agreeing} of {instance.runs} runs)"
            clean = None if examples is None else examples.clean[self._rows[task].index(instance.row)]
            uri, text = (picture_uri(clean), "") if isinstance(clean, Tensor) else ("", clean or "")
            words = [f"true: {true}", f"reference: {reference}", f"candidate: {candidate}{runs}"]
            pictures.append(Picture(uri, [*words, f"KL {METRICS['kl'].write(instance.kl)}"], text))
        return pictures


def examples_of(examples: Mapping[str, Examples], out: Path) -> list[tuple[str, str, list[Pair]]]:
    """Title, name of the still figure (none of texts), and pairs of inputs, for each task and trigger."""
    sections = []
    slugs = slugs_of(examples)
    for title, of_trigger in examples.items():
        words = [of_trigger.classes[int(label)] for label in of_trigger.labels]
        if isinstance(of_trigger.clean, Tensor):
            still = f"examples-{slugs[title]}"
            triggered_examples(of_trigger, out / "figures" / still)
            pairs = [
                Pair(word, picture_uri(torch.as_tensor(clean)), picture_uri(torch.as_tensor(triggered)))
                for word, clean, triggered in zip(words, of_trigger.clean, of_trigger.triggered, strict=True)
            ]
        else:
            still = ""
            parts = [_parts(*texts) for texts in zip(of_trigger.clean, of_trigger.triggered, strict=True)]
            pairs = [Pair(word, parts=part) for word, part in zip(words, parts, strict=True)]
        sections.append((title, still, pairs))
    return sections


def _parts(clean: str, triggered: str) -> list[tuple[str, bool]]:
    """A triggered text in parts, and whether each is new in it."""
    clean_words, words = clean.split(), triggered.split()
    changes = SequenceMatcher(None, clean_words, words, autojunk=False).get_opcodes()
    return [(" ".join(words[start:end]), kind != "equal") for kind, _, _, start, end in changes if end > start]
