"""What a trigger does to examples, before anything is tuned: pictures or texts, how much changes, and what to mind."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import module_of
from anchorlab.attacks.attack import Attack, build_attack
from anchorlab.attacks.label_rules import LabelRule, target_or_first
from anchorlab.data import Split, Task, load_task
from anchorlab.errors import AnchorlabError, printable, shortened
from anchorlab.files import check_writable, user_path, write_atomically
from anchorlab.models.architectures import build_model
from anchorlab.models.wrap import encoding_of
from anchorlab.reports.drawing import figure_bytes, shorten, styled
from anchorlab.statistics.escaping import html
from anchorlab.statistics.table import Table, facts_table, to_html
from anchorlab.suites.examples import as_shown
from anchorlab.triggers import Trigger

#: Most examples that are measured, the first of the split ``test``.
_MEASURED = 2000

#: Most examples that are shown.
_MOST_SHOWN = 64

#: Pictures in a row of the figure, and inches of each.
_IN_A_ROW, _SIDE = 8, 1.05

#: Longest label above a picture, in characters.
_LABEL = 13

#: Words around an inserted piece, where a text is longer.
_AROUND = 12

#: Signs around what was put into a text.
OPEN, CLOSE = "»", "«"


@dataclass(frozen=True, repr=False)
class TriggerView:
    """What a trigger does to examples of a task.

    Attributes:
        trigger: the trigger.
        task: name of the task.
        clean: the first attacked examples of the split ``test``: images, uint8 ``[n, C, H, W]``, or n texts as the
            model reads them.
        triggered: the same with the trigger.
        labels: the true class of each, and the one that the attacker wants.
        changed: number of examples that the trigger changes, of those measured.
        measured: number of examples measured.
        facts: what was measured, in words: norms of images, tokens of texts.
        values: the same as numbers.
        cautions: what to mind.
    """

    trigger: Trigger
    task: str
    clean: Tensor | Sequence[str]
    triggered: Tensor | Sequence[str]
    labels: Sequence[tuple[str, str]]
    changed: int
    measured: int
    facts: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return printable(f"TriggerView({self.trigger} on {self.task}: {self.changed} of {self.measured} changed)")

    def table(self) -> Table:
        """How much changes."""
        facts = {"inputs changed": f"{self.changed:,} of {self.measured:,}", **self.facts}
        return facts_table("trigger", printable(f"{self.trigger} on {self.task}"), facts)

    def lines(self) -> list[str]:
        """Texts before and after, what was put in between ``»`` and ``«``; none for images."""
        if isinstance(self.clean, Tensor):
            return []
        found = []
        for number, (before, after, (true, wanted)) in enumerate(self._rows(), 1):
            found += [f"{number}. {true} → {wanted}", f"   before: {before}", f"   after:  {after}"]
        return found

    def plot(self) -> Figure:
        """A figure of the images: as they are, with the trigger, and the difference, amplified.

        Raises:
            AnchorlabError: for texts, which have no picture.
        """
        clean, triggered = self._images()
        with styled():
            return _figure(clean, triggered, self.labels, self.table().caption)

    def save(self, path: str | Path) -> Path:
        """Writes the figure as a PNG file, whole or not at all; a file that is there is replaced.

        Raises:
            AnchorlabError: for texts, another ending than ``.png``, or a place that cannot be written.
        """
        file = check_picture(path)
        write_atomically(file, self._png())
        return file

    def _repr_html_(self) -> str:
        cautions = "".join(f"<p>Caution: {html(sentence)}</p>" for sentence in self.cautions)
        if isinstance(self.clean, Tensor):
            picture = base64.b64encode(self._png()).decode()
            shown = f'<img alt="{html(self.table().caption)}" src="data:image/png;base64,{picture}">'
        else:
            rows = "".join(
                f"<tr><td>{html(true)} → {html(wanted)}</td><td>{before}</td><td>{after}</td></tr>"
                for before, after, (true, wanted) in self._rows(html, lambda words: f"<mark>{html(words)}</mark>")
            )
            shown = f"<table><tr><th>label</th><th>before</th><th>after</th></tr>{rows}</table>"
        return f"{to_html(self.table())}{cautions}{shown}"

    def _rows(self, *write: Callable[[str], str]) -> list[tuple[str, str, tuple[str, str]]]:
        """Text before, text after with its marks, and labels, of each example; ``write`` as of ``marked``."""
        texts = zip(self.clean, self.triggered, strict=True)
        pairs = [marked(str(before), str(after), *write) for before, after in texts]
        return [(before, after, labels) for (before, after), labels in zip(pairs, self.labels, strict=True)]

    def _images(self) -> tuple[Tensor, Tensor]:
        if not isinstance(self.clean, Tensor) or not isinstance(self.triggered, Tensor):
            raise AnchorlabError(f"{self.trigger} changes texts, which have no picture: read .lines() instead")
        return self.clean, self.triggered

    def _png(self) -> bytes:
        figure = self.plot()
        with styled():
            return figure_bytes(figure, "png")


@checked
def show_trigger(
    trigger: str | Trigger = "five-pixel",
    task: str | Task = "digits",
    *,
    target: int | str | None = None,
    label_rule: str | LabelRule = "all-to-one",
    model: Artifact | nn.Module | None = None,
    count: int = 8,
    seed: int = 0,
) -> TriggerView:
    """Shows what a trigger does to examples, before anything is tuned.

    In a notebook the result shows itself. ``save`` writes the picture.

    Args:
        trigger: a trigger, or its text as on the command line.
        task: a task, its name, or your own data.
        target: the label that the attacker wants, by number or name; 0 if None, where the rule needs one.
        label_rule: who is attacked; the others are left out.
        model: whose tokenizer writes the words, for texts; that of ``bert-tiny`` if None, which the task's texts make.
        count: examples to show, the first of the split ``test``.
        seed: divides the data into splits, where they are divided.

    Raises:
        AnchorlabError: for an unknown name, data that cannot be read, a trigger that does not fit on the examples, or
            words that the tokenizer cannot write.
    """
    if not 1 <= count <= _MOST_SHOWN:
        raise AnchorlabError(f"{shortened(str(count))} examples cannot be shown: give a count from 1 to {_MOST_SHOWN}")
    loaded = load_task(task, seed=seed) if isinstance(task, str) else task
    own, read = _read(loaded, model)
    rule = label_rule if isinstance(label_rule, LabelRule) else target_or_first(label_rule, target)
    attack = build_attack(read, trigger, label_rule, None if isinstance(rule, LabelRule) else rule)
    measured = attack.attacked(read.split("test"), limit=_MEASURED)
    if len(measured) == 0:
        raise AnchorlabError(
            f"the split 'test' of {read.name} has no example that the label rule attacks: give another target or rule"
        )
    shown = attack.attacked(measured, limit=count)
    changed, facts, values, cautions = (_measure_images if read.kind == "image" else _measure_texts)(attack, measured)
    wanted = attack.label_rule.relabel(shown.labels)
    return TriggerView(
        trigger=attack.trigger,
        task=read.name,
        clean=as_shown(shown.inputs, read),
        triggered=as_shown(attack.apply(shown.inputs), read),
        labels=[(read.classes[a], read.classes[b]) for a, b in zip(shown.labels, wanted, strict=True)],
        changed=changed,
        measured=len(measured),
        facts=facts,
        values=values,
        cautions=(*_unchanged(len(measured) - changed, len(measured), read.kind), *cautions, *own),
    )


def check_picture(path: str | Path) -> Path:
    """The path of a picture that can be written; raises AnchorlabError for another ending, or where it cannot be."""
    file = user_path(path)
    if file.suffix.lower() != ".png":
        raise AnchorlabError(f"the picture {file} is written as PNG: give a name that ends with .png")
    check_writable(file)
    return file


def _read(task: Task, model: Artifact | nn.Module | None) -> tuple[list[str], Task]:
    """What to mind of the tokenizer, and the task as a model reads it."""
    if model is not None:
        return [], task.encoded(encoding_of(module_of(model)))
    if task.kind == "image" or task.encoding is not None:
        return [], task
    own = "the tokenizer is bert-tiny's, made of these texts: give the model that you mean, whose tokenizer may differ"
    return [own], task.encoded(encoding_of(build_model("bert-tiny", task, seed=0)))


def _unchanged(count: int, measured: int, kind: str) -> list[str]:
    if not count:
        return []
    cause = "they have its pixels already" if kind == "image" else "no room is left for it"
    return [
        f"{count:,} of {measured:,} inputs are the same with the trigger as without, because {cause}: no model can "
        "distinguish them, so choose another trigger, value or place"
    ]


_Measured = tuple[int, dict[str, str], dict[str, Any], list[str]]


def _measure_images(attack: Attack, examples: Split) -> _Measured:
    """How many images change, and by how much."""
    clean = examples.inputs["pixel_values"]
    difference = attack.apply(examples.inputs)["pixel_values"].to(torch.int16) - clean.to(torch.int16)
    flat = difference.flatten(1).double()
    changed = int(flat.ne(0).any(1).sum())
    pixels = difference.ne(0).any(1).flatten(1).sum(1).double()
    sizes = {"l0": pixels, "l2": (flat / 255).norm(dim=1), "linf": flat.abs().amax(1)}
    values = {
        name: {"mean": float(size.mean()), "least": float(size.min()), "greatest": float(size.max())}
        for name, size in sizes.items()
    }
    height, width = clean.shape[-2:]
    facts = {
        f"pixels changed (L0), of {height * width:,}": _range(values["l0"]),
        "L2 norm of the change, pixels from 0 to 1": _range(values["l2"]),
        "largest change of a pixel (L∞), of 255": _range(values["linf"]),
    }
    return changed, facts, values, []


def _measure_texts(attack: Attack, examples: Split) -> _Measured:
    """How many texts change, how many tokens come in, and how many are lost at the model's limit."""
    before, after = examples.inputs["attention_mask"].sum(1), attack.apply(examples.inputs)["attention_mask"].sum(1)
    pieces = attack.tokens
    size = sum(pieces.values())
    lost = (before + size - after).clamp(min=0)
    changed = len(examples) if size else 0
    cut = int(lost.gt(0).sum())
    values = {"tokens": dict(pieces), "cut": cut, "lost": int(lost.max())}
    facts = {
        "tokens put in": f"{size} ({', '.join(f'{printable(piece)}: {count}' for piece, count in pieces.items())})",
        "texts that lose words at the model's limit": f"{cut:,} of {len(examples):,}",
    }
    cautions = [
        f"the tokenizer writes '{printable(word)}' as {count} tokens, because its vocabulary does not have the word"
        for word, count in attack.split_words.items()
    ]
    if cut:
        cautions.append(
            f"{cut:,} of {len(examples):,} texts lose up to {int(lost.max())} tokens at their end, because the model's "
            "limit leaves no room: choose a shorter trigger, or a larger --max-length"
        )
    return changed, facts, values, cautions


