"""The page of what ``detect --out`` wrote: one table of scores, and the triggers that detectors found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json
from anchorlab.reports.foreign import refuse_foreign
from anchorlab.reports.html import PAGE, png_uri
from anchorlab.reports.plain import PlainPage, PlainSection, write_plain
from anchorlab.statistics.comma_separated import read_csv
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table, estimate_cell, frame_table

#: The file that tells a folder of a detector.
RECORD = "detection.json"

#: Most rows of what a detector tried.
_ROWS = 40

_REMEDY = "run anchorlab detect again with --out"


def write_detections_page(folder: Path, out: Path) -> Path:
    """Writes the page of a folder that ``detect --out`` filled, with one folder a detector; or of one of these.

    Raises:
        AnchorlabError: if a file is damaged, or the page cannot be written.
    """
    return write_plain(_page_of(folder), out)


def check_detections_folder(folder: Path) -> None:
    """Refuses a folder whose files ``detect --out`` did not write, as ``refuse_foreign`` does."""
    records = sorted(folder.glob(f"*/{RECORD}"))
    for record in records:
        refuse_foreign(record, "anchorlab detect", partial(_page_of, record.parent))
    if not records:
        refuse_foreign(folder / RECORD, "anchorlab detect", lambda: _page_of(folder), [PAGE])


def _page_of(folder: Path) -> PlainPage:
    files = sorted([*folder.glob(RECORD), *folder.glob(f"*/{RECORD}")])
    records = {file.parent: read_json(file, _REMEDY) for file in files}
    try:
        return _page(folder.resolve().name, records)
    except (KeyError, TypeError, ValueError) as error:
        raise AnchorlabError(f"a {RECORD} in {folder} is damaged ({error!r}): {_REMEDY}") from error


def _page(name: str, records: Mapping[Path, dict[str, Any]]) -> PlainPage:
    of_models = {path: record for path, record in records.items() if "auroc" not in record}
    of_inputs = {path: record for path, record in records.items() if "auroc" in record}
    sections = []
    if of_models:
        sections.append(PlainSection("Detectors of models", tables=[_models_table(of_models)]))
    if of_inputs:
        sections.append(PlainSection("Detectors of inputs", tables=[_inputs_table(of_inputs)]))
    for path, record in of_models.items():
        found, details = path / "found.png", path / "details.csv"
        pictures = [("The triggers that it found", png_uri(found.read_bytes()))] if found.is_file() else []
        frames = [read_csv(details)] if details.is_file() else []
        tables = [frame_table("details", "what was tried", frame.head(_ROWS)) for frame in frames if len(frame)]
        words = [f"The first {_ROWS} of {len(frame):,} rows." for frame in frames if len(frame) > _ROWS]
        if tables or pictures:
            title = f"{record['detector']}: what was tried"
            sections.append(PlainSection(title, words=words, tables=tables, pictures=pictures))
    return PlainPage("detection", f"How suspicious is it? {name}", list(_findings(records.values())), sections)


def _findings(records: Any) -> Iterator[str]:
    for record in records:
        name = record["detector"]
        if "auroc" in record:
            value, *_ = record["auroc"]
            yield (
                f"{name} ranks a triggered input above a clean one with a chance of "
                f"{'–' if value is None else f'{value:.3f}'} (AUROC; 0.5 is no better than a coin)."
            )
        else:
            score = record["score"]
            note = f" ({record['note']})" if record.get("note") else ""
            yield f"{name} gives the model a score of {'–' if score is None else f'{score:.4g}'}{note}."
    yield (
        "A score is no verdict: only clean models, or clean inputs, tell what is high, and no detector proves the "
        "absence of a backdoor."
    )


def _models_table(records: Mapping[Path, dict[str, Any]]) -> Table:
    columns = (Column("score", "score"), Column("note", "note", is_text=True))
    rows = [
        Row(record["detector"], [_number(record["score"]), Cell(record.get("note") or "")])
        for record in records.values()
    ]
    caption = "Scores of the model; the higher, the more suspicious"
    return Table("scores", caption, "detector", columns, (Rows(rows),))


def _inputs_table(records: Mapping[Path, dict[str, Any]]) -> Table:
    rates = list(dict.fromkeys(rate for record in records.values() for rate in record["at_rate"]))
    columns = [Column("auroc", "AUROC")]
    for rate in rates:
        percent = f"{100 * float(rate):g}%"
        columns += [Column(f"tpr-{rate}", f"TPR at {percent} FPR"), Column(f"fpr-{rate}", f"FPR at {percent} FPR")]
    columns += [Column("clean", "clean inputs"), Column("triggered", "triggered inputs")]
    rows = []
    for record in records.values():
        cells = [_estimate(record["auroc"])]
        for rate in rates:
            at = record["at_rate"][rate]
            cells += [_estimate(at["detected"]), _estimate(at["false_alarms"])]
        cells += [Cell(f"{record[f'{part}_count']:,}", record[f"{part}_count"]) for part in ("clean", "triggered")]
        rows.append(Row(record["detector"], cells))
    caption = "How well detectors separate triggered inputs from clean ones; thresholds come from the defender's data"
    return Table("inputs", caption, "detector", columns, (Rows(rows),))


def _estimate(ends: list[float | None]) -> Cell:
    return estimate_cell(Estimate(ends[0], ends[1], ends[2]), lambda value: f"{value:.3f}")


def _number(value: float | None) -> Cell:
    return Cell("–") if value is None else Cell(f"{value:.4g}", value)
