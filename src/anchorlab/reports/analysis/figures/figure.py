"""The figure of an analysis as a value, and the parts that several figures share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.perturbation.analysis import Analysis
from anchorlab.reports.drawing import Look, Sheet, looks, marker_style, shorten

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
        draw: writes it; takes all tables, how each candidate is drawn, the files' path without their ending, and the
            sheet that it is drawn on.
    """

    name: str
    table: str
    caption: str
    draw: Callable[[Tables, Looks, Path, Sheet], None]


def candidate_looks(candidates: Sequence[str], kinds: Mapping[str, str]) -> dict[str, Look]:
    """How each candidate is drawn: with the look of its method, as a variant if several share the method.

    Args:
        candidates: their names.
        kinds: what each is, by name; a candidate without a kind is looked up by its name.
    """
    known = [kinds.get(name) or name for name in candidates]
    labels = [kind if known.count(kind) == 1 else f"{kind} ({known[:i].count(kind)})" for i, kind in enumerate(known)]
    by_label = looks(labels)
    return {name: by_label[label] for name, label in zip(candidates, labels, strict=True)}


def looks_of(analysis: Analysis) -> dict[str, Look]:
    """How each candidate of an analysis is drawn."""
    return candidate_looks(analysis.candidates, analysis.kinds)


def legend_of(look: Looks, candidates: Iterable[Any], *, line: bool = True) -> list[tuple[Line2D, str]]:
    """Handle and label of each candidate that a table has."""
    having = set(candidates)
    styles = {name: marker_style(look[name]) | ({"linestyle": look[name].line} if line else {}) for name in look}
    return [(Line2D([], [], **styles[name]), shorten(name, 28)) for name in look if name in having]


def bar(row: Mapping[Any, Any], name: str) -> Sequence[Sequence[float]]:
    """How far the interval of a value reaches below and above it, as matplotlib draws error bars."""
    return [[max(row[name] - row[f"{name}_lower"], 0.0)], [max(row[f"{name}_upper"] - row[name], 0.0)]]
