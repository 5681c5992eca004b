"""Columns of data: which ones the user names, and the labels and texts in them."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.data.labels import Labels, numbered_labels, read_labels
from anchorlab.data.part_names import listed
from anchorlab.data.sources import OpenedPart
from anchorlab.errors import AnchorlabError, quoted, shortened
from anchorlab.settings import STRICT, Refusing


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataColumns(metaclass=Refusing):
    """The columns of the user's own data: labels, and either texts or images."""

    text: str | None = Field(default=None, description="the column of texts")
    image: str | None = Field(default=None, description="the column of images")
    label: str = Field(default="label", description="the column of labels")
    max_length: int | None = Field(
        default=None, ge=3, description="most tokens of a text; the model's limit if left out"
    )

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


def label_column(part: OpenedPart, name: str, where: str) -> Labels:
    """The labels of a part, by the names that the part itself gives to its classes.

    Raises:
        AnchorlabError: for a missing column, or a value that is no label.
    """
    from datasets import ClassLabel

    feature = part.rows.features[find_column(part.rows, name, where)]
    values = part.rows.with_format(None)[name][:]
    if isinstance(feature, ClassLabel):
        return numbered_labels(values, feature.names, where, part.place)
    return read_labels(values, where, part.place)


def text_column(part: OpenedPart, name: str, where: str) -> tuple[str, ...]:
    """The texts of a part.

    Raises:
        AnchorlabError: for a missing column, or a text that is missing or empty.
    """
    find_column(part.rows, name, where)
    column = part.rows.with_format(None)[name][:]
    for row, text in enumerate(column):
        if not isinstance(text, str) or not text.strip():
            content = "no text" if text is None or text == "" or text != text else quoted(text)
            raise AnchorlabError(
                f"{where}, {part.place(row)} holds {content} in the column '{shortened(name)}', expected words: "
                "correct it"
            )
    return tuple(column)
