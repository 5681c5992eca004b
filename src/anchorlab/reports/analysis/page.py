"""The page of an analysis of weights: one self-contained file, with its tables and figures as files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from markupsafe import Markup

from anchorlab.artifacts.manifest import NOTICES
from anchorlab.files import write_atomically, write_json
from anchorlab.perturbation.analysis import Analysis
from anchorlab.perturbation.summary import summary_table, table_of
from anchorlab.perturbation.tables import TABLES
from anchorlab.reports.analysis.answer import DEFINITIONS, answer_of
from anchorlab.reports.analysis.figures import draw_figure, figures_of
from anchorlab.reports.html import PAGE, environment, style_sheet
from anchorlab.reports.inline import drawn
from anchorlab.statistics.comma_separated import frame_csv
from anchorlab.statistics.table import Table, to_latex

#: How a sentence begins that every analysis has; the settings at the page's end say it.
COUNTING = "Integer buffers"

#: Heading of each section of the page, its figures and its tables. A table that is not here has a section of its own.
_SECTIONS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("The basin", ("basin",), ("barriers", "models", "plane")),
    ("Straight paths", ("paths",), ("paths",)),
    ("Size", ("layers",), ("sizes",)),
    ("Adapter", (), ("adapter",)),
    ("Behaviour", (), ("behaviour",)),
    ("Size in function space", ("quadratic",), ("quadratic",)),
    ("Curvature", ("curvature",), ("rayleigh", "spectrum")),
    ("Geometry", ("angles",), ("angles",)),
    ("Bounds", ("bounds",), ("bounds", "instances")),
    ("Gradients along the injection", ("gradients",), ("gradients",)),
)


@dataclass(frozen=True)
class _Section:
    """A section of the page: figures as name, caption and element, tables, and names of further files."""

    title: str
    figures: Sequence[tuple[str, str, Markup]]
    tables: Sequence[Table]
    files: Sequence[str]

    @property
    def id(self) -> str:
        """The anchor of links to it."""
        return f"part-{self.title.lower().replace(' ', '-')}"


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
    figures = {
        figure.name: (
            figure.caption,
            drawn(partial(draw_figure, figure, analysis), out / "figures" / figure.name, figure.caption),
        )
        for figure in figures_of(analysis)
    }
    for name, frame in analysis.tables.items():
        if len(frame):
            write_atomically(out / "tables" / f"{name}.csv", frame_csv(frame))
    sections = list(_sections(analysis, figures))
    for section in sections:
        for table in section.tables:
            write_atomically(out / "tables" / f"{table.name}.tex", to_latex(table))
    write_json(out / "analysis.json", analysis.to_dict())
    text = (
        environment(out)
        .get_template("analysis.html")
        .render(
            analysis=analysis,
            notice=NOTICES["injected"],
            answer=answer_of(analysis),
            summary=summary_table(analysis),
            left_out=[words for words in analysis.left_out if not words.startswith(COUNTING)],
            definitions=DEFINITIONS,
            sections=sections,
            descriptions={name: table.description for name, table in TABLES.items()},
            css=style_sheet(),
        )
    )
    page = out / PAGE
    write_atomically(page, text)
    return page


def _sections(analysis: Analysis, drawings: dict[str, tuple[str, Markup]]) -> Iterator[_Section]:
    """The sections in which there is something to show."""
    named = {table for _, _, tables in _SECTIONS for table in tables}
    others = [(name.replace("_", " ").capitalize(), (), (name,)) for name in TABLES if name not in named]
    for title, figures, tables in (*_SECTIONS, *others):
        measured = [name for name in tables if len(analysis.tables[name])]
        section = _Section(
            title,
            figures=[(name, *drawings[name]) for name in figures if name in drawings],
            tables=[table_of(analysis, name) for name in measured if TABLES[name].in_page],
            files=[name for name in measured if not TABLES[name].in_page],
        )
        if section.figures or section.tables:
            yield section
