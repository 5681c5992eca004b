"""Which columns of the user's own data hold what, where nobody says it and there is no doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from anchorlab.data.columns import DataColumns
from anchorlab.data.kept import inferred_once
from anchorlab.data.part_names import listed
from anchorlab.data.sources import Source, open_source
from anchorlab.errors import AnchorlabError, quoted
from anchorlab.notices import notice

#: Names that a column of labels or texts usually has, in lower case.
_LABELS = {"label", "labels", "class", "category", "target", "sentiment", "stars", "rating", "y"}
_TEXTS = {"text", "texts", "sentence", "review", "reviews", "content", "document", "comment", "message", "snippet"}

#: Names of columns that number the rows.
_NUMBERS = {"", "id", "idx", "index", "unnamed: 0"}

#: Rows that are looked at.
_ROWS = 200


def inferred_columns(data: str, *, label: str | None = None) -> DataColumns:
    """What is where in a file or folder of this machine, if its columns leave no doubt.

    A folder of images has the columns ``image`` and ``label``. In a file of rows, one column must have a name that
    labels usually have, and no other may hold few different values, as labels do. One other must be called as texts
    usually are, or be the only one of several words. Of two columns, the one of several words is the text. A notice
    says which columns were taken.

    Args:
        data: the file or folder.
        label: the column of labels, if it is known.

    Raises:
        AnchorlabError: naming the columns, if there is a doubt, or if the data cannot be read.
    """
    found = inferred_once(data, (label,), lambda: _inferred(data, label))
    if found["text"] is not None:
        notice(f"texts are read from the column '{found['text']}', labels from the column '{found['label']}'")
    return DataColumns(**found)


def text_column_of(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The column of texts in rows without labels, by the same rules; None where they leave a doubt."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name.lower() not in _NUMBERS]
    return _text_of(_Rows(rows), names)


class _Rows:
    """Rows that are looked at as a data set is: its columns, and what each holds."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows
        names = {name for row in rows for name in row}
        self.features = {name: self if self._is_text(name) else None for name in names}
        self.dtype = "string"

    def __getitem__(self, name: str) -> list[Any]:
        return [row.get(name) for row in self._rows]

    def _is_text(self, name: str) -> bool:
        return {type(value) for value in self[name]} - {type(None)} == {str}


def _inferred(data: str, label: str | None) -> dict[str, str | None]:
    """The fields of ``DataColumns``."""
    parts = open_source(Source(task=Path(data).stem), data)
    part = parts.get("train", next(iter(parts.values()))).rows
    names = [name for name in part.column_names if name.lower() not in _NUMBERS]
    if _holds_images(part, "image") and (label or "label") in names:
        return {"text": None, "image": "image", "label": label or "label"}
    given = label is not None
    label = label or _label_of(part, names)
    text = None if label is None else _text_of(part, [name for name in names if name != label])
    if not given and label is not None and text is not None:
        _refuse_row_of_names(data, part, text, label)
    if label is None or text is None:
        raise AnchorlabError(
            f"the columns of '{data}' do not say which one holds {'the texts' if label else 'the labels'}: they are "
            f"{listed(part.column_names)}, so name them, by --text-column or --image-column, and --label-column"
        )
    return {"text": text, "image": None, "label": label}


def _refuse_row_of_names(data: str, part: Any, text: str, label: str) -> None:
    """Refuses columns whose names are a text of several words and one of the labels, as where a file has no names."""
    if len(text.split()) > 1 and label in {str(value) for value in part[label]}:
        raise AnchorlabError(
            f"the first row of '{data}' reads like a text, {quoted(text, 60)}, and its label, {quoted(label, 60)}, "
            "expected the names of the columns: write text,label above it, or name the columns by --text-column and "
            "--label-column"
        )


def _label_of(part: Any, names: Sequence[str]) -> str | None:
    """The one column that is called like labels; or, of two columns, the one that holds no texts."""
    called = [name for name in names if name.lower() in _LABELS]
    if len(called) == 1:
        doubtful = any(_could_be_labels(part, name) for name in names if name != called[0])
        return None if doubtful else called[0]
    texts = [name for name in names if _holds_texts(part, name)]
    if not called and len(names) == 2 and len(texts) == 1:
        return next(name for name in names if name not in texts)
    return None


def _text_of(part: Any, names: Sequence[str]) -> str | None:
    """The one column that is called like texts, or else the only one that holds some."""
    called = [name for name in names if name.lower() in _TEXTS and _is_text(part, name)]
    if len(called) == 1:
        return called[0]
    texts = [name for name in names if _holds_texts(part, name)]
    return texts[0] if len(texts) == 1 and not called else None


def _could_be_labels(part: Any, name: str) -> bool:
    """Whether the first rows of a column have few different values, and not several words."""
    values = [str(value) for value in islice(part[name], _ROWS)]
    return len(set(values)) <= len(values) / 4 and not _holds_texts(part, name)


def _is_text(part: Any, name: str) -> bool:
    return getattr(part.features[name], "dtype", None) in ("string", "large_string")


def _holds_texts(part: Any, name: str) -> bool:
    """Whether most values of a column have several words."""
    if not _is_text(part, name):
        return False
    values = [value for value in islice(part[name], _ROWS) if value]
    return sum(len(str(value).split()) > 1 for value in values) > len(values) / 2


def _holds_images(part: Any, name: str) -> bool:
    return name in part.column_names and type(part.features[name]).__name__ == "Image"
