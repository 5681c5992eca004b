"""The AUROC over models by reference: against DeLong's, against Obuchowski's formulas, and in a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import norm, t

from anchorlab.statistics.clustered_roc import ScoredModels, auroc_over_references, difference_over_references
from anchorlab.statistics.roc import auroc


def half_on_logits(estimate) -> float:
    return (logit(estimate.upper) - logit(estimate.lower)) / 2


def test_models_that_share_no_reference_have_delong_s_variance() -> None:
    rng = np.random.default_rng(0)
    clean, injected = rng.normal(0, 1, 12), rng.normal(1, 1, 9)
    ours = auroc_over_references(ScoredModels(clean, range(12)), ScoredModels(injected, range(20, 29)))
    theirs = auroc(clean, injected)
    assert ours.value == theirs.value
    assert half_on_logits(ours) / t.ppf(0.975, 8) == pytest.approx(half_on_logits(theirs) / norm.ppf(0.975))


def test_the_variance_is_obuchowski_s() -> None:
    """Her sums S10, S01 and S11 for clusters that have models on both sides, in a loop over pairs."""
    rng = np.random.default_rng(1)
    of = np.repeat(np.arange(6), 2)
    effect = rng.normal(0, 1, 6)[of]
    clean, injected = effect + rng.normal(0, 1, 12), effect + rng.normal(1, 1, 12)
    wins = (injected[:, None] > clean[None, :]).astype(float)
    area, M, N, clusters = wins.mean(), 12, 12, 6
    of_x = np.array([wins.mean(axis=1)[of == i].sum() - 2 * area for i in range(clusters)])
    of_y = np.array([wins.mean(axis=0)[of == i].sum() - 2 * area for i in range(clusters)])
    s10, s01 = (clusters / ((clusters - 1) * count) * (part**2).sum() for part, count in ((of_x, M), (of_y, N)))
    s11 = clusters / (clusters - 1) * (of_x * of_y).sum()
    variance = s10 / M + s01 / N + 2 * s11 / (M * N)
    found = auroc_over_references(ScoredModels(clean, of), ScoredModels(injected, of))
    half = t.ppf(0.975, clusters - 1) * np.sqrt(variance) / (area * (1 - area))
    assert (found.value, half_on_logits(found), found.units) == (pytest.approx(area), pytest.approx(half), 6)


def test_references_that_have_models_on_one_side_alone_count_there() -> None:
    """References 0 to 5 have clean models, 3 to 8 injected ones: nine in all, of which three have both."""
    rng = np.random.default_rng(5)
    clean, injected = rng.normal(0, 1, 6), rng.normal(0.7, 1, 6)
    wins = (injected[:, None] > clean).astype(float)
    area = wins.mean()
    x = dict(zip(range(3, 9), (wins.mean(axis=1) - area) / 6, strict=True))
    y = dict(zip(range(6), (wins.mean(axis=0) - area) / 6, strict=True))
    alone = 6 / 5 * (sum(each**2 for each in x.values()) + sum(each**2 for each in y.values()))
    variance = alone + 2 * 9 / 8 * sum(x[both] * y[both] for both in (3, 4, 5))
    found = auroc_over_references(ScoredModels(clean, range(6)), ScoredModels(injected, range(3, 9)))
    assert half_on_logits(found) == pytest.approx(t.ppf(0.975, 5) * np.sqrt(variance) / (area * (1 - area)))


def test_a_model_that_is_counted_twice_adds_nothing() -> None:
    rng = np.random.default_rng(2)
    clean, injected = rng.normal(0, 1, 8), rng.normal(1, 1, 8)
    once = auroc_over_references(ScoredModels(clean, range(8)), ScoredModels(injected, range(8)))
    twice = auroc_over_references(ScoredModels(clean, range(8)), ScoredModels([*injected] * 2, [*range(8)] * 2))
    assert twice.bounds == pytest.approx(once.bounds)


@pytest.mark.parametrize(("clean", "injected"), [([0, 1, 2, 3], [4, 5, 6, 7]), ([0, 1], [0.5, 2])])
def test_there_is_no_interval_where_all_score_higher_or_references_are_few(clean, injected) -> None:
    found = auroc_over_references(ScoredModels(clean, range(len(clean))), ScoredModels(injected, range(len(injected))))
    assert (found.bounds, found.units) == (None, len(clean))


def test_a_difference_is_of_the_same_clean_models() -> None:
    rng = np.random.default_rng(3)
    clean, plain, ours = (ScoredModels(rng.normal(mean, 1, 8), range(8)) for mean in (0, 2, 1))
    found = difference_over_references(clean, ours, plain)
    areas = [auroc_over_references(clean, side).value for side in (ours, plain)]
    assert found.value == pytest.approx(areas[0] - areas[1])
    turned = difference_over_references(clean, plain, ours)
    assert (turned.lower, turned.upper) == pytest.approx((-found.upper, -found.lower))
    assert difference_over_references(clean, plain, plain).bounds is None


def test_intervals_cover_where_models_of_one_reference_are_alike() -> None:
    """Two injected and one clean model of each of 8 references, whose effect is on the injected ones alone."""
    rng, held, naive = np.random.default_rng(4), 0, 0
    true = norm.cdf(1 / np.sqrt(3))  # injected 1 + N(0, 1) + N(0, 1), clean N(0, 1)
    for _ in range(800):
        clean, effect = rng.normal(0, 1, 8), rng.normal(0, 1, 8)
        injected = 1 + np.tile(effect, 3) + rng.normal(0, 1, 24)
        found = auroc_over_references(ScoredModels(clean, range(8)), ScoredModels(injected, [*range(8)] * 3))
        lower, upper = found.bounds or (found.value, found.value)
        held += lower <= true <= upper
        alone = auroc(clean, injected)
        naive += alone.lower <= true <= alone.upper
    assert held / 800 > 0.93
    assert held > naive


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="need to be numbers"):
        auroc_over_references(ScoredModels([np.nan], [0]), ScoredModels([1.0], [0]))
