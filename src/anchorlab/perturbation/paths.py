"""Models on the straight line through the reference and a candidate, and the barrier between the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from torch import Tensor

from anchorlab.consistency.statistics import wilson
from anchorlab.models.reestimation import reestimated
from anchorlab.perturbation.behaviour import Probe, Triggered
from anchorlab.perturbation.intervals import Resamples, barrier, bounded
from anchorlab.perturbation.weights import Perturbation, WeightSpace

Buffers = Literal["stored", "re-estimated"]

#: From half the change in the other direction to half beyond the candidate.
SCALES = np.linspace(-0.5, 1.5, 17)


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
    """The tables ``paths`` and ``barriers`` of one candidate, see ``anchorlab.perturbation.analysis``.

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
        points.append((probe.behaviour(model), None if triggered is None else triggered.hits(model)))
        report()
    buffers: Buffers = "stored" if statistics_from is None else "re-estimated"
    table = []
    for scale, (point, hits) in zip(SCALES, points, strict=True):
        row: dict[str, Any] = {"buffers": buffers, "scale": float(scale)}
        for name in ("loss", "accuracy", "kl"):
            row |= bounded(name, resamples.estimate(getattr(point, name)))
        table.append(row | rate("asr", hits, triggered))
    losses = np.stack([point.loss for point, _ in points], axis=1)
    errors = 1 - np.stack([point.accuracy for point, _ in points], axis=1)
    barriers: dict[str, Any] = {"buffers": buffers}
    for name, values in (("loss", losses), ("error", errors)):
        barriers |= bounded(name, resamples.estimate(values, barrier(SCALES)))
    return {"paths": pd.DataFrame(table), "barriers": pd.DataFrame([barriers])}


def rate(name: str, hits: int | None, triggered: Triggered | None) -> dict[str, float]:
    """A rate over triggered examples with Wilson's interval; NaN where there is none."""
    if hits is None or triggered is None or not triggered.count:
        return dict.fromkeys((name, f"{name}_lower", f"{name}_upper"), float("nan"))
    lower, upper = wilson(hits, triggered.count)
    return {name: hits / triggered.count, f"{name}_lower": lower, f"{name}_upper": upper}
