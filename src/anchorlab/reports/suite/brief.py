"""The main table of a suite as a terminal shows it: means alone, narrow enough for 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.reports.suite.equal import AtOneASR, common_asr
from anchorlab.reports.suite.paired import pair
from anchorlab.reports.suite.parts import Part, parts_of
from anchorlab.statistics.numbers import defined, fraction, significant
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults

#: What each run is measured in; the ratio of KL to plain tuning's follows.
_MEASURES = ("asr", "accuracy", "kl", "churn")

#: What the caption says of the column ASR where means are at a common ASR.
_OWN_ASR = " (column ASR: as reported)"

#: The method that the last column compares with.
_BASELINE = "plain"


def brief_table(results: SuiteResults) -> Table | None:
    """Means over references of each method and control, by part of the suite; None if there is nothing yet.

    In a part where at least two methods have runs at the common ASR, means are at it, but for the column of ASR.

    Args:
        results: of the suite, finished or not.
    """
    parts = [(part, _at_one_asr(part, results.equal)) for part in parts_of(results)]
    where = [_where(part, runs) for part, runs in parts]
    alike = len(set(where)) == 1
    groups = [
        Rows(rows, part.words if alike else f"{part.words}{at or ', as reported'}")
        for (part, runs), at in zip(parts, where, strict=True)
        if (rows := list(_rows(part, runs)))
    ]
    if not groups:
        return None
    note = _OWN_ASR if any(where) else ""
    columns = [Column(name, METRICS[name].title) for name in _MEASURES]
    compared = any(row.cells[-1] is not NONE for group in groups for row in group.rows)
    if not compared:
        groups = [Rows([Row(row.head, row.cells[:-1], row.sub, row.kind) for row in g.rows], g.title) for g in groups]
    return Table(
        name="brief",
        caption=f"{results.name}: means over references on test{where[0] if alike else ''}{note}",
        head="method",
        columns=[Column("runs", "runs"), *columns, *([Column("kl_ratio", "KL / plain's")] if compared else [])],
        groups=groups,
    )


def _at_one_asr(part: Part, equal: pd.DataFrame) -> dict[str, AtOneASR]:
    """Methods and controls, and their runs at the common ASR."""
    return {label: AtOneASR.of(runs, equal) for label, runs in (part.methods | part.controls).items()}


def _asr(part: Part, runs: dict[str, AtOneASR]) -> float | None:
    """The ASR at which the methods of a part are compared; None if each stands at its own."""
    return common_asr({label: runs[label] for label in part.methods})


def _where(part: Part, runs: dict[str, AtOneASR]) -> str:
    """At which ASR the means are, to end a caption with; empty if each stands at its own."""
    asr = _asr(part, runs)
    return "" if asr is None else f", at ASR {asr:g}"


def _rows(part: Part, runs: dict[str, AtOneASR]) -> Iterator[Row]:
    missed = part.missed.set_index("method")["best_asr"].astype(float).to_dict()
    baseline = runs.get(_BASELINE)
    common = _asr(part, runs) is not None
    for label in dict.fromkeys([*map(str, part.choices["method"]), *part.methods]):
        if label in part.methods:
            yield _row(label, runs[label], baseline if label != _BASELINE else None, "method", common=common)
        else:
            yield Row(label, _not_reached(missed.get(label)), kind="method")
    for label, of_control in part.controls.items():
        has_backdoor = bool(of_control["target_asr"].notna().all())
        yield _row(label, runs[label], None, "control", common=common and has_backdoor)


def _row(label: str, one: AtOneASR, baseline: AtOneASR | None, kind: str, *, common: bool) -> Row:
    runs = one.runs if common else one.working
    other = None if baseline is None else baseline.runs if common else baseline.working
    ratio = None if other is None else pair(runs, other, "kl")
    last = NONE if ratio is None else Cell(significant(ratio.value, 2), ratio.value)
    count = f"{len(runs)} of {len(one.reported)}" if common or len(one.failed) else str(len(runs))
    means = [_mean(one.working if name == "asr" else runs, name) for name in _MEASURES]
    return Row(label, [Cell(count, len(runs)), *means, last], kind=kind)


def _mean(runs: pd.DataFrame, name: str) -> Cell:
    mean = (
        METRICS[name].over_references(runs[name].astype(float), runs["reference_seed"]).value if name in runs else None
    )
    return Cell(METRICS[name].write(mean), mean) if mean is not None else NONE


def _not_reached(best: float | None) -> list[Cell]:
    """In place of values: how near the method came to the target on ``selection``."""
    words = Cell(f"≤ {fraction(best)}") if best is not None and defined(best) else NONE
    return [Cell("0", 0), words, *[NONE] * len(_MEASURES)]
