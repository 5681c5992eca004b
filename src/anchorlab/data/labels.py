"""Labels as people write them, names or numbers, as classes; a label is a text, and keeps its spelling."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from anchorlab.errors import AnchorlabError, quoted, shortened

#: A whole number as it is usually written: 7 and -1, but not 07, +7, 7.0 or 1_0.
_CANONICAL = re.compile(r"0|-?[1-9][0-9]*")

#: From so many classes on, a column of which most labels stand alone is not one of labels.
_MANY_CLASSES = 100


@dataclass(frozen=True)
class Labels:
    """The labels of one part.

    Attributes:
        names: of each row; None where there is none.
        declared: the names of all classes in the order of their numbers, if the data have them; otherwise None.
        where: what holds them, for messages.
        place: from a row to where it stands, for messages.
        notes: what a person should know of how they were read, as sentences.
    """

    names: Sequence[str | None]
    declared: tuple[str, ...] | None
    where: str
    place: Callable[[int], str] = "row {}".format
    notes: tuple[str, ...] = ()

    def indices(self, classes: Sequence[str]) -> Tensor:
        """The labels as int64 ``[N]`` into the names of the classes.

        Raises:
            AnchorlabError: naming the row of a label that is missing or not among them.
        """
        numbers = {name: number for number, name in enumerate(classes)}
        indices = torch.empty(len(self.names), dtype=torch.int64)
        for row, name in enumerate(self.names):
            if name not in numbers:
                raise self.not_a_class(row, classes)
            indices[row] = numbers[name]
        return indices

    def not_a_class(self, row: int, classes: Sequence[str]) -> AnchorlabError:
        """The refusal of a row whose label is none of the classes."""
        name = self.names[row]
        if name is None:
            return AnchorlabError(f"{self.where}, {self.place(row)} has no label: give one, or remove the row")
        shown = ", ".join(f"'{shortened(known, 40)}'" for known in classes[:8])
        return AnchorlabError(
            f"{self.where}, {self.place(row)} has the label '{shortened(name)}', which is not one of the "
            f"classes, expected {shown}{', …' if len(classes) > 8 else ''}: {self._remedy(classes)}"
        )

    def _remedy(self, classes: Sequence[str]) -> str:
        if all(name is None or _CANONICAL.fullmatch(name) for name in self.names) and not _canonical(classes):
            return "write names in place of numbers, or both parts with one ClassLabel feature"
        return "correct it, or add training examples of it"


def read_labels(values: Sequence[Any], where: str, place: Callable[[int], str] = "row {}".format) -> Labels:
    """Labels that are texts, whole numbers, or true and false, each by its name.

    Args:
        values: as they were read. Numbers with a decimal point must all be whole: pandas stores whole numbers so where
            some are missing.
        where: what holds them, for messages.
        place: from a row to where it stands, for messages.

    Raises:
        AnchorlabError: naming the row of what is no label.
    """
    names: list[str | None] = []
    decimal = 0
    for row, value in enumerate(values):
        name = _name(value)
        if name is None and not _is_missing(value):
            raise AnchorlabError(
                f"{where}, {place(row)} has the label {quoted(value)}, expected a text or a whole number: "
                + (
                    "round the ratings into classes first"
                    if isinstance(value, float)
                    else "correct the column of labels"
                )
            )
        decimal += isinstance(value, float) and name is not None
        names.append(name)
    notes = (f"{decimal:,} labels are stored with a decimal point: read as whole numbers",) if decimal else ()
    return Labels(names, None, where, place, notes)


def numbered_labels(
    values: Sequence[int | None], names: Sequence[str], where: str, place: Callable[[int], str] = "row {}".format
) -> Labels:
    """Labels that are numbers of classes whose names the data have; -1 is no label, as ``datasets`` writes it.

    Raises:
        AnchorlabError: naming the row of a number that has no name.
    """
    for row, value in enumerate(values):
        if value is not None and not -1 <= value < len(names):
            raise AnchorlabError(
                f"{where}, {place(row)} has the label {value}, expected a number from 0 to {len(names) - 1}: correct it"
            )
    known = [None if value is None or value < 0 else names[value] for value in values]
    return Labels(known, tuple(names), where, place)


def decide_classes(parts: Mapping[str, Labels]) -> tuple[str, ...]:
    """The names of the classes of all parts: the labels of the training part, beyond which no other part may go.

    If the data number their classes, this is the order. Otherwise the order is by number if every label of the training
    part is a whole number as it is usually written, and alphabetical if one is not.

    Args:
        parts: part to its labels; one is ``train``.

    Raises:
        AnchorlabError: for a training row without a label, fewer than two classes, names that differ in case or outer
            spaces alone, whole numbers that leave some out, or a label of another part that no training example has.
    """
    train = parts["train"]
    used = set(train.names)
    if None in used:
        raise train.not_a_class(train.names.index(None), ())
    found = [name for name in used if name is not None]
    if len(found) < 2:
        raise AnchorlabError(
            f"{train.where} has the one label {', '.join(map(repr, found)) or 'none'}, expected two classes or more: "
            "add others"
        )
    if len(found) > _MANY_CLASSES and 2 * len(found) > len(train.names):
        raise AnchorlabError(
            f"{train.where} has {len(found):,} labels in {len(train.names):,} rows, such as {quoted(min(found), 40)}, "
            "expected several rows of each: name the column of labels"
        )
    everything = {name for part in parts.values() for name in (*part.names, *(part.declared or ())) if name is not None}
    _refuse_alike(everything, train.where)
    if train.declared is not None:
        return train.declared
    classes = in_order(found, train.where)
    if _canonical(classes) and int(classes[-1]) - int(classes[0]) + 1 != len(classes):
        shown = ", ".join(classes[:8])
        raise AnchorlabError(
            f"{train.where} has the labels {shown}{', …' if len(classes) > 8 else ''}, which leave numbers out: number "
            "the classes without gaps, or give them names"
        )
    return classes


def counted(labels: Labels, classes: Sequence[str]) -> Tensor:
    """Labels that are names of known classes, or all are their numbers from 0: int64 ``[N]``.

    Raises:
        AnchorlabError: naming the row of a label that is missing or neither.
    """
    numbers = [str(number) for number in range(len(classes))]
    by_number = any(name in numbers for name in labels.names) and not set(numbers) & set(classes)
    return labels.indices(numbers if by_number else classes)


def in_order(names: Iterable[str], where: str) -> tuple[str, ...]:
    """Names of classes: in the order of their numbers if all are whole numbers as usually written, else alphabetical.

    Raises:
        AnchorlabError: for names that differ in case or outer spaces alone.
    """
    found = sorted(set(names))
    _refuse_alike(found, where)
    return tuple(sorted(found, key=int) if _canonical(found) else found)


def _canonical(names: Sequence[str]) -> bool:
    return all(len(name) < 20 and _CANONICAL.fullmatch(name) for name in names)


def _refuse_alike(names: Iterable[str], where: str) -> None:
    """Refuses names that a person would take for one."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(unicodedata.normalize("NFC", name).strip().casefold(), name)
        if other != name:
            raise AnchorlabError(
                f"{where} has the labels {quoted(other)} and {quoted(name)}, which differ in case, outer spaces or the "
                "encoding of signs alone: write both alike, or give them different names"
            )


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def _name(value: Any) -> str | None:
    """A label as text; None if it is missing, or no label."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None


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
