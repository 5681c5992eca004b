"""Columns of data: which ones the user names, and how ``datasets.Dataset`` becomes a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.data.labels import class_indices, class_names
from anchorlab.data.sources import listed
from anchorlab.data.split import Split
from anchorlab.errors import AnchorlabError
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataColumns:
    """The columns of the user's own data: labels, and either texts or images."""

    text: str | None = Field(default=None, description="the column of texts")
    image: str | None = Field(default=None, description="the column of images")
    label: str = Field(default="label", description="the column of labels")
    max_length: int | None = Field(default=None, ge=3, description="most tokens of a text; None: the model's limit")

    def __post_init__(self) -> None:
        if (self.text is None) == (self.image is None):
            raise AnchorlabError(
                "own data need to say what they are: give --text-column or --image-column, one of them"
            )


def find_column(part: Any, name: str, where: str) -> str:
    """The name itself; raises AnchorlabError naming the columns that are there if it is none of them."""
    if name not in part.column_names:
        raise AnchorlabError(f"{where} has no column '{name}': it has {listed(part.column_names)}, so name one of them")
    return name


def classes_of(part: Any, column: str, where: str) -> tuple[str, ...]:
    """The names of a part's classes: from the data if they have names, otherwise from the labels."""
    from datasets import ClassLabel

    feature = part.features[find_column(part, column, where)]
    return tuple(feature.names) if isinstance(feature, ClassLabel) else class_names(part[column][:], where)


def read_texts(
    part: Any, text_column: str, label_column: str, where: str, classes: Sequence[str], *, numbered: bool = False
) -> Split:
    """A part of texts, without inputs yet; labels as ``read_labels`` reads them.

    Raises:
        AnchorlabError: for a missing column, or a text or label that is missing or empty.
    """
    column = part[find_column(part, text_column, where)][:]
    for row, text in enumerate(column):
        if not isinstance(text, str) or not text.strip():
            content = "no text" if text is None or text == "" or text != text else f"{text!r}"
            raise AnchorlabError(
                f"{where}, row {row} holds {content} in the column '{text_column}', expected words: correct it"
            )
    return Split({}, read_labels(part, label_column, where, classes, numbered=numbered), tuple(column))


def read_labels(part: Any, column: str, where: str, classes: Sequence[str], *, numbered: bool = False) -> Tensor:
    """The labels of a part, int64 ``[N]``.

    Args:
        part: the data.
        column: of the labels.
        where: what holds them, for messages.
        classes: names of the classes.
        numbered: True if numbers count the classes from 0; False if they are names of classes, like any text.
    """
    from datasets import ClassLabel

    counts = numbered or isinstance(part.features[find_column(part, column, where)], ClassLabel)
    values = part[column][:]
    if counts and not any(isinstance(value, str) for value in values):
        return class_indices(values, [str(number) for number in range(len(classes))], where)
    return class_indices(values, classes, where)
