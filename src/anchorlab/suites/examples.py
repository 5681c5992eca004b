"""Inputs that a report shows: with and without the trigger, as images or as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from anchorlab.attacks.attack import build_attack
from anchorlab.data import Task
from anchorlab.suites.parts import TriggerSpec

#: Inputs that a report shows of each task and trigger.
_SHOWN = 6


@dataclass(frozen=True)
class Examples:
    """A few inputs to show with and without the trigger.

    Attributes:
        clean: images, uint8 ``[n, C, H, W]``, or n texts.
        triggered: the same with the trigger.
        labels: true labels, int64 ``[n]``.
        classes: names of the classes, by label.
        trigger: the trigger of images on black, uint8 ``[C, H, W]``; None if there is nothing to show, as for texts.
    """

    clean: Tensor | Sequence[str]
    triggered: Tensor | Sequence[str]
    labels: Tensor
    classes: Sequence[str]
    trigger: Tensor | None = None


def attacked_examples(task: Task, trigger: TriggerSpec) -> Examples:
    """The first inputs of the split ``test`` that the attack applies to, with and without the trigger.

    Args:
        task: the task; its texts are encoded, if it holds texts.
        trigger: the trigger and its label rule, as in the suite.
    """
    attack = build_attack(task, trigger.built, trigger.label_rule, trigger.label)
    shown = attack.attacked(task.split("test"), limit=_SHOWN)
    return Examples(
        clean=as_shown(shown.inputs, task),
        triggered=as_shown(attack.apply(shown.inputs), task),
        labels=shown.labels,
        classes=task.classes,
        trigger=attack.on_black(shown.inputs) if task.kind == "image" else None,
    )


def as_shown(inputs: Mapping[str, Tensor], task: Task) -> Tensor | list[str]:
    """Inputs as a reader sees them: images, or what the model reads of texts."""
    if task.encoding is None:
        return inputs["pixel_values"]
    tokenizer, rows = task.encoding.tokenizer, zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    return [tokenizer.decode(ids[mask].tolist(), skip_special_tokens=True) for ids, mask in rows]


def clean_examples(task: Task, rows: list[int]) -> Examples:
    """Clean examples of the split ``test`` by their row numbers; ``triggered`` holds the same."""
    split = task.split("test")
    shown = split.inputs["pixel_values"][rows] if split.texts is None else [split.texts[row] for row in rows]
    return Examples(clean=shown, triggered=shown, labels=split.labels[rows], classes=task.classes)
