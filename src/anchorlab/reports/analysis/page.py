"""The page of an analysis of weights: one self-contained file, with its tables and figures as files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from anchorlab.artifacts.manifest import NOTICES
from anchorlab.files import write_atomically, write_json
from anchorlab.perturbation.analysis import Analysis
from anchorlab.perturbation.summary import table_of
from anchorlab.perturbation.tables import TABLES
from anchorlab.reports.analysis.figures import draw_figures
from anchorlab.reports.html import PAGE, asset, environment, figure_uri
from anchorlab.statistics.comma_separated import frame_csv
from anchorlab.statistics.table import Table, to_latex

#: Heading of each section of the page, its figures and its tables. A table that is not here has a section of its own.
_SECTIONS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("The basin", ("basin",), ("barriers", "models", "plane")),
    ("Straight paths", ("paths",), ("paths",)),
    ("Size", ("layers",), ("sizes",)),
    ("Behaviour", (), ("behaviour",)),
    ("Size in function space", ("quadratic",), ("quadratic",)),
    ("Curvature", ("curvature",), ("rayleigh", "spectrum")),
    ("Geometry", ("angles",), ("angles",)),
    ("Bounds", ("bounds",), ("bounds", "instances")),
    ("Gradients along the injection", ("gradients",), ("gradients",)),
)


@dataclass(frozen=True)
class _Section:
    """A section of the page: figures as name, caption and URI, tables, and names of further files."""

    title: str
    figures: Sequence[tuple[str, str, str]]
    tables: Sequence[Table]
    files: Sequence[str]


def write_analysis(analysis: Analysis, out: str | Path) -> Path:
    """Writes ``index.html``, ``analysis.json``, ``tables/`` (CSV and LaTeX) and ``figures/`` (PNG and SVG) to a folder.

    The page needs nothing beside it and no network.

    Args:
        analysis: the result of ``analyze``.
        out: where to write; made if it is missing.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    out = Path(out)
    captions = draw_figures(analysis, out / "figures")
    for name, frame in analysis.tables.items():
        if len(frame):
            write_atomically(out / "tables" / f"{name}.csv", frame_csv(frame))
    sections = list(_sections(analysis, captions, out))
    for section in sections:
        for table in section.tables:
            write_atomically(out / "tables" / f"{table.name}.tex", to_latex(table))
    write_json(out / "analysis.json", analysis.to_dict())
    text = (
        environment()
        .get_template("analysis.html")
        .render(
            analysis=analysis,
            notice=NOTICES["injected"],
            sections=sections,
            descriptions={name: table.description for name, table in TABLES.items()},
            css=asset("page.css"),
        )
    )
    page = out / PAGE
    write_atomically(page, text)
    return page


def _sections(analysis: Analysis, captions: dict[str, str], out: Path) -> Iterator[_Section]:
    """The sections in which there is something to show."""
    named = {table for _, _, tables in _SECTIONS for table in tables}
    others = [(name.replace("_", " ").capitalize(), (), (name,)) for name in TABLES if name not in named]
    for title, figures, tables in (*_SECTIONS, *others):
        measured = [name for name in tables if len(analysis.tables[name])]
        section = _Section(
            title,
            figures=[(name, captions[name], figure_uri(out, name)) for name in figures if name in captions],
            tables=[table_of(analysis, name) for name in measured if TABLES[name].in_page],
            files=[name for name in measured if not TABLES[name].in_page],
        )
        if section.figures or section.tables:
            yield section
