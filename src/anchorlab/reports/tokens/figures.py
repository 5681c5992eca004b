"""The figures of a comparison of two language models: how rarely the KL is large, and where in a context."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.lines import Line2D

from anchorlab.reports.drawing import Sheet, logarithmic_axis, shorten, written_figure
from anchorlab.reports.inline import drawn
from anchorlab.reports.looks import PAPER, RULE, SERIES
from anchorlab.tokens.measurements import UPPER, percentile_name
from anchorlab.tokens.result import Measurement, TokenComparison
from anchorlab.tokens.words import number

#: What is drawn in each figure: the measurement, its name in a legend, and its marker.
_DRAWN = (("kl", "KL", "o"), ("kl_reverse", "reverse KL", "s"))


class _Point(NamedTuple):
    """A value, its interval if it has one, and where it stands on the other axis."""

    value: float
    ends: tuple[float, float] | None
    place: float


def survival_element(comparison: TokenComparison, folder: Path) -> Markup | None:
    """The share of tokens whose KL exceeds a value; None where every KL is 0.

    Args:
        comparison: what was measured.
        folder: where the files of the figure are written.
    """
    series = {key: quantiles(comparison, key) for key, _, _ in _DRAWN}
    if not any(series.values()):
        return None
    caption = (
        "Share of tokens whose KL is larger than a value: the percentiles, with 95% intervals over documents where ten "
        "documents or more lie beyond, and the largest KL, hollow, which has none."
    )
    floors = [part.measurements["kl"].value for part in comparison.noise if "kl" in part.measurements]
    draw = partial(_draw_survival, series, max((floor for floor in floors if floor), default=0.0))
    return _figure(drawn(draw, folder / "survival", caption), caption)


def position_element(comparison: TokenComparison, folder: Path) -> Markup | None:
    """The mean KL by how many tokens came before; None where there are not two positions with a KL above 0.

    Args:
        comparison: what was measured.
        folder: where the files of the figure are written.
    """
    parts = comparison.by_position
    series = {
        key: [
            point
            for place, part in enumerate(parts)
            if (point := _point(part.measurements.get(key), place)) is not None
        ]
        for key, _, _ in _DRAWN
    }
    if max(map(len, series.values())) < 2:
        return None
    caption = "Mean KL by the number of tokens that the models had read before, with 95% intervals over documents."
    draw = partial(_draw_positions, series, [part.name for part in parts])
    return _figure(drawn(draw, folder / "positions", caption), caption)


def _figure(element: Markup, caption: str) -> Markup:
    return Markup('<div class="gallery"><figure>{}<figcaption>{}</figcaption></figure></div>').format(element, caption)


def quantiles(comparison: TokenComparison, column: str) -> list[_Point]:
    """Percentiles against the share of tokens beyond them, and at the end the largest value.

    Percentiles that less than one token lies beyond say no more than the largest value.
    """
    points = []
    for percent in [each for each in UPPER if (1 - each / 100) * comparison.tokens > 1]:
        point = _point(comparison.measurements.get(percentile_name(column, percent)), 1 - percent / 100)
        points += [] if point is None else [point]
    most = _point(comparison.measurements.get(f"{column}_max"), 1 / max(comparison.tokens, 1))
    return points if most is None else [*points, most._replace(ends=None)]


def _point(measurement: Measurement | None, place: float) -> _Point | None:
    """A value that a logarithmic axis has a place for."""
    if measurement is None or measurement.value is None or not 0 < measurement.value < math.inf:
        return None
    ends = measurement.interval
    known = ends is not None and 0 < ends[0] <= ends[1] < math.inf
    return _Point(measurement.value, ends if known else None, place)


def _draw_survival(series: dict[str, list[_Point]], floor: float, stem: Path, sheet: Sheet) -> None:
    legend = _legend(series)
    style: dict[str, Any] = {"color": RULE, "linestyle": ":", "linewidth": 1.2}
    if floor:
        legend.append((Line2D([], [], **style), f"noise floor, mean {number(floor)}"))
    with written_figure(stem, min(sheet.width, 5.6), 2.9, sheet, legend=legend) as figure:
        axis = figure.subplots()
        for number_of, (key, _, marker) in enumerate(_DRAWN):
            points = series[key]
            colour, _, line = SERIES[number_of]
            axis.plot([p.value for p in points], [p.place for p in points], color=colour, linestyle=line, linewidth=1.2)
            for point in points:
                last = point is points[-1] and point.ends is None
                _mark(axis, point.value, point.place, colour, marker, hollow=last)
                if point.ends is not None:
                    axis.plot(point.ends, [point.place] * 2, color=colour, linewidth=1)
        if floor:
            axis.axvline(floor, **style)
        values = [end for points in series.values() for p in points for end in (p.value, *(p.ends or ()))]
        places = [point.place for points in series.values() for point in points]
        logarithmic_axis(axis, "x", *_around([*values, *([floor] if floor else [])]))
        logarithmic_axis(axis, "y", min(places) / 1.6, 1.0)
        axis.set(xlabel="KL, nats", ylabel="share of tokens above")


def _draw_positions(series: dict[str, list[_Point]], names: Sequence[str], stem: Path, sheet: Sheet) -> None:
    with written_figure(stem, min(sheet.width, 5.6), 2.6, sheet, legend=_legend(series)) as figure:
        axis = figure.subplots()
        for number_of, (key, _, marker) in enumerate(_DRAWN):
            points = series[key]
            colour, _, line = SERIES[number_of]
            places = [point.place + 0.12 * (2 * number_of - 1) for point in points]
            axis.plot(places, [point.value for point in points], color=colour, linestyle=line, linewidth=1.2)
            for place, point in zip(places, points, strict=True):
                _mark(axis, place, point.value, colour, marker)
                if point.ends is not None:
                    axis.plot([place] * 2, point.ends, color=colour, linewidth=1)
        values = [end for points in series.values() for p in points for end in (p.value, *(p.ends or ()))]
        logarithmic_axis(axis, "y", *_around(values))
        every = max(1, math.ceil(len(names) * max(map(len, names)) * 0.12 / min(sheet.width, 5.6)))
        shown = range(0, len(names), every)
        axis.set_xticks(list(shown), [shorten(names[place], 14) for place in shown])
        axis.set(xlabel="tokens before", ylabel="mean KL, nats", xlim=(-0.5, len(names) - 0.5))


def _mark(axis: Any, x: float, y: float, colour: str, marker: str, *, hollow: bool = False) -> None:
    face = PAPER if hollow else colour
    axis.plot(x, y, marker=marker, color=colour, markerfacecolor=face, markersize=4.5, linestyle="none", zorder=3)


def _legend(series: dict[str, list[_Point]]) -> list[tuple[Line2D, str]]:
    return [
        (Line2D([], [], color=colour, linestyle=line, marker=marker, markersize=4.5), words)
        for (key, words, marker), (colour, _, line) in zip(_DRAWN, SERIES, strict=False)
        if series[key]
    ]


def _around(values: Sequence[float]) -> tuple[float, float]:
    """A logarithmic axis's ends, with some room."""
    return min(values) / 1.5, max(values) * 1.5


def figures_of(comparison: TokenComparison, folder: Path) -> Iterator[tuple[str, Markup]]:
    """The figures that there are, by their names."""
    for name, make in (("survival", survival_element), ("positions", position_element)):
        element = make(comparison, folder)
        if element is not None:
            yield name, element
