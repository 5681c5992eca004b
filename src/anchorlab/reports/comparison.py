"""The page of a comparison of two models: its findings in words, every measurement, and churn by class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from anchorlab.consistency.cautions import cautions_of
from anchorlab.consistency.compare import Comparison
from anchorlab.consistency.table import comparison_table, headline_table
from anchorlab.consistency.words import words_of_comparison
from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json, write_json
from anchorlab.reports.foreign import refuse_foreign
from anchorlab.reports.html import PAGE
from anchorlab.reports.plain import PlainPage, PlainSection, write_plain
from anchorlab.settings import invalid
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table

#: The file that tells a folder with a comparison.
RECORD = "comparison.json"

_REMEDY = "run anchorlab compare again"


def write_comparison(
    comparison: Comparison,
    reference: str,
    candidate: str,
    out: Path,
    *,
    target: str | None = None,
    kinds: tuple[str | None, str | None] = (None, None),
) -> Path:
    """Writes ``comparison.json`` and the page to a folder.

    Args:
        comparison: what ``compare`` measured.
        reference: the name of the reference.
        candidate: the name of the candidate.
        out: the folder.
        target: the name of the class that the attacker wants, if it is known.
        kinds: see ``cautions_of``.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    known = {"reference": reference, "candidate": candidate, "target": target, "kinds": kinds}
    write_json(out / RECORD, {**known, "values": comparison.model_dump(mode="json")})
    return write_plain(comparison_page(comparison, reference, candidate, target=target, kinds=kinds), out)


def check_comparison_folder(folder: Path) -> None:
    """Refuses a folder whose files ``compare --out`` did not write, as ``refuse_foreign`` does."""
    refuse_foreign(folder / RECORD, "anchorlab compare", lambda: _page_of(folder / RECORD), [PAGE])


def write_folder(folder: Path, out: Path) -> Path:
    """Writes the page of a folder that ``compare --out`` filled; errors are as in ``write_file_page``."""
    return write_plain(_page_of(folder / RECORD), out)


def write_file_page(file: Path, out: Path | None) -> Path:
    """Writes the page of a file that ``compare --json`` wrote.

    Args:
        file: the file.
        out: where to write; a folder beside the file, called after it, if None.

    Raises:
        AnchorlabError: if the file holds no comparison, or the page cannot be written.
    """
    return write_plain(_page_of(file), file.with_name(f"{file.stem}-report") if out is None else out)


def _page_of(file: Path) -> PlainPage:
    record = read_json(file, "give a folder that a command wrote, or the file of compare --json")
    values = record.get("values", record)
    if not isinstance(values, dict) or not {"kl", "churn", "intervals"} <= values.keys():
        raise AnchorlabError(
            f"{file} holds no comparison of two models: give the file of 'anchorlab compare --json', or a folder that "
            "a command wrote"
        )
    try:
        comparison = Comparison.model_validate(values)
    except ValidationError as error:
        raise AnchorlabError(f"{invalid(f'the comparison {file}', error)}; {_REMEDY}") from error
    names = {name: _name(record, name) for name in ("reference", "candidate")}
    target = record.get("target")
    return comparison_page(
        comparison, **names, target=target if isinstance(target, str) else None, kinds=_kinds(record)
    )


def _kinds(record: dict[str, Any]) -> tuple[str | None, str | None]:
    """The kinds of both models, where the record has them; records of before have none."""
    match record.get("kinds"):
        case [str() | None as reference, str() | None as candidate]:
            return reference, candidate
    return None, None


def _name(record: dict[str, Any], role: str) -> str:
    name = record.get(role)
    return name if isinstance(name, str) else f"the {role}"


def comparison_page(
    comparison: Comparison,
    reference: str,
    candidate: str,
    *,
    target: str | None = None,
    kinds: tuple[str | None, str | None] = (None, None),
) -> PlainPage:
    """What a page says of a comparison; the arguments are those of ``write_comparison``."""
    title = f"{candidate} against {reference}"
    tables = [comparison_table(comparison, title)]
    by_class = [_class_table(comparison)] if comparison.by_class else []
    return PlainPage(
        kind="comparison",
        title=f"How consistent is {candidate} with {reference}?",
        findings=words_of_comparison(comparison, target=target),
        caution=" ".join(cautions_of(comparison, kinds=kinds)),
        sections=[
            PlainSection("The measurements to read first", tables=[headline_table(comparison, title)]),
            *([PlainSection("Churn by class", tables=by_class)] if by_class else []),
            PlainSection("Every measurement", tables=tables),
        ],
    )


def _class_table(comparison: Comparison) -> Table:
    """A row for each true class, the one that changed most first."""
    rows = [
        Row(
            name,
            [
                Cell(f"{rates.count:,}", rates.count),
                *(
                    Cell(f"{100 * rate:.3g}%", rate)
                    for rate in (rates.churn, rates.negative_flips, rates.positive_flips)
                ),
            ],
        )
        for name, rates in sorted(comparison.by_class.items(), key=lambda item: -item[1].churn)
    ]
    columns = (
        Column("count", "examples"),
        Column("churn", "churn"),
        Column("negative_flips", "right, became wrong"),
        Column("positive_flips", "wrong, became right"),
    )
    return Table("churn-by-class", "Churn by true class", "true class", columns, (Rows(rows),))
