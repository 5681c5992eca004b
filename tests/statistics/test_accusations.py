"""Whom detectors accuse: by a threshold, by rank among the clean models of other references, and how many."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from anchorlab.statistics.accusations import above, by_rank, rank_level, share_over_references
from anchorlab.statistics.clustered_roc import ScoredModels


def test_a_score_at_the_threshold_does_not_accuse():
    assert above(ScoredModels([0, 0.5, 1], [0, 0, 1]), 0.5) == [False, False, True]


def test_the_rank_is_among_clean_models_of_other_references():
    """20 clean models of each of two references: 19 of 20 others below is p = 2/21, all below is 1/21."""
    clean = ScoredModels([*range(20), *range(100, 120)], [0] * 20 + [1] * 20)
    judged = ScoredModels([118.5, 119.5, 119, 18.5, 19.5, 19], [0, 0, 0, 1, 1, 1])
    assert by_rank(judged, clean) == [False, True, False, False, True, False]


def test_eighteen_clean_models_of_others_are_too_few_and_nineteen_are_enough():
    def verdict(others: int) -> list[bool] | None:
        return by_rank(ScoredModels([1], ["own"]), ScoredModels([0.0] * others + [5.0], ["other"] * others + ["own"]))

    assert verdict(18) is None
    assert verdict(19) == [True]


@pytest.mark.parametrize(("others", "level"), [(3, None), (4, 0.2), (8, 0.2), (9, 0.1), (18, 0.1), (19, 0.05)])
def test_the_level_is_the_lowest_that_so_many_clean_models_allow(others, level):
    clean = ScoredModels([0.0] * others + [5.0], ["other"] * others + ["own"])
    assert rank_level(ScoredModels([1], ["own"]), clean) == level


def test_clean_models_are_accused_no_more_often_than_the_level_says():
    """6 references of 10 models, whose scores are moved by their reference: the share keeps below 5% or near it."""
    draw = np.random.default_rng(0)
    references = np.repeat(np.arange(6), 10)
    shares = []
    for _ in range(300):
        clean = ScoredModels((draw.normal(size=6)[references] + draw.normal(size=60)).tolist(), references.tolist())
        shares.append(np.mean(by_rank(clean, clean)))
    assert np.mean(shares) < 0.06


def test_shares_are_means_over_references_and_clopper_pearson_where_all_agree():
    assert share_over_references([True, False, True, True], [0, 0, 1, 2]).value == pytest.approx((0.5 + 1 + 1) / 3)
    none = share_over_references([False] * 8, [0, 0, 1, 1, 2, 2, 3, 3])
    exact = binomtest(0, 4).proportion_ci(method="exact")
    assert (none.value, none.lower, none.upper) == (0, 0, pytest.approx(exact.high))
    assert share_over_references([True, False], [0, 1]).bounds is None
