"""Which models a detector accuses, and how many.

A scanner has a threshold of its own. A detector that has none accuses a model by its rank among *other references*.
Clean models of one reference, itself and its benign updates, are alike, because they share its weights. So each other
reference counts once, with the largest score of its clean models: with n of them, ``p = (1 + those that score as high)
/ (1 + n)``. The model's own reference is not in the comparison. A reference has a clean model with a p of at most 1/20
no more often than in 5% of cases, however alike its models are, if all references have equally many. The least p is
``1 / (n + 1)``: a level of 5% takes 19 other references.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from anchorlab.statistics.clustered_roc import ScoredModels
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import ENOUGH_REFERENCES, by_reference, clopper_pearson, mean_over_references

#: The level at which a rank accuses, and the highest at which it does where other references are too few for that.
LEVEL, HIGHEST_LEVEL = 0.05, 0.2


def above(models: ScoredModels, threshold: float) -> list[bool]:
    """Whether each model's score lies above a threshold."""
    return [score > threshold for score in models.scores]


def p_by_rank(models: ScoredModels, clean: ScoredModels) -> list[float]:
    """Each model's p among other references.

    Args:
        models: the models to judge, clean ones or not.
        clean: every clean model.
    """
    largest: dict[Hashable, float] = {}
    for score, reference in zip(clean.scores, clean.references, strict=True):
        largest[reference] = max(score, largest.get(reference, score))
    found = []
    for score, reference in zip(models.scores, models.references, strict=True):
        others = [top >= score for other, top in largest.items() if other != reference]
        found.append((1 + sum(others)) / (1 + len(others)))
    return found


def rank_level(models: ScoredModels, clean: ScoredModels) -> float | None:
    """``LEVEL``, or the least p that each model can have, if that is higher; None above ``HIGHEST_LEVEL``."""
    others = [len({*clean.references} - {reference}) for reference in {*models.references}]
    level = max(LEVEL, 1 / (1 + min(others, default=0)))
    return level if level <= HIGHEST_LEVEL else None


def share_over_references(accused: Sequence[bool], references: Sequence[Hashable]) -> Estimate:
    """The share of models that are accused: the mean over references, with its interval.

    Clopper and Pearson's of as many references where each has 0 or 1, as with one model each; else Student's t.
    """
    each = by_reference(np.asarray(accused, dtype=np.float64), references)
    if len(each) >= ENOUGH_REFERENCES and set(each) <= {0.0, 1.0}:
        bounds = clopper_pearson(len(each), int(each.sum()))
        return Estimate(float(each.mean()), *bounds, units=len(each), averaging="rate")
    return mean_over_references([float(one) for one in accused], references, "rate")


def share_of_references(accused: Sequence[bool], references: Sequence[Hashable]) -> Estimate:
    """The share of references with an accused model, with Clopper and Pearson's interval from three on."""
    with_one = {of for of, one in zip(references, accused, strict=True) if one}
    every = list(dict.fromkeys(references))
    return share_over_references([reference in with_one for reference in every], every)
