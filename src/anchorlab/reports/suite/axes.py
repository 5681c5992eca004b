"""What the figures of a suite share: limits of axes, bars of intervals, titles with units and the better side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anchorlab.metrics import METRICS
from anchorlab.reports.drawing import Look, logarithmic_axis
from anchorlab.reports.suite.summary import Entry
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.numbers import defined


def axis_title(name: str) -> str:
    """The title of a metric with its unit, and an arrow to the side on which the candidate is more consistent."""
    measure = METRICS[name]
    unit = f" ({measure.unit})" if measure.unit not in ("", "correlation") else ""
    arrow = {"lower": "← ", "higher": ""}.get(measure.better, "")
    return f"{arrow}{measure.title}{unit}{' →' if measure.better == 'higher' else ''}"


def bar_of(estimate: Estimate, logarithmic: bool = False) -> list[list[float]] | None:
    """Lower and upper length of an error bar; on a logarithmic axis a bar that reaches zero runs off the panel."""
    value, lower, upper = estimate.value, estimate.lower, estimate.upper
    if value is None or lower is None or upper is None:
        return None
    down = max(value - lower, 0.0)
    return [[min(down, value * (1 - 1e-9)) if logarithmic else down], [max(upper - value, 0.0)]]


def bar_style(look: Look) -> dict[str, Any]:
    """How an interval is drawn: with ends, behind the signs."""
    return {"fmt": "none", "ecolor": look.light, "elinewidth": 1.2, "capsize": 2.5, "capthick": 1.2, "zorder": 2}


def by_reference(entry: Entry, name: str) -> list[float]:
    """The mean over runs of a metric on each reference, where it is defined."""
    if name not in entry.runs:
        return []
    means = entry.runs[name].astype(float).groupby(entry.runs["reference_seed"].to_numpy()).mean()
    return [float(mean) for mean in means if defined(mean)]


def ends_of(entry: Entry, name: str) -> list[float]:
    """The runs' values and the ends of the interval."""
    estimate = entry.estimate(name)
    return [*entry.values(name), *(end for end in (estimate.value, estimate.lower, estimate.upper) if end is not None)]


def set_limits(axis: Any, which: str, ends: Sequence[float], logarithmic: bool = False) -> None:
    """Limits that hold every value; logarithmic only if something is positive."""
    finite = [end for end in ends if np.isfinite(end) and (end > 0 or not logarithmic)]
    if not finite:
        return
    low, high = min(finite), max(finite)
    if logarithmic:
        logarithmic_axis(axis, which, *_wide(low, high))
    else:
        margin = 0.06 * (high - low or 0.1)
        axis.set(**{f"{which}lim": (low - margin, high + margin)})
        axis.locator_params(which, nbins=3 if which == "x" else 4)


def _wide(low: float, high: float) -> tuple[float, float]:
    """Limits of a logarithmic axis with some room, so wide that at least two ticks fall inside."""
    room = max(1.25, (6 * low / high) ** 0.5)
    return low / room, high * room
