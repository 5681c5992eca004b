"""The main table of a suite as a terminal shows it: means alone, narrow enough for 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.reports.suite.paired import pair
from anchorlab.reports.suite.parts import Part, parts_of
from anchorlab.statistics.numbers import defined, fraction, significant
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults

#: What each run is measured in; the ratio of KL to plain tuning's follows.
_MEASURES = ("asr", "accuracy", "kl", "churn")

#: The method that the last column compares with.
_BASELINE = "plain"


def brief_table(results: SuiteResults) -> Table | None:
    """Means over the reported runs of each method and control, by part of the suite; None if there is nothing yet.

    Args:
        results: of the suite, finished or not.
    """
    groups = [Rows(rows, part.words) for part in parts_of(results) if (rows := list(_rows(part)))]
    if not groups:
        return None
    columns = [Column(name, METRICS[name].title) for name in _MEASURES]
    compared = any(row.cells[-1] is not NONE for group in groups for row in group.rows)
    if not compared:
        groups = [Rows([Row(row.head, row.cells[:-1], row.sub, row.kind) for row in g.rows], g.title) for g in groups]
    return Table(
        name="brief",
        caption=f"{results.name}: means over references on the split test",
        head="method",
        columns=[Column("runs", "runs"), *columns, *([Column("kl_ratio", "KL / plain's")] if compared else [])],
        groups=groups,
    )


def _rows(part: Part) -> Iterator[Row]:
    methods = part.methods
    missed = part.missed.set_index("method")["best_asr"].astype(float).to_dict()
    baseline = methods.get(_BASELINE)
    for label in dict.fromkeys([*map(str, part.choices["method"]), *methods]):
        if label in methods:
            yield _row(label, methods[label], baseline if label != _BASELINE else None, "method")
        else:
            yield Row(label, _not_reached(missed.get(label)), kind="method")
    for label, runs in part.controls.items():
        yield _row(label, runs, None, "control")


def _row(label: str, runs: pd.DataFrame, baseline: pd.DataFrame | None, kind: str) -> Row:
    ratio = None if baseline is None else pair(runs, baseline, "kl")
    last = NONE if ratio is None else Cell(significant(ratio.value, 2), ratio.value)
    return Row(label, [Cell(str(len(runs)), len(runs)), *(_mean(runs, name) for name in _MEASURES), last], kind=kind)


def _mean(runs: pd.DataFrame, name: str) -> Cell:
    mean = METRICS[name].over_references(runs[name], runs["reference_seed"]).value if name in runs else None
    return Cell(METRICS[name].write(mean), mean) if mean is not None else NONE


def _not_reached(best: float | None) -> list[Cell]:
    """In place of values: how near the method came to the target on ``selection``."""
    words = Cell(f"≤ {fraction(best)}") if best is not None and defined(best) else NONE
    return [Cell("0", 0), words, *[NONE] * len(_MEASURES)]
