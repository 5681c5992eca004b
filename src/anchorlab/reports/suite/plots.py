"""What the scripts of the web page draw and list: plain values, ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.reports.drawing import CONTROL, looks
from anchorlab.reports.measures import PLOTTED, shown_metrics
from anchorlab.reports.suite.fronts import Tried, lowest_shown
from anchorlab.reports.suite.summary import Condition, Entry, Group
from anchorlab.statistics.estimate import Estimate

#: Columns of the table of all runs, before the measurements; long hashes are shortened, the CSV file has them whole.
_RUN_COLUMNS = (
    *("task", "trigger", "rule", "target", "method", "target_asr", "anchors_asked", "anchors", "strength", "scale"),
    *("seed", "reference_seed", "steps", "seconds", "peak_bytes", "identity"),
)
_SHORT_HASH = 12


def runs_data(results: pd.DataFrame) -> dict[str, Any]:
    """Every run by columns: ``names`` and, in the same order, ``values``; undefined values are null."""
    names = [name for name in (*_RUN_COLUMNS, *(metric.name for metric in shown_metrics())) if name in results]
    return {"names": names, "values": [_column(name, results[name]) for name in names]}


def measures_data() -> dict[str, Any]:
    """Title and kind of axis of each metric that can be plotted."""
    return {
        name: {"title": METRICS[name].title, "unit": METRICS[name].unit, "log": METRICS[name].logarithmic}
        for name in (*PLOTTED, "asr")
    }


def looks_data(labels: Sequence[str]) -> dict[str, Any]:
    """Colours and marker of each method."""
    lines = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
    return {
        label: {
            "light": look.light,
            "dark": look.dark,
            "symbol": look.symbol if look.filling == "full" else f"{look.symbol}-open",
            "dash": lines[look.line],
        }
        for label, look in looks(labels).items()
    }


def methods_plot(group: Group) -> dict[str, Any]:
    """Each run of each method, and its mean with interval, for each metric."""
    return {
        "kind": "methods",
        "entries": [
            {
                "label": entry.label,
                "runs": _runs(entry),
                "means": {name: _bounds(entry.estimate(name)) for name in PLOTTED},
            }
            for entry in group.entries
            if len(entry.runs)
        ],
    }


def front_plot(asked: str, lines: dict[str, list[list[Tried]]], conditions: Sequence[Condition]) -> dict[str, Any]:
    """Strengths tried on ``selection``, and reported means on ``test``, for one number of anchors."""
    reported = [
        (condition.target_asr, entry)
        for condition in conditions
        for group in condition.groups
        for entry in group.entries
        if group.asked == asked and len(entry.runs)
    ]
    targets = [condition.target_asr for condition in conditions]
    return {
        "kind": "front",
        "targets": targets,
        "from": lowest_shown(targets, [point.asr for parts in lines.values() for part in parts for point in part]),
        "lines": [
            {
                "label": label,
                "points": [
                    {
                        "strength": point.strength,
                        "scale": point.scale,
                        "asr": _rounded(point.asr),
                        "metrics": {name: _rounded(value) for name, value in point.metrics.items()},
                        "chosen": list(point.chosen_for),
                    }
                    for point in part
                ],
            }
            for label, parts in lines.items()
            for part in parts
        ],
        "reported": [
            {
                "label": entry.label,
                "target": target,
                "control": entry.label == CONTROL,
                "asr": _bounds(entry.estimate("asr")),
                "means": {name: _bounds(entry.estimate(name)) for name in PLOTTED},
            }
            for target, entry in reported
        ],
    }


def _runs(entry: Entry) -> dict[str, Any]:
    """Names of the runs, and their values by metric."""
    named = zip(entry.runs["reference_seed"], entry.runs["seed"], strict=True)
    return {
        "names": [f"reference {reference}, seed {seed}" for reference, seed in named],
        **{name: [_rounded(value) for value in entry.runs[name]] for name in PLOTTED if name in entry.runs},
    }


def _bounds(estimate: Estimate) -> list[float | None]:
    return [_rounded(value) for value in (estimate.value, estimate.lower, estimate.upper)]


def _column(name: str, values: pd.Series[Any]) -> list[Any]:
    if name == "identity":
        return [str(value)[:_SHORT_HASH] for value in values]
    return [_rounded(value) if isinstance(value, int | float) else _text(value) for value in values.tolist()]


def _text(value: Any) -> str | None:
    return None if pd.isna(value) else str(value)


def _rounded(value: Any) -> float | None:
    """Five significant digits, which keeps the page small; None where undefined."""
    if value is None or not math.isfinite(number := float(value)):
        return None
    return int(number) if number.is_integer() and abs(number) < 1e15 else float(f"{number:.5g}")
