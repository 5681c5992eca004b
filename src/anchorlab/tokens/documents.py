"""Texts as a stream of documents: JSON Lines, parquet, text whose documents stand apart by blank lines, or a list."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from anchorlab.data.inferred import text_column_of
from anchorlab.data.json_rows import row_of_line
from anchorlab.data.part_names import listed
from anchorlab.errors import AnchorlabError, first_line, quoted, shortened
from anchorlab.files import input_file

#: The name of the texts that come with anchorlab.
SAMPLE = "sample"

#: The column of domains where nobody names one.
_DOMAIN = "domain"

#: How the names of files with columns end.
_COLUMNED = (".jsonl", ".ndjson", ".parquet")

#: Rows that are looked at for the column of texts, and rows of parquet that are read at once.
_LOOKED_AT, _AT_ONCE = 200, 256

#: Characters that are hashed at once.
_HASHED = 2**20

_REMEDY = (
    "give JSON Lines or parquet with one document a row, a text file whose documents stand apart by blank lines, or "
    f"'{SAMPLE}' for texts that come with anchorlab"
)


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        text: its text.
        domain: where it is from; None if nothing says so.
    """

    text: str
    domain: str | None = None


@dataclass(frozen=True)
class Texts:
    """Documents that can be read again and again, one at a time.

    Attributes:
        source: where they come from, for readers.
        read: begins to read.
        text_column: the column of texts, if there are columns.
        domain_column: the column of domains, if there is one.
    """

    source: str
    read: Callable[[], Iterator[Document]]
    text_column: str | None = None
    domain_column: str | None = None

    def checked(self) -> Reading:
        """What one reading finds, so that no fault shows up late.

        Raises:
            AnchorlabError: if a row cannot be read, or there is no document.
        """
        domains, digest, beginnings = [], hashlib.sha256(), bytearray()
        for document in self.read():
            domains.append(document.domain)
            hashed = _hashed(document.text)
            digest.update(hashed)
            beginnings += hashed[:8]
        if not domains:
            raise AnchorlabError(f"{self.source} holds no document: {_REMEDY}")
        distinct = len(np.unique(np.frombuffer(beginnings, np.uint64)))
        return Reading(tuple(domains), digest.hexdigest(), distinct)


@dataclass(frozen=True)
class Reading:
    """What a reading of all documents found.

    Attributes:
        domains: the domain of each document; None where nothing says so.
        digest: a hash of their texts.
        distinct: number of different texts.
    """

    domains: tuple[str | None, ...]
    digest: str
    distinct: int

    @property
    def copies_in_words(self) -> list[str]:
        """That some documents are copies, which intervals take for independent ones; nothing where none is."""
        count = len(self.domains)
        if self.distinct == count:
            return []
        held = "1 is a different text" if self.distinct == 1 else f"{self.distinct:,} are different texts"
        return [
            f"of {count:,} documents only {held}, and the intervals, which take all for independent, are too narrow: "
            "give each text once"
        ]


def _hashed(text: str) -> bytes:
    """The hash of a text, of which a part is encoded at once."""
    digest = hashlib.sha256()
    for start in range(0, len(text), _HASHED):
        digest.update(text[start : start + _HASHED].encode(errors="surrogatepass"))
    return digest.digest()


def open_texts(
    texts: str | Path | Sequence[str], *, text_column: str | None = None, domain_column: str | None = None
) -> Texts:
    """Documents of a file, of a list, or of the sample that comes with anchorlab.

    Args:
        texts: ``sample``, a list of documents, or a file: ``.jsonl`` or ``.parquet`` with one document a row, and any
            other as text whose documents stand apart by blank lines.
        text_column: the column of texts; found as in data of one's own if left out.
        domain_column: the column of domains; ``domain`` if left out, where there is one.

    Raises:
        AnchorlabError: if there is no such file, or no such column, or no way to know which one holds the texts.
    """
    if not isinstance(texts, str | Path):
        _no_columns("a list of texts", text_column, domain_column)
        return Texts("a list of texts", lambda: map(_document, texts))
    if texts == SAMPLE:
        file = Path(__file__).with_name("sample.jsonl")
        return Texts("the sample of anchorlab", lambda: _documents(file, _json_lines, "text", _DOMAIN), "text", _DOMAIN)
    file = input_file(texts, _REMEDY)
    ending = file.suffix.lower()
    if ending in (".csv", ".tsv", ".json", ".gz", ".zip"):
        raise AnchorlabError(f"{file} is no file of documents that can be streamed: {_REMEDY}")
    if ending not in _COLUMNED:
        _no_columns(str(file), text_column, domain_column)
        return Texts(str(file), lambda: _paragraphs(file))
    rows = _parquet if ending == ".parquet" else _json_lines
    text, domain = _columns(file, list(islice(rows(file, None), _LOOKED_AT)), text_column, domain_column)
    return Texts(str(file), lambda: _documents(file, rows, text, domain), text, domain)


