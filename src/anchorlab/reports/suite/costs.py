"""What runs cost: duration and memory, mean and range over runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anchorlab.reports.suite.summary import Condition, Entry
from anchorlab.statistics.numbers import defined, span
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table


def cost_table(condition: Condition) -> Table:
    """Duration and memory of the optimisation, mean and range over runs."""
    groups = [
        Rows([_cost(entry) for entry in group.entries if len(entry.runs)], group.title)
        for group in condition.groups
        if any(len(entry.runs) for entry in group.entries)
    ]
    return Table(
        f"cost-{condition.slug}",
        f"{condition.words}: what a run costs, mean and range over runs.",
        "method",
        [
            Column("steps", "steps"),
            Column("seconds", "time", "seconds", "Duration of the optimisation, without measuring."),
            Column(
                "peak_bytes",
                "peak memory",
                "GB",
                "Largest memory: of the GPU during the run; without a GPU, of the process since its start, so an "
                "earlier run may have caused it.",
            ),
        ],
        groups,
    )


def _cost(entry: Entry) -> Row:
    steps, memory = entry.values("steps"), [value / 1e9 for value in entry.values("peak_bytes")]
    cells = [
        Cell(span(min(steps), max(steps)), float(np.mean(steps))),
        ranged(entry.values("seconds"), lambda value: f"{value:.1f}"),
        ranged(memory, lambda value: f"{value:.2f}"),
    ]
    return Row(entry.label, cells, kind=entry.role)


def ranged(values: list[float], write: Callable[[float], str]) -> Cell:
    """The mean of runs, and their range where they differ."""
    mean, low, high = float(np.mean(values)), min(values), max(values)
    if not defined(mean):
        return Cell("undefined")
    return Cell(write(mean), mean, (low, high), f"[{write(low)}, {write(high)}]" if high > low else "")
