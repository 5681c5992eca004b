"""Labels as people write them, names or numbers, as classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from anchorlab.errors import AnchorlabError


def class_names(values: Sequence[Any], where: str) -> tuple[str, ...]:
    """The names of the classes that labels stand for: texts in alphabetical order, whole numbers in theirs.

    Args:
        values: labels as they were read: texts, or whole numbers without gaps.
        where: what holds them, for messages.

    Raises:
        AnchorlabError: for labels that are missing, mixed, not whole numbers, have gaps, or are all the same.
    """
    labels = {_label(value, f"{where}, row {row}") for row, value in enumerate(values)}
    kinds = {type(label) for label in labels}
    if len(kinds) > 1:
        text, number = (next(label for label in labels if type(label) is kind) for kind in (str, int))
        raise AnchorlabError(
            f"{where} mixes labels that are texts ('{text}') and numbers ({number}): write all of them alike"
        )
    names = sorted(labels)
    if len(names) < 2:
        raise AnchorlabError(f"{where} has the one label {names[0]!r}, expected two classes or more: add others")
    if kinds == {int} and int(names[-1]) - int(names[0]) + 1 != len(names):
        shown = ", ".join(str(name) for name in names[:8])
        raise AnchorlabError(
            f"{where} has the labels {shown}{', …' if len(names) > 8 else ''}, which leave numbers out: number the "
            "classes without gaps, or give them names"
        )
    return tuple(str(name) for name in names)


def class_indices(values: Sequence[Any], classes: Sequence[str], where: str) -> Tensor:
    """Labels as int64 ``[N]`` into the names of the classes.

    Raises:
        AnchorlabError: for a label that is missing or not among them.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    indices = torch.empty(len(values), dtype=torch.int64)
    for row, value in enumerate(values):
        label = str(_label(value, f"{where}, row {row}"))
        if label not in numbers:
            raise AnchorlabError(
                f"{where}, row {row} has the label '{label}', which no training example has: known are "
                f"{', '.join(classes)}"
            )
        indices[row] = numbers[label]
    return indices


def _label(value: Any, where: str) -> str | int:
    """A label as text or whole number."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or value == "":
        raise AnchorlabError(f"{where} has no label: give one, or remove the row")
    if isinstance(value, (bool, str)):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise AnchorlabError(
            f"{where} has the label {value!r}, expected a text or a whole number: correct the column of labels"
        ) from error
    if not number.is_integer():
        raise AnchorlabError(
            f"{where} has the label {value!r}, expected a text or a whole number: round the ratings into classes first"
        )
    return int(number)


def label_index(label: int | str | None, classes: Sequence[str]) -> int | None:
    """The class that a user means: by its name, or else by its number.

    Args:
        label: a number, a name, or a number as text; None for none.
        classes: names of the classes.

    Raises:
        AnchorlabError: for a text that is neither.
    """
    if label is None or isinstance(label, int):
        return label
    if label in classes:
        return list(classes).index(label)
    try:
        return int(label)
    except ValueError:
        shown = ", ".join(f"'{name}'" for name in classes[:12])
        raise AnchorlabError(
            f"the label '{label}' is not one of the task's: give one of {shown}{', …' if len(classes) > 12 else ''}, "
            f"or a number from 0 to {len(classes) - 1}"
        ) from None