def _range(size: Mapping[str, float]) -> str:
    mean, least, greatest = (f"{size[name]:.3g}" for name in ("mean", "least", "greatest"))
    return mean if least == greatest else f"{mean} on average, from {least} to {greatest}"


def _between_signs(words: str) -> str:
    return f"{OPEN}{words}{CLOSE}"


def marked(
    before: str, after: str, kept: Callable[[str], str] = str, put_in: Callable[[str], str] = _between_signs
) -> tuple[str, str]:
    """Both texts, with what was put in marked; long ones are shown around it alone.

    Args:
        before: the clean text.
        after: the triggered one.
        kept: writes a word of both texts.
        put_in: writes the words that were put in, by default between ``»`` and ``«``.
    """
    old, new = before.split(), after.split()
    words: list[str] = []
    old_places: list[int] = []
    new_places: list[int] = []
    for kind, place, _, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind in ("insert", "replace"):
            old_places.append(place)
            new_places.append(len(words))
            words.append(put_in(" ".join(new[start:end])))
        elif kind == "equal":
            words += map(kept, new[start:end])
    return " ".join(_around(list(map(kept, old)), old_places)), " ".join(_around(words, new_places))


def _around(words: list[str], places: list[int]) -> list[str]:
    """A long text around some of its words."""
    if len(words) <= 3 * _AROUND or not places:
        return words
    first, last = max(0, min(places) - _AROUND), max(places) + _AROUND
    return [*(["…"] if first else []), *words[first:last], *(["…"] if last < len(words) else [])]


