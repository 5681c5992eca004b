"""Still figures of an analysis of weights, as PNG and SVG files: the same data give the same bytes."""

from __future__ import annotations

from pathlib import Path

from anchorlab.perturbation.analysis import Analysis
from anchorlab.reports.analysis.figures.angles import ANGLES
from anchorlab.reports.analysis.figures.basin import BASIN
from anchorlab.reports.analysis.figures.bounds import BOUNDS
from anchorlab.reports.analysis.figures.curvature import CURVATURE
from anchorlab.reports.analysis.figures.figure import AnalysisFigure, candidate_looks
from anchorlab.reports.analysis.figures.gradients import GRADIENTS
from anchorlab.reports.analysis.figures.layers import LAYERS
from anchorlab.reports.analysis.figures.paths import PATHS
from anchorlab.reports.analysis.figures.quadratic import QUADRATIC

FIGURES: tuple[AnalysisFigure, ...] = (BASIN, PATHS, LAYERS, QUADRATIC, CURVATURE, ANGLES, BOUNDS, GRADIENTS)


def draw_figures(analysis: Analysis, folder: Path) -> dict[str, str]:
    """Draws every figure for which there is something to draw; returns name to caption, in order.

    Args:
        analysis: the result of ``analyze``.
        folder: where the files go.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    look = candidate_looks(analysis)
    drawn = {}
    for figure in FIGURES:
        if len(analysis.tables[figure.table]):
            figure.draw(analysis.tables, look, folder / figure.name)
            drawn[figure.name] = figure.caption
    return drawn
