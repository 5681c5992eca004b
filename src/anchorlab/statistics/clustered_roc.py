"""The AUROC over models, clustered by reference: models that come from one reference are not independent.

DeLong's variance (1988) with each cluster's placements summed up first (Obuchowski 1997, Biometrics 53, 567-578). With
``V(X)`` the placement of an injected model among the clean ones, ``V(Y)`` that of a clean one among the injected, and
sums over the models of reference i of I:

    x_i = sum (V(X) - A) / M,   y_i = sum (V(Y) - A) / N,   Var A = f_x sum x_i^2 + f_y sum y_i^2 + 2 f sum x_i y_i,

where each ``f`` is ``I / (I - 1)`` for the references that have such models. Intervals are Student's t with one less
degrees of freedom than the references of the side with fewer, of an AUROC on the scale of logits. There is none where
an AUROC is 0 or 1, because then its variance is not known, nor with fewer than three references.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import ENOUGH_REFERENCES, t_quantile
from anchorlab.statistics.roc import placements


@dataclass(frozen=True)
class ScoredModels:
    """A detector's scores of models.

    Attributes:
        scores: one for each model, the higher, the more suspicious.
        references: the reference that each comes from.
    """

    scores: Sequence[float]
    references: Sequence[Hashable]

    def __len__(self) -> int:
        return len(self.scores)

    def __add__(self, other: ScoredModels) -> ScoredModels:
        return ScoredModels([*self.scores, *other.scores], [*self.references, *other.references])

    @property
    def clusters(self) -> int:
        """The number of references."""
        return len(set(self.references))


def auroc_over_references(clean: ScoredModels, injected: ScoredModels) -> Estimate:
    """The chance that an injected model scores higher than a clean one, ties counted half.

    Raises:
        ValueError: if a side is empty or has a score that is no number.
    """
    area, x, y = _parts(clean, injected)
    units = min(clean.clusters, injected.clusters)
    variance = _variance(x, y)
    if units < ENOUGH_REFERENCES or variance <= 0 or area in (0, 1):
        return Estimate(area, units=units)
    half = t_quantile(units - 1) * math.sqrt(variance) / (area * (1 - area))
    return Estimate(area, float(expit(logit(area) - half)), float(expit(logit(area) + half)), units=units)


def difference_over_references(clean: ScoredModels, ours: ScoredModels, theirs: ScoredModels) -> Estimate:
    """The AUROC of ``ours`` against the clean models, minus the AUROC of ``theirs`` against the same.

    Raises:
        ValueError: if a side is empty or has a score that is no number.
    """
    (of_ours, x, y), (of_theirs, x_theirs, y_theirs) = _parts(clean, ours), _parts(clean, theirs)
    value, units = of_ours - of_theirs, min(side.clusters for side in (clean, ours, theirs))
    variance = _variance(_apart(x, x_theirs), _apart(y, y_theirs))
    if units < ENOUGH_REFERENCES or variance <= 0:
        return Estimate(value, units=units)
    half = t_quantile(units - 1) * math.sqrt(variance)
    return Estimate(value, max(value - half, -1.0), min(value + half, 1.0), units=units)


def _parts(clean: ScoredModels, injected: ScoredModels) -> tuple[float, dict[Hashable, float], dict[Hashable, float]]:
    """The AUROC, and ``x_i`` and ``y_i`` by reference."""
    sides = [np.asarray(side.scores, dtype=np.float64) for side in (clean, injected)]
    if any(len(side) == 0 or np.isnan(side).any() for side in sides):
        raise ValueError("the scores of models need to be numbers, one on each side at least")
    below, above = 1 - placements(sides[0], sides[1]), placements(sides[1], sides[0])
    area = float(above.mean())
    return area, _sums(above - area, injected.references), _sums(below - area, clean.references)


def _sums(apart: Floats, references: Sequence[Hashable]) -> dict[Hashable, float]:
    sums: dict[Hashable, float] = {}
    for reference, each in zip(references, apart.tolist(), strict=True):
        sums[reference] = sums.get(reference, 0.0) + each / len(apart)
    return sums


def _variance(x: dict[Hashable, float], y: dict[Hashable, float]) -> float:
    """The variance of an AUROC, or of a difference of two, from its parts by reference."""
    both = x.keys() | y.keys()
    own = sum(_factor(len(part)) * sum(each**2 for each in part.values()) for part in (x, y))
    return own + 2 * _factor(len(both)) * sum(x[reference] * y[reference] for reference in x.keys() & y.keys())


def _factor(clusters: int) -> float:
    return clusters / (clusters - 1) if clusters > 1 else 0.0


def _apart(ours: dict[Hashable, float], theirs: dict[Hashable, float]) -> dict[Hashable, float]:
    every = dict.fromkeys([*ours, *theirs])
    return {reference: ours.get(reference, 0.0) - theirs.get(reference, 0.0) for reference in every}
