"""Models on the straight line through the reference and a candidate, and the barrier between the two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from torch import Tensor

from anchorlab.models.reestimation import reestimated
from anchorlab.perturbation.context import Context
from anchorlab.perturbation.intervals import barrier, bounded
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.probe import Probe, Triggered, success_rate
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Cost, Kinds, with_candidate
from anchorlab.perturbation.weights import Perturbation, WeightSpace
from anchorlab.perturbation.wording import interval, rows_where, sentence
from anchorlab.statistics.resampling import Resamples

Buffers = Literal["stored", "re-estimated"]

#: From half the perturbation in the other direction to half beyond the candidate.
SCALES = np.linspace(-0.5, 1.5, 17)

#: Rise of the error above the straight line up to which two models count as linearly connected: Frankle et al. 2020
#: (arXiv 1912.05671).
CONNECTED = 0.02


def path(
    space: WeightSpace,
    perturbation: Perturbation,
    probe: Probe,
    triggered: Triggered | None,
    resamples: Resamples,
    *,
    statistics_from: Mapping[str, Tensor] | None,
    report: Callable[[], None],
) -> dict[str, pd.DataFrame]:
    """The tables ``paths`` and ``barriers`` of one candidate: see ``PATHS`` and ``BARRIERS``.

    Args:
        space: the reference, and where points are built.
        perturbation: the candidate's.
        probe: clean examples.
        triggered: the same with the candidate's attack; None without one.
        resamples: of the clean examples.
        statistics_from: inputs from which BatchNorm's statistics are estimated again at each point; None to take them
            as stored, on the straight line as all else.
        report: called after each point.
    """
    points = []
    for scale in SCALES:
        model = space.at((float(scale), perturbation))
        if statistics_from is not None:
            model = reestimated(model, statistics_from)
        points.append((probe.behaviour(model), None if triggered is None else triggered.successes(model)))
        report()
    buffers: Buffers = "stored" if statistics_from is None else "re-estimated"
    table = []
    for scale, (point, successes) in zip(SCALES, points, strict=True):
        row: dict[str, Any] = {"buffers": buffers, "scale": float(scale)}
        for name in ("loss", "accuracy", "kl"):
            row |= bounded(name, resamples.estimate(getattr(point, name)))
        table.append(row | success_rate("asr", successes, triggered))
    losses = np.stack([point.loss for point, _ in points], axis=1)
    errors = 1 - np.stack([point.accuracy for point, _ in points], axis=1)
    barriers: dict[str, Any] = {"buffers": buffers}
    for name, values in (("loss", losses), ("error", errors)):
        barriers |= bounded(name, resamples.estimate(values, barrier(SCALES)))
    return {"paths": pd.DataFrame(table), "barriers": pd.DataFrame([barriers])}


def _parts(context: Context) -> Iterator[Part]:
    for what, statistics in (("paths", None), ("paths with re-estimated statistics", context.statistics)):
        if what == "paths" or statistics is not None:
            for name in context.candidates:
                yield context.part(
                    f"{what} of {name}", [name], partial(_measure, context, name, statistics), len(SCALES)
                )


def _measure(context: Context, name: str, statistics: Mapping[str, Tensor] | None, tick: Tick) -> Tables:
    on_device = None if statistics is None else {key: value.to(context.device) for key, value in statistics.items()}
    tables = path(
        context.space,
        context.perturbations[name],
        context.probe,
        context.triggered(name),
        context.resamples,
        statistics_from=on_device,
        report=tick,
    )
    return {table: with_candidate(name, rows) for table, rows in tables.items()}


def _with_prediction(tables: Tables) -> pd.DataFrame:
    """The paths with the quadratic prediction of KL, where it is known."""
    paths, quadratic, behaviour = tables["paths"], tables["quadratic"], tables["behaviour"]
    if not len(paths) or not len(quadratic):
        return paths
    # Where buffers move too, the prediction, which is of the parameters, is of another path.
    others = set(behaviour[behaviour["part"] == "buffers"]["candidate"]) if len(behaviour) else set()
    predicted = paths["candidate"].map(quadratic.set_index("candidate")["kl_quadratic"]) * paths["scale"] ** 2
    is_predicted = (paths["buffers"] == "stored") & ~paths["candidate"].isin(others)
    return paths.assign(kl_quadratic=predicted.where(is_predicted))


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    yield from _basin(tables["barriers"], "stored", "")
    yield from _basin(tables["barriers"], "re-estimated", "With BatchNorm's statistics re-estimated at each point: ")


def _basin(barriers: pd.DataFrame, buffers: Buffers, beginning: str) -> Iterator[str]:
    """By the error's barrier; the loss's stands beside it."""
    inside: list[str] = []
    outside: list[str] = []
    undecided: list[str] = []
    for row in rows_where(barriers, buffers=buffers):
        words = (
            f"{row['candidate']} (barrier of the error {interval(row, 'error')}, of the loss {interval(row, 'loss')})"
        )
        side = inside if row["error_upper"] < CONNECTED else outside if row["error_lower"] > CONNECTED else undecided
        side.append(words)
    for verdict, names in (
        (f"in the reference's basin, the error rising by less than {CONNECTED} above the straight line", inside),
        ("not in it", outside),
        ("undecided, the interval holding both", undecided),
    ):
        if names:
            yield sentence(f"{beginning}{verdict}: {'; '.join(names)}.")


PATHS = AnalysisTable(
    name="paths",
    description="models on the straight line through the reference and each candidate",
    columns=[
        AnalysisColumn("buffers", "``stored``, or ``re-estimated`` at each point"),
        AnalysisColumn("scale", "0 the reference, 1 the candidate"),
        AnalysisColumn("loss", "mean clean loss, nats", has_interval=True),
        AnalysisColumn("accuracy", "share of clean examples predicted as their true class", has_interval=True),
        AnalysisColumn("kl", "mean KL divergence from the reference, nats", "KL", has_interval=True),
        AnalysisColumn("asr", "share of attacked examples predicted as the attacker wants", "ASR", has_interval=True),
        AnalysisColumn(
            "kl_quadratic",
            "``scale^2`` times that of ``quadratic``, where buffers are stored and do not differ",
            "KL, quadratic",
        ),
    ],
    cost=Cost.PATH,
    parts=_parts,
    complete=_with_prediction,
    in_page=False,
)

BARRIERS = AnalysisTable(
    name="barriers",
    description="how far loss and error rise between the reference and each candidate",
    columns=[
        AnalysisColumn("buffers", "``stored``, or ``re-estimated`` at each point"),
        AnalysisColumn("loss", "how far it rises above the straight line between its ends, nats", has_interval=True),
        AnalysisColumn("error", "how far it rises above the straight line between its ends", has_interval=True),
    ],
    findings=_findings,
)
