"""The figure of an analysis as a value, and the parts that several figures share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.perturbation.analysis import Analysis
from anchorlab.reports.drawing import Look, looks, marker_style, shorten

Tables = Mapping[str, pd.DataFrame]
Looks = Mapping[str, Look]

#: Losses and divergences above this, in nats, are drawn as this value: the model no longer works.
HIGHEST = 10.0


@dataclass(frozen=True)
class AnalysisFigure:
    """A still figure.

    Attributes:
        name: of its files.
        table: the table without which there is nothing to draw.
        caption: what it shows.
        draw: writes it; takes all tables, how each candidate is drawn, and the files' path without their ending.
    """

    name: str
    table: str
    caption: str
    draw: Callable[[Tables, Looks, Path], None]


def candidate_looks(analysis: Analysis) -> dict[str, Look]:
    """How each candidate is drawn: with the look of its method, as a variant if several share the method."""
    kinds = [analysis.kinds.get(name) or name for name in analysis.candidates]
    labels = [kind if kinds.count(kind) == 1 else f"{kind} ({kinds[:i].count(kind)})" for i, kind in enumerate(kinds)]
    by_label = looks(labels)
    return {name: by_label[label] for name, label in zip(analysis.candidates, labels, strict=True)}


def draw_legend(figure: Any, look: Looks, candidates: pd.Series[Any]) -> None:
    """The candidates that a table has, below a figure."""
    names = [name for name in look if name in set(candidates)]
    lines = [Line2D([], [], **(marker_style(look[name]) | {"linestyle": look[name].line})) for name in names]
    figure.legend(lines, [shorten(name, 28) for name in names], loc="outside lower center", ncols=5, fontsize=8)


def bar(row: Mapping[Any, Any], name: str) -> Sequence[Sequence[float]]:
    """How far the interval of a value reaches below and above it, as matplotlib draws error bars."""
    return [[max(row[name] - row[f"{name}_lower"], 0.0)], [max(row[f"{name}_upper"] - row[name], 0.0)]]
