"""The defender's clean examples: drawn from the split ``defender`` with a seed, and cut into two parts."""

from __future__ import annotations

from typing import Literal

import torch

from anchorlab.data import Task
from anchorlab.data.split import index_hash
from anchorlab.data.task import OR_ALL
from anchorlab.defender.context import DefenderData
from anchorlab.errors import AnchorlabError

#: Share of the examples that is held back from learning.
_VALIDATION = 0.2

#: Clean examples that a defender has where nobody says how many.
_USUAL = 640

#: How many clean examples a defender has: a number, ``usual`` for 640 or all where there are fewer, None for all.
DefenderCount = int | Literal["usual"] | None


def usual_count(task: Task) -> int | None:
    """The number of a defender's clean examples where nobody says it: 640, or what there is if that is less.

    None if there are none, so that the draw says why.
    """
    return min(_USUAL, len(task.split("defender"))) or None


def draw_defender_data(
    task: Task, count: DefenderCount, *, seed: int, min_examples: int = 2
) -> tuple[DefenderData, str]:
    """What a defender has, on the CPU, and the SHA-256 of its indices into the split ``defender``.

    With the same seed a smaller number of examples is a part of a larger one. A fifth is held back, class by class as
    far as there are enough, so that it represents all classes.

    Args:
        task: the task as the model reads it.
        count: number of examples; ``usual`` for 640, or all if there are fewer; None for all of the split, which is 5%
            of the training data for most tasks.
        seed: seed of the draw.
        min_examples: number of examples that the defence needs.

    Raises:
        AnchorlabError: if the split has fewer examples, or the defence needs more.
    """
    split = task.split("defender")
    count = usual_count(task) if count == "usual" else count
    order = task.draw("defender", count, "defender", seed=seed, what="clean examples for the defender", hint=OR_ALL)
    if len(order) < min_examples:
        raise AnchorlabError(
            f"the defender has {len(order)} clean examples, but {min_examples} are needed here: give more"
        )
    validation = _validation_rows(split.labels[order])
    data = DefenderData(
        train=split.select(order[~validation]),
        validation=split.select(order[validation]),
        classes=len(task.classes),
        kind=task.kind,
    )
    return data, index_hash(order)


def _validation_rows(labels: torch.Tensor) -> torch.Tensor:
    """Which examples are held back, bool ``[N]``: a fifth of each class, and one at least of a class with two."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        chosen[members[: max(round(_VALIDATION * len(members)), int(len(members) > 1))]] = True
    if not chosen.any() and len(chosen) > 1:
        chosen[0] = True
    return chosen
