"""Which models a detector accuses, and how many of them by reference.

A scanner has a threshold of its own. A detector that has none accuses a model by its rank among the clean models of
*other* references: of n such models, a share of ``(1 + those that score as high) / (n + 1)`` is the p value of one that
is like them. The least level is ``1 / (n + 1)``, so that 5% takes 19 clean models of other references, 10% takes nine,
and 20% takes four.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from anchorlab.statistics.clustered_roc import ScoredModels
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import mean_over_references

#: The levels at which a rank may accuse.
RANK_LEVELS = (0.05, 0.1, 0.2)

#: The rounding that a share of whole numbers may have.
_ROUNDING = 1e-9


def above(models: ScoredModels, threshold: float) -> list[bool]:
    """Whether each model's score lies above a threshold."""
    return [score > threshold for score in models.scores]


def rank_level(models: ScoredModels, clean: ScoredModels) -> float | None:
    """The lowest of ``RANK_LEVELS`` for which each model has enough clean models of other references; None if none."""
    return next((level for level in RANK_LEVELS if by_rank(models, clean, level) is not None), None)


def by_rank(models: ScoredModels, clean: ScoredModels, level: float = RANK_LEVELS[0]) -> list[bool] | None:
    """Whether each model's p among the clean models of other references is at most ``level``.

    Args:
        models: the models to judge, clean ones or not.
        clean: every clean model.
        level: above 0.

    Returns:
        None if some model has too few clean models of other references for that level.
    """
    accused = []
    for score, reference in zip(models.scores, models.references, strict=True):
        others = [each for each, of in zip(clean.scores, clean.references, strict=True) if of != reference]
        least = 1 / (len(others) + 1)
        if least > level + _ROUNDING:
            return None
        accused.append((1 + int((np.asarray(others) >= score).sum())) * least <= level + _ROUNDING)
    return accused


def share_over_references(accused: Sequence[bool], references: Sequence[Hashable]) -> Estimate:
    """The share of models that are accused: the mean over references, with its interval (``mean_over_references``).

    Clopper and Pearson's interval of as many references where all of them have 0, or all 1.
    """
    return mean_over_references([float(each) for each in accused], references, "rate")
