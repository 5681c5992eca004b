"""The ROC curves of a suite's detectors, with areas and counts, and bands of 95% over references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anchorlab.reports.suite.detections import detections_of_kind, scores_by_detector
from anchorlab.reports.suite.repairs import split_into_parts
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.clustered_roc import ScoredModels, auroc_over_references
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import ENOUGH_REFERENCES, mean_over_references, t_quantile
from anchorlab.statistics.roc import curve
from anchorlab.suites.results import SuiteResults

#: False positive rates at which curves are averaged, and at which bands are drawn.
_GRID = np.linspace(0, 1, 401)


@dataclass(frozen=True)
class Roc:
    """A curve, or the mean of the curves of several runs.

    Attributes:
        false: false positive rates, float64 ``[K]``.
        true: true positive rates, float64 ``[K]``.
        band: FPR, and lower and upper end of the pointwise 95% interval of the TPR, ``[L]`` each; None where it
            cannot be known, as of one run or of models, of which few references tell.
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


def _over_models(clean: ScoredModels, injected: ScoredModels) -> Roc:
    """One curve. Models of one reference are not independent, so only its area has an interval."""
    counts = f"{len(injected)} models with a backdoor and {len(clean)} without"
    return Roc(*curve(clean.scores, injected.scores), None, auroc_over_references(clean, injected), counts)


def roc_of_inputs(results: SuiteResults) -> Rocs:
    """Mean ROC curves over references of the detectors of inputs, by part of the suite; of runs with known scores."""
    frame = detections_of_kind(results, "input")
    by_part: Rocs = {}
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]) if len(frame) else ():
        for (method, detector), runs in part.groupby(["method", "detector"], sort=False):
            each = runs.drop_duplicates("identity")
            curves: dict[int, list[tuple[Floats, Floats]]] = {}
            for identity, reference in zip(each["identity"], each["reference_seed"], strict=True):
                scores = results.scores(identity)
                if len(scores):
                    curves.setdefault(reference, []).append(_curve(scores))
            if curves:
                mean = _over_references(
                    list(curves.values()), mean_over_references(each["auroc"], each["reference_seed"], "rate")
                )
                by_part.setdefault(title, {}).setdefault(str(method), {})[str(detector)] = mean
    return by_part


def _over_references(curves: Sequence[Sequence[tuple[Floats, Floats]]], area: Estimate) -> Roc:
    """The mean over references of their curves; its band is Student's t over references at each FPR.

    Curves are averaged at equal FPR (Fawcett 2006, vertical averaging).
    """
    # Where a curve rises vertically, interp takes the last of the values there, which is the upper end.
    rates = np.array([np.mean([np.interp(_GRID, *one) for one in of_one], axis=0) for of_one in curves])
    mean, R = rates.mean(axis=0), len(rates)
    false, true = np.r_[0.0, _GRID], np.r_[0.0, mean]
    counts = several(R, "reference")
    if R < ENOUGH_REFERENCES:
        return Roc(false, true, None, area, counts)
    half = t_quantile(R - 1) * rates.std(axis=0, ddof=1) / np.sqrt(R)
    return Roc(false, true, (_GRID, np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)), area, counts)


def _curve(scores: pd.DataFrame) -> tuple[Floats, Floats]:
    triggered = scores["triggered"].to_numpy(dtype=bool)
    return curve(scores["score"][~triggered], scores["score"][triggered])
