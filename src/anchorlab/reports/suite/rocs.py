"""The ROC curves of a suite's detectors, with bands of 95%, areas and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t

from anchorlab.reports.suite.detections import detections_of_kind, scores_by_detector
from anchorlab.reports.suite.repairs import split_into_parts
from anchorlab.seeding import derive
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import DECIMAL_TAILS, student_mean
from anchorlab.statistics.roc import auroc, curve
from anchorlab.suites.results import SuiteResults

#: False positive rates at which curves are averaged, and at which bands are drawn.
_GRID = np.linspace(0, 1, 401)
#: Bootstrap replicates of a band over models.
_RESAMPLES = 500


@dataclass(frozen=True)
class Roc:
    """A curve, or the mean of the curves of several runs.

    Attributes:
        false: false positive rates, float64 ``[K]``.
        true: true positive rates, float64 ``[K]``.
        band: FPR, and lower and upper end of the pointwise 95% interval of the TPR, ``[L]`` each; None where it
            cannot be known, as of one run.
        area: the AUROC.
        counts: in words, of what the curve was made.
    """

    false: Floats
    true: Floats
    band: tuple[Floats, Floats, Floats] | None
    area: Estimate
    counts: str


#: Part of the suite to method to detector to its curve.
Rocs = dict[str, dict[str, dict[str, Roc]]]


def roc_of_models(results: SuiteResults) -> Rocs:
    """ROC curves over the population, by part (``comparable_models``)."""
    by_part: Rocs = {}
    for title, part in scores_by_detector(results).items():
        for detector, scores in part.items():
            for method, injected in scores.injected.items():
                curves = by_part.setdefault(title, {}).setdefault(method, {})
                curves[detector] = _over_models(scores.clean, injected)
    return by_part


def _over_models(clean: Sequence[float], injected: Sequence[float]) -> Roc:
    """One curve; its band is of the bootstrap that draws the models of either side."""
    false, true = curve(clean, injected)
    counts = f"{len(injected)} models with a backdoor and {len(clean)} without"
    if min(len(clean), len(injected)) < 2:
        return Roc(false, true, None, auroc(clean, injected), counts)
    draw = np.random.default_rng(derive(0, "roc band"))
    sides = np.asarray(clean, dtype=np.float64), np.asarray(injected, dtype=np.float64)
    replicates = [_at_grid(*(draw.choice(side, len(side)) for side in sides)) for _ in range(_RESAMPLES)]
    lower, upper = np.quantile(replicates, DECIMAL_TAILS, axis=0)
    # Steps: a point where either end changes, and the one before it.
    moved = np.r_[True, (np.diff(lower) != 0) | (np.diff(upper) != 0)]
    kept = moved | np.r_[moved[1:], True]
    return Roc(false, true, (_GRID[kept], lower[kept], upper[kept]), auroc(clean, injected), counts)


def roc_of_inputs(results: SuiteResults) -> Rocs:
    """Mean ROC curves over runs of the detectors of inputs, by part of the suite; of runs whose scores are known."""
    frame = detections_of_kind(results, "input")
    by_part: Rocs = {}
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]) if len(frame) else ():
        for (method, detector), runs in part.groupby(["method", "detector"], sort=False):
            each = runs.drop_duplicates("identity")
            scores = [results.scores(identity) for identity in each["identity"]]
            curves = [_curve(table) for table in scores if len(table)]
            if curves:
                mean = _over_runs(curves, student_mean(each["auroc"].tolist()))
                by_part.setdefault(title, {}).setdefault(str(method), {})[str(detector)] = mean
    return by_part


def _over_runs(curves: Sequence[tuple[Floats, Floats]], area: Estimate) -> Roc:
    """The mean curve; its band is Student's t over runs at each FPR."""
    false, true = mean_curve(curves)
    counts = f"{len(curves)} run{'s' * (len(curves) != 1)}"
    if len(curves) < 2:
        return Roc(false, true, None, area, counts)
    rates = np.array([np.interp(_GRID, *one) for one in curves])
    half = t.ppf(DECIMAL_TAILS[1], len(curves) - 1) * rates.std(axis=0, ddof=1) / np.sqrt(len(curves))
    mean = rates.mean(axis=0)
    return Roc(false, true, (_GRID, np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)), area, counts)


def _curve(scores: pd.DataFrame) -> tuple[Floats, Floats]:
    triggered = scores["triggered"].to_numpy(dtype=bool)
    return curve(scores["score"][~triggered], scores["score"][triggered])


def _at_grid(clean: ArrayLike, injected: ArrayLike) -> Floats:
    """The TPR at each FPR of the grid, as steps."""
    below, above = np.sort(clean), np.sort(injected)
    flagged = np.floor(_GRID * len(below) + 1e-9).astype(int)
    bounds = np.r_[below[::-1], -np.inf][flagged]
    return np.asarray(1 - np.searchsorted(above, bounds, side="right") / len(above), dtype=np.float64)


def mean_curve(curves: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """The mean TPR at equal FPR over several curves (Fawcett 2006, vertical averaging)."""
    # Where a curve rises vertically, interp takes the last of the values there, which is the upper end.
    tpr = np.mean([np.interp(_GRID, false, true) for false, true in curves], axis=0)
    return np.r_[0.0, _GRID], np.r_[0.0, tpr]
