"""Still figures of an analysis of weights: the same data give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from anchorlab.perturbation.analysis import Analysis
from anchorlab.reports.analysis.figures.angles import ANGLES
from anchorlab.reports.analysis.figures.basin import BASIN
from anchorlab.reports.analysis.figures.bounds import BOUNDS
from anchorlab.reports.analysis.figures.curvature import CURVATURE
from anchorlab.reports.analysis.figures.figure import AnalysisFigure, looks_of
from anchorlab.reports.analysis.figures.gradients import GRADIENTS
from anchorlab.reports.analysis.figures.layers import LAYERS
from anchorlab.reports.analysis.figures.paths import PATHS
from anchorlab.reports.analysis.figures.quadratic import QUADRATIC
from anchorlab.reports.drawing import WIDE, Sheet

FIGURES: tuple[AnalysisFigure, ...] = (BASIN, PATHS, LAYERS, QUADRATIC, CURVATURE, ANGLES, BOUNDS, GRADIENTS)


def figures_of(analysis: Analysis) -> Iterator[AnalysisFigure]:
    """Every figure for which there is something to draw."""
    return (figure for figure in FIGURES if len(analysis.tables[figure.table]))


def draw_figure(figure: AnalysisFigure, analysis: Analysis, stem: Path, sheet: Sheet = WIDE) -> None:
    """Draws one figure.

    Args:
        figure: one of ``figures_of``.
        analysis: the result of ``analyze``.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    figure.draw(analysis.tables, looks_of(analysis), stem, sheet)
