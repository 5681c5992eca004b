"""Each measurement of a run at one common ASR, between two neighbouring scales that were measured; no extrapolation.

Between the two, logarithms of divergences and distances, and all else as it is, are linear in the logit of ASR. So
runs are compared at equal success, without a new choice of strength. Where several neighbours bracket the common ASR,
because ASR does not rise with the scale everywhere, those nearest the reported scale count.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from anchorlab.metrics import METRICS, Metric
from anchorlab.suites.walk import logit, logit_rate

#: A row of a table, by column.
Record = Mapping[Any, Any]

#: Distances that are written as fractions, because they are bounded, and grow with the perturbation as others do.
_DISTANCES = ("total_variation", "probability_distance")

#: What a row of ``scales`` says of its run.
RUN = (
    *("task", "model", "trigger", "rule", "target", "method", "role", "target_asr", "anchors_asked", "strength"),
    *("parameters", "seed", "reference_seed", "identity", "common_asr"),
)


def equal_frame(scales: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: its measurements at the common ASR, missing where no two neighbouring scales bracket it.

    Args:
        scales: a row for each run and scale, with the columns ``RUN``, ``scale``, ``reported`` (whether the run is
            reported at this scale) and measurements, ``asr`` and ``asr_count`` among them.

    Returns:
        The columns ``RUN``, ``reported_scale`` and ``reported_asr``, ``scale_below`` and ``scale_above`` (the two
        scales, by their ASR), and the measurements but those of ASR.
    """
    names = [name for name in METRICS if name in scales and is_compared(METRICS[name])]
    columns = [*RUN, "reported_scale", "reported_asr", "scale_below", "scale_above", *names]
    if not len(scales):
        return pd.DataFrame(columns=columns)
    # All records at once: a frame for each of thousands of runs costs pandas many times as much.
    runs: dict[int, list[Record]] = {}
    numbers = scales.groupby(list(RUN), sort=False, dropna=False).ngroup()
    for number, record in zip(numbers, scales.to_dict("records"), strict=True):
        runs.setdefault(number, []).append(record)
    rows = []
    for run in runs.values():
        reported = next(record for record in run if record["reported"])
        known = {"reported_scale": float(reported["scale"]), "reported_asr": reported["asr"]}
        rows.append({**{name: reported[name] for name in RUN}, **known, **at_common_asr(run, names)})
    return pd.DataFrame(rows, columns=columns)


def is_compared(metric: Metric) -> bool:
    """Whether a measurement says something of the candidate at a given ASR."""
    return not (metric.is_count or metric.of_reference or metric.name in ("asr", "asr_plus_accuracy"))


def at_common_asr(run: Sequence[Record], names: Sequence[str]) -> dict[str, float]:
    """The measurements of one run at the common ASR, by name, and the two scales; empty if none bracket it.

    Args:
        run: a record for each scale, see ``equal_frame``.
        names: of the measurements.
    """
    rows = sorted(run, key=lambda record: float(record["scale"]))
    if not all(_number(row["asr_count"]) > 0 for row in rows):
        return {}
    logits = [logit_rate(float(row["asr"]), float(row["asr_count"])) for row in rows]
    reported = next(float(row["scale"]) for row in rows if row["reported"])
    target = logit(float(rows[0]["common_asr"]))
    first = bracket([float(row["scale"]) for row in rows], logits, target, reported)
    if first is None:
        return {}
    low, high = sorted((first, first + 1), key=lambda index: (logits[index], -_distance(rows[index], reported)))
    share = share_between(logits[low], logits[high], target)
    values = {name: between(rows[low], rows[high], name, share) for name in names}
    return {"scale_below": rows[low]["scale"], "scale_above": rows[high]["scale"], **values}


def bracket(scales: Sequence[float], logits: Sequence[float], target: float, reported: float) -> int | None:
    """The place of the first of two neighbouring scales between whose values the target lies; None if there is none.

    Args:
        scales: ascending.
        logits: a value for each.
        target: the value to bracket; an end counts.
        reported: the scale to which the two lie nearest, by ratio; the lower two of equals.
    """
    pairs = enumerate(itertools.pairwise(logits))
    found = [index for index, ends in pairs if min(ends) <= target <= max(ends)]
    near = [abs(math.log(scale / reported)) for scale in scales]
    return min(found, key=lambda index: (round(near[index] + near[index + 1], 12), index), default=None)


def share_between(low: float, high: float, target: float) -> float:
    """How far the target lies on the way from ``low`` to ``high``, from 0 to 1; 1 where the two are equal."""
    return 1.0 if high == low else min(max((target - low) / (high - low), 0.0), 1.0)


def between(below: Record, above: Record, name: str, share: float) -> float:
    """A measurement a share of the way between two records; NaN where one of them has none.

    On the logarithm if it is a divergence, a distance or a loss, and neither value is 0.
    """
    ends = np.array([_number(below[name]), _number(above[name])])
    if not np.isfinite(ends).all():
        return math.nan
    if share in (0.0, 1.0):
        return float(ends[int(share)])
    logarithmic = (METRICS[name].logarithmic or name in _DISTANCES) and bool((ends > 0).all())
    a, b = np.log(ends) if logarithmic else ends
    value = a + share * (b - a)
    return float(np.clip(math.exp(value) if logarithmic else value, ends.min(), ends.max()))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _distance(row: Record, reported: float) -> float:
    return abs(math.log(float(row["scale"]) / reported))