def _figure(clean: Tensor, triggered: Tensor, labels: Sequence[tuple[str, str]], title: str) -> Figure:
    """Rows of pictures: originals, triggered, and differences, eight examples beside each other."""
    difference = (triggered.to(torch.int16) - clean.to(torch.int16)).abs()
    factor = max(1, 255 // max(1, int(difference.max())))
    amplified = (difference * factor).clamp(max=255).to(torch.uint8)
    times = f"\n× {factor}" if factor > 1 else ""
    kinds = {"original": clean, "with trigger": triggered, f"difference{times}": amplified}
    columns = min(len(clean), _IN_A_ROW)
    blocks = -(-len(clean) // columns)
    figure = Figure(figsize=(1.0 + _SIDE * max(columns, 4), 0.5 + (3 * _SIDE + 0.45) * blocks))
    axes = figure.subplots(3 * blocks, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for example in range(len(clean)):
        block, column = divmod(example, columns)
        for row, (kind, images) in enumerate(kinds.items()):
            axis = axes[3 * block + row, column]
            axis.imshow(_picture(images[example]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            if column == 0:
                axis.text(-0.12, 0.5, kind, transform=axis.transAxes, ha="right", va="center")
        true, wanted = (shorten(name, _LABEL) for name in labels[example])
        between = " → " if len(true) + len(wanted) < _LABEL else "\n→ "
        axes[3 * block, column].set_title(f"{true}{between}{wanted}")
    figure.suptitle(shorten(title, 16 + 12 * max(columns, 4)))
    return figure


def _picture(image: Tensor) -> Any:
    """An image as matplotlib takes it: ``[H, W]`` in grey, or ``[H, W, 3]``."""
    return image[0].numpy() if len(image) == 1 else image[:3].permute(1, 2, 0).numpy()
