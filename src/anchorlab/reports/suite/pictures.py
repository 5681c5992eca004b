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
from anchorlab.reports.suite.settings import slug
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
    """A clean picture and the same with the trigger; or a triggered text in parts, and whether each is the trigger."""

    words: str
    clean: str = ""
    triggered: str = ""
    parts: Sequence[tuple[str, bool]] = ()


class Pictures:
    """Every picture that the page needs of the test splits, asked for once a task, because data are slow to open."""

    def __init__(self, results: SuiteResults, conditions: Sequence[Condition]) -> None:
        rows: dict[str, set[int]] = {}
        for condition in conditions:
            changed = [one.row for group in condition.groups for ones in group.changed.values() for one in ones]
            rows.setdefault(condition.setting.task, set()).update(changed)
        self._rows = {task: sorted(wanted) for task, wanted in rows.items()}
        self._examples = {task: results.pictures(task, wanted) for task, wanted in self._rows.items() if wanted}

    def of(self, task: str, changed: Sequence[ChangedInstance]) -> list[Picture]:
        """Pictures with their words; words alone where the pictures are not at hand."""
        examples = self._examples.get(task)
        found = []
        for one in changed:
            true, reference, candidate = (
                str(label) if examples is None else examples.classes[label]
                for label in (one.label, one.reference, one.candidate)
            )
            runs = "" if one.agreeing == one.runs else f" (in {one.agreeing} of {one.runs} runs)"
            shown = None if examples is None else examples.clean[self._rows[task].index(one.row)]
            uri, text = (picture_uri(shown), "") if isinstance(shown, Tensor) else ("", shown or "")
            words = [f"true: {true}", f"reference: {reference}", f"candidate: {candidate}{runs}"]
            found.append(Picture(uri, [*words, f"KL {METRICS['kl'].write(one.kl)}"], text))
        return found


def examples_of(examples: Mapping[str, Examples], out: Path) -> list[tuple[str, str, list[Pair]]]:
    """Title, name of the still figure (none of texts), and pairs of inputs, for each task and trigger."""
    found = []
    for title, shown in examples.items():
        words = [shown.classes[int(label)] for label in shown.labels]
        if isinstance(shown.clean, Tensor):
            still = f"examples-{slug(title)}"
            triggered_examples(shown, out / "figures" / still)
            pairs = [
                Pair(word, picture_uri(torch.as_tensor(clean)), picture_uri(torch.as_tensor(triggered)))
                for word, clean, triggered in zip(words, shown.clean, shown.triggered, strict=True)
            ]
        else:
            still = ""
            parts = [_parts(*texts) for texts in zip(shown.clean, shown.triggered, strict=True)]
            pairs = [Pair(word, parts=part) for word, part in zip(words, parts, strict=True)]
        found.append((title, still, pairs))
    return found


def _parts(clean: str, triggered: str) -> list[tuple[str, bool]]:
    """A triggered text in parts, and whether each is new in it."""
    before, after = clean.split(), triggered.split()
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [(" ".join(after[start:end]), kind != "equal") for kind, _, _, start, end in changes if end > start]