def has_columns(texts: str | Path | Sequence[str] | None) -> bool:
    """Whether texts are a file of which a column is to be known."""
    return isinstance(texts, str | Path) and Path(texts).suffix.lower() in _COLUMNED


def _document(text: object) -> Document:
    if not isinstance(text, str):
        raise AnchorlabError(f"a document is {quoted(text, 60)}, expected a text: give a list of texts")
    return Document(text)


def _no_columns(source: str, text: str | None, domain: str | None) -> None:
    if text is not None or domain is not None:
        raise AnchorlabError(f"{shortened(source)} has no columns, so that none can be named: leave them out")


def _columns(file: Path, rows: list[dict[str, Any]], text: str | None, domain: str | None) -> tuple[str, str | None]:
    """The columns of texts and of domains."""
    if not rows:
        raise AnchorlabError(f"{file} holds no document: {_REMEDY}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in (text, domain):
        if name is not None and name not in names:
            raise AnchorlabError(f"{file} has no column '{shortened(name)}': it has {listed(names)}, so name one")
    domain = _DOMAIN if domain is None and _DOMAIN in names else domain
    others = [{name: value for name, value in row.items() if name != domain} for row in rows]
    text = text or text_column_of(others)
    if text is None:
        raise AnchorlabError(
            f"the columns of {file} do not say which one holds the texts: they are {listed(names)}, so name it by "
            "--text-column"
        )
    return text, domain


#: Reads a file's rows, some of its columns or all.
_Reader = Callable[[Path, "list[str] | None"], Iterator[dict[str, Any]]]


def _documents(file: Path, rows: _Reader, text: str, domain: str | None) -> Iterator[Document]:
    wanted = [text] if domain is None else [text, domain]
    for number, row in enumerate(rows(file, wanted), start=1):
        value = row.get(text)
        if not isinstance(value, str):
            found = "no text" if value is None else quoted(value, 60)
            raise AnchorlabError(
                f"{file}, row {number} holds {found} in the column '{shortened(text)}', expected a document: correct it"
            )
        where = None if domain is None else row.get(domain)
        yield Document(value, None if domain is None else "none" if where is None else str(where))


def _json_lines(file: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:  # noqa: ARG001 (as in ``_Reader``)
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield row_of_line(file, number, line)


def _parquet(file: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=_AT_ONCE, columns=columns):
                yield from batch.to_pylist()
    except Exception as error:  # pyarrow's own exceptions have no common base
        raise AnchorlabError(
            f"{file} could not be read ({type(error).__name__}: {shortened(first_line(error))}): make it again, or "
            "give another file"
        ) from error


def _paragraphs(file: Path) -> Iterator[Document]:
    """The documents of a text file, which blank lines hold apart."""
    lines: list[str] = []
    try:
        with file.open(encoding="utf-8-sig") as opened:
            for line in opened:
                if line.strip():
                    lines.append(line)
                elif lines:
                    yield Document(_joined(lines))
    except UnicodeDecodeError as error:
        raise AnchorlabError(
            f"{file} is no UTF-8 text ({shortened(first_line(error))}): store it as UTF-8, or give another file"
        ) from error
    if lines:
        yield Document(_joined(lines))


def _joined(lines: list[str]) -> str:
    """The text of lines, which are forgotten, so that memory does not hold a long document twice."""
    lines[-1] = lines[-1].rstrip("\n")
    text = "".join(lines)
    lines.clear()
    return text
