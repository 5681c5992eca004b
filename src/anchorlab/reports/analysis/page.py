"""The page of an analysis of weights: one self-contained file, with its tables and figures as files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab.artifacts.manifest import NOTICES
from anchorlab.files import write_atomically, write_json
from anchorlab.perturbation.analysis import TABLES, Analysis
from anchorlab.perturbation.size import WHOLE
from anchorlab.reports.analysis.figures import draw_all
from anchorlab.reports.html import PAGE, asset, environment, figure_uri
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table, number, to_latex

#: Version of ``analysis.json``.
FORMAT = 1

#: Heading of each part of the page, the figures that it shows, and the tables: those after it are files only.
_PARTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    ("The basin", ("basin",), ("barriers", "models"), ("plane",)),
    ("Straight paths", ("paths",), (), ("paths",)),
    ("Size", ("layers",), ("sizes",), ()),
    ("Behaviour", (), ("behaviour",), ()),
    ("Size in function space", ("quadratic",), ("quadratic",), ()),
    ("Curvature", ("curvature",), ("rayleigh", "spectrum"), ()),
    ("Geometry", ("angles",), (), ("angles",)),
    ("Bounds", ("bounds",), ("bounds",), ("instances",)),
    ("Gradients along the injection", ("gradients",), (), ("gradients",)),
)

#: Headings of columns whose names do not say enough.
_TITLES = {
    "asr": "ASR",
    "asr_count": "of",
    "bound_mean": "mean bound",
    "ewc": "EWC's diagonal",
    "kl": "KL",
    "kl_quadratic": "KL, quadratic",
    "kl_ratio": "quadratic / measured",
    "l2": "L2",
    "linf": "L∞",
    "logit_distance_linear": "logit distance, linear",
    "loss_quadratic": "loss, quadratic",
    "rms": "RMS",
    "to_largest": "/ largest eigenvalue",
    "to_mean": "/ mean eigenvalue",
}


@dataclass(frozen=True)
class _Part:
    """A part of the page: figures as words and URI, tables, and names of further files."""

    title: str
    figures: Sequence[tuple[str, str, str]]
    tables: Sequence[Table]
    files: Sequence[str]


def write_analysis(analysis: Analysis, out: Path) -> Path:
    """Writes ``index.html``, ``analysis.json``, ``tables/`` (CSV and LaTeX) and ``figures/`` (PNG and SVG) to a folder.

    The page needs nothing beside it and no network.

    Args:
        analysis: what ``analyze`` found.
        out: where to write; made if it is missing.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if the place cannot be written.
    """
    drawn = draw_all(analysis, out / "figures")
    for name, frame in analysis.tables.items():
        if len(frame):
            write_atomically(out / "tables" / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    parts = []
    for title, figures, tables, files in _PARTS:
        shown = [table_of(analysis, name) for name in tables if len(analysis.tables[name])]
        for table in shown:
            write_atomically(out / "tables" / f"{table.name}.tex", to_latex(table))
        pictures = [(name, drawn[name], figure_uri(out, name)) for name in figures if name in drawn]
        if shown or pictures:
            parts.append(_Part(title, pictures, shown, [name for name in files if len(analysis.tables[name])]))
    write_json(out / "analysis.json", to_dict(analysis))
    page = out / PAGE
    text = (
        environment()
        .get_template("analysis.html")
        .render(
            analysis=analysis,
            notice=NOTICES["injected"],
            parts=parts,
            meanings=TABLES,
            css=asset("page.css"),
        )
    )
    write_atomically(page, text)
    return page


def to_dict(analysis: Analysis) -> dict[str, Any]:
    """An analysis without its tables, as JSON values."""
    return {
        "format": FORMAT,
        "reference": analysis.reference,
        "candidates": list(analysis.candidates),
        "kinds": dict(analysis.kinds),
        "task": analysis.task,
        "split": analysis.split,
        "count": analysis.count,
        "parameters": analysis.parameters,
        "buffers_left_out": list(analysis.buffers_left_out),
        "settings": dict(analysis.settings),
        "findings": list(analysis.findings),
        "left_out": list(analysis.left_out),
    }


def summary_table(analysis: Analysis) -> Table:
    """What matters most of each candidate, a row each, as far as it was measured."""
    rows = pd.DataFrame({"candidate": list(analysis.candidates)})
    whole = _where(analysis.tables["sizes"], layer=WHOLE)
    for frame, names in (
        (whole, ["relative"]),
        (_where(analysis.tables["behaviour"], part="all"), ["kl", "asr"]),
        (analysis.tables["quadratic"], ["kl_ratio"]),
        (_where(analysis.tables["barriers"], buffers="stored"), ["loss", "error"]),
    ):
        if len(frame):
            ends = [f"{name}{end}" for name in names for end in ("", "_lower", "_upper")]
            wanted = [column for column in ends if column in frame]
            rows = rows.merge(frame[["candidate", *wanted]], on="candidate", how="left")
    heads = {"loss": "loss barrier", "error": "error barrier", "relative": "relative L2"}
    return _table("summary", f"{analysis.task}: changes against {analysis.reference}.", rows, heads)


def table_of(analysis: Analysis, name: str) -> Table:
    """A table of an analysis, with intervals beside their values; of sizes, only what concerns the whole model."""
    frame = analysis.tables[name]
    if name == "sizes":
        frame = _where(frame, layer=WHOLE).drop(columns="layer")
    return _table(name, f"{TABLES[name].capitalize()}.", frame, {})


def _where(frame: pd.DataFrame, **values: str) -> pd.DataFrame:
    for column, value in values.items():
        frame = frame[frame[column] == value] if len(frame) else frame
    return frame


def _table(name: str, caption: str, frame: pd.DataFrame, titles: dict[str, str]) -> Table:
    head, *columns = (str(column) for column in frame if not str(column).endswith(("_lower", "_upper")))
    heads = {**{column: _TITLES.get(column, column.replace("_", " ")) for column in columns}, **titles}
    return Table(
        name=name,
        caption=caption,
        head=head.replace("_", " "),
        columns=[Column(column, heads[column], is_text=frame[column].dtype.kind == "O") for column in columns],
        groups=[Rows([Row(str(row[head]), [_cell(row, column) for column in columns]) for row in _records(frame)])],
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _cell(row: dict[str, Any], column: str) -> Cell:
    value = row[column]
    if isinstance(value, str):
        return Cell(value, value)
    known = number(value)
    if known is None:
        return Cell("–")
    lower, upper = number(row.get(f"{column}_lower")), number(row.get(f"{column}_upper"))
    if lower is None or upper is None:
        return Cell(_digits(value), known)
    return Cell(_digits(known), known, (lower, upper), f"[{_digits(lower)}, {_digits(upper)}]")


def _digits(value: float) -> str:
    """Three significant digits; counts in full."""
    if value == 0:
        return "0"
    if float(value).is_integer() and 10 <= abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.3g}".replace("-", "−")
