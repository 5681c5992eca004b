"""Whom detectors accuse: by a threshold, by rank among other references, and how many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from anchorlab.statistics.accusations import (
    above,
    p_by_rank,
    rank_level,
    share_of_references,
    share_over_references,
)
from anchorlab.statistics.clustered_roc import ScoredModels


def test_a_score_at_the_threshold_does_not_accuse():
    assert above(ScoredModels([0, 0.5, 1], [0, 0, 1]), 0.5) == [False, False, True]


def test_each_other_reference_counts_once_with_its_largest_score():
    """Of b, c and d the largest are 5, 2 and 3. Those of a itself, 9 and 7, count for b, c and d alone."""
    clean = ScoredModels([9, 7, 1, 5, 2, 2, 3, 0], [*"aabbccdd"])
    judged = ScoredModels([6, 5, 4, 2, 1, 6, 10], [*"aaaaabb"])
    assert p_by_rank(judged, clean) == [1 / 4, 2 / 4, 2 / 4, 4 / 4, 4 / 4, 2 / 4, 1 / 4]


@pytest.mark.parametrize(
    ("others", "level"), [(0, None), (3, None), (4, 1 / 5), (7, 1 / 8), (18, 1 / 19), (19, 0.05), (40, 0.05)]
)
@pytest.mark.parametrize("models", [1, 5])
def test_the_level_is_the_lowest_that_so_many_other_references_allow(others, level, models):
    """However many clean models each has."""
    clean = ScoredModels([0.0] * models * (others + 1), [*range(others + 1)] * models)
    judged = ScoredModels([1.0], [0])
    assert rank_level(judged, clean) == level
    assert p_by_rank(judged, clean) == [1 / (others + 1)]


def test_the_model_with_the_fewest_other_references_decides_the_level():
    clean = ScoredModels([0.0] * 5, range(5))
    assert rank_level(ScoredModels([1.0], ["without a clean model"]), clean) == 1 / 6
    assert rank_level(ScoredModels([1.0, 1.0], ["without a clean model", 0]), clean) == 1 / 5


def drawn(draw: np.random.Generator, references: int, models: int, icc: float) -> ScoredModels:
    """Clean models, of whose scores' variance the reference has so large a share."""
    of = np.repeat(np.arange(references), models)
    apart = np.sqrt(1 - icc) * draw.normal(size=len(of))
    return ScoredModels((np.sqrt(icc) * draw.normal(size=references)[of] + apart).tolist(), of.tolist())


def p_among_models(models: ScoredModels, clean: ScoredModels) -> list[float]:
    """The rank that counts each clean model of other references, as if they were independent."""
    found = []
    for score, reference in zip(models.scores, models.references, strict=True):
        others = [each >= score for each, of in zip(clean.scores, clean.references, strict=True) if of != reference]
        found.append((1 + sum(others)) / (1 + len(others)))
    return found


@pytest.mark.parametrize("icc", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("references", [5, 21])
def test_a_clean_reference_is_accused_no_more_often_than_the_level_says(references, icc):
    """A further reference of five models is held against the others. Counted by models, it is accused more often."""
    draw, rounds, by_reference, by_model = np.random.default_rng(0), 1000, 0, 0
    for _ in range(rounds):
        clean = drawn(draw, references, 5, icc)
        judged = ScoredModels(clean.scores[:5], clean.references[:5])
        level = rank_level(judged, clean)
        by_reference += min(p_by_rank(judged, clean)) <= level
        by_model += min(p_among_models(judged, clean)) <= level
    assert level == max(0.05, 1 / references)
    assert binomtest(by_reference, rounds, level, alternative="greater").pvalue > 0.001
    assert binomtest(by_model, rounds, level, alternative="greater").pvalue < 0.001


@pytest.mark.parametrize("icc", [0.5, 0.9])
def test_five_references_of_five_models_claim_no_level_at_which_more_of_them_are_accused(icc):
    """20 clean models of other references, counted as 20, claim 5% and accuse more of the clean models."""
    draw, by_reference, by_model = np.random.default_rng(0), [], []
    for _ in range(300):
        clean = drawn(draw, 5, 5, icc)
        by_reference.append(np.mean([p <= rank_level(clean, clean) for p in p_by_rank(clean, clean)]))
        by_model.append(np.mean([p <= 0.05 for p in p_among_models(clean, clean)]))
    assert np.mean(by_reference) < rank_level(clean, clean) == 0.2
    assert np.mean(by_model) > 0.06


scored = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 5)), min_size=2, max_size=30)


@given(scored, st.integers(1, 6))
def test_at_any_level_no_more_references_have_an_accused_clean_model_than_it_says(models, k):
    clean = ScoredModels(*zip(*models, strict=True))
    ps = p_by_rank(clean, clean)
    accused = {reference for p, reference in zip(ps, clean.references, strict=True) if p <= k / clean.clusters}
    assert len(accused) <= k


@given(scored)
def test_further_models_below_a_reference_s_largest_and_those_of_its_own_change_no_p(models):
    clean = ScoredModels(*zip(*models, strict=True))
    judged = ScoredModels([0, 1], [0, 1])
    lower = ScoredModels([score - 1 for score in clean.scores], clean.references)
    assert p_by_rank(judged, clean + lower) == p_by_rank(judged, clean)
    assert p_by_rank(judged, clean + ScoredModels([9], [0]))[0] == p_by_rank(judged, clean)[0]


def test_shares_are_means_over_references_and_clopper_pearson_where_each_has_0_or_1():
    assert share_over_references([True, False, True, True], [0, 0, 1, 2]).value == pytest.approx((0.5 + 1 + 1) / 3)
    for hits in (0, 3, 8):
        found = share_over_references([reference < hits for reference in range(8)], range(8))
        exact = binomtest(hits, 8).proportion_ci(method="exact")
        assert (found.value, found.bounds) == (hits / 8, pytest.approx((exact.low, exact.high)))
    assert share_over_references([True, False], [0, 1]).bounds is None


def test_the_share_of_references_counts_each_with_an_accused_model_once():
    found = share_of_references([True, True, False, False, False, False, True, False], [0, 0, 1, 1, 2, 2, 3, 3])
    exact = binomtest(2, 4).proportion_ci(method="exact")
    assert (found.value, found.units, found.bounds) == (0.5, 4, pytest.approx((exact.low, exact.high)))
