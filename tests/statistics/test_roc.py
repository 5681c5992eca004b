"""Rates against scikit-learn's, and intervals against what they are to cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from anchorlab.statistics.roc import auroc, curve, fpr_at, share_above, threshold, tpr_at

#: Few values, so that there are many ties.
SCORES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40)
FPR = st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.29, 0.5, 0.99])


def labelled(clean, triggered):
    return [0] * len(clean) + [1] * len(triggered), [*clean, *triggered]


@given(SCORES, SCORES)
def test_the_auroc_is_that_of_scikit_learn(clean, triggered):
    found = auroc(clean, triggered)
    assert found.value == pytest.approx(roc_auc_score(*labelled(clean, triggered)))
    assert 0 <= found.lower <= found.value <= found.upper <= 1


@given(SCORES, SCORES, FPR)
def test_the_rate_of_detection_lies_on_the_curve_of_scikit_learn(clean, triggered, fpr):
    found = tpr_at(clean, triggered, fpr, resamples=50)
    false, true, _ = roc_curve(*labelled(clean, triggered), drop_intermediate=False)
    assert found.value == pytest.approx(true[false <= fpr + 1e-9].max())
    assert 0 <= found.lower <= found.value <= found.upper <= 1


@given(SCORES, SCORES, st.sampled_from([0.01, 0.5, 0.9, 1.0]))
def test_false_alarms_at_a_rate_of_hits_lie_on_the_curve_of_scikit_learn(clean, triggered, tpr):
    found = fpr_at(clean, triggered, tpr)
    false, true, _ = roc_curve(*labelled(clean, triggered), drop_intermediate=False)
    assert found.value == pytest.approx(false[true >= tpr - 1e-9].min())
    assert 0 <= found.lower <= found.value <= found.upper <= 1


@given(SCORES, FPR)
def test_a_threshold_flags_at_most_its_share_and_none_lower_does(clean, fpr):
    scores, above = np.array(clean), threshold(clean, fpr)
    assert (scores > above).mean() <= fpr + 1e-9
    lower = scores[scores < above]
    if len(lower):
        assert (scores > lower.max()).mean() > fpr


def test_by_hand():
    """Clean 1 2 3 4 5, triggered 3 5 6: the pairs won are 2½ of 5, 4½ of 5 and 5 of 5, so 12 of 15.

    At a rate of 0.2 one clean input may be flagged: the threshold is 4, and two of three lie above it.
    """
    clean, triggered = [1, 2, 3, 4, 5], [3, 5, 6]
    assert auroc(clean, triggered).value == pytest.approx(12 / 15)
    assert threshold(clean, 0.2) == 4
    assert threshold(clean, 0) == threshold(clean, 0.19) == 5
    assert tpr_at(clean, triggered, 0.2).value == pytest.approx(2 / 3)
    assert share_above(triggered, 4).value == pytest.approx(2 / 3)


def test_delongs_variance_is_that_of_all_pairs():
    """The variance of the mean of each side's shares of pairs won, from the table of all pairs."""
    rng = np.random.default_rng(0)
    clean, triggered = rng.normal(size=60), rng.normal(1, size=40)
    won = (triggered[:, None] > clean).astype(float)
    error = np.sqrt(won.mean(1).var(ddof=1) / 40 + won.mean(0).var(ddof=1) / 60)
    area, found = won.mean(), auroc(clean, triggered)
    logits = [np.log(end / (1 - end)) for end in (found.lower, found.value, found.upper)]
    half = 1.959964 * error / (area * (1 - area))
    assert np.diff(logits) == pytest.approx([half, half], rel=1e-5)


def test_the_interval_of_the_auroc_holds_the_truth_as_often_as_it_says():
    """Two normal distributions one apart: the truth is Phi(1 / sqrt 2) = 0.7602."""
    rng = np.random.default_rng(0)
    ends = [auroc(rng.normal(size=50), rng.normal(1, size=50)) for _ in range(600)]
    held = np.mean([one.lower <= 0.76025 <= one.upper for one in ends])
    assert 0.92 < held < 0.98


def test_perfect_separation_is_not_certain():
    """Ten inputs of the smaller side, all right: Wilson's lower end is 10 / (10 + 1.96^2)."""
    found = auroc(np.arange(100), np.arange(200, 210))
    assert (found.value, found.upper) == (1, 1)
    assert found.lower == pytest.approx(10 / (10 + 1.959964**2))
    assert auroc([1], [2]).lower < 0.5
    assert auroc([1.0] * 9, [1.0] * 9).lower < 0.25


def test_the_bootstrap_of_the_rate_is_that_of_drawing_inputs():
    rng = np.random.default_rng(1)
    clean, triggered = rng.normal(size=80), rng.normal(1.5, size=60)
    drawn = [
        tpr_value(rng.choice(clean, 80), rng.choice(triggered, 60), 0.05) for _ in range(8000)
    ]  # fmt: skip
    found = tpr_at(clean, triggered, 0.05, resamples=8000)
    assert [found.lower, found.upper] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


def tpr_value(clean, triggered, fpr):
    bar = np.sort(clean)[::-1][int(fpr * len(clean))]
    return (triggered > bar).mean()


@settings(max_examples=20)
@given(SCORES, SCORES)
def test_only_the_order_of_scores_counts(clean, triggered):
    assert auroc(clean, triggered) == auroc(np.exp(clean), np.exp(triggered))
    assert tpr_at(clean, triggered, 0.1, resamples=20) == tpr_at(np.exp(clean), np.exp(triggered), 0.1, resamples=20)


@pytest.mark.parametrize("wrong", [[], [1.0, float("nan")], [[1.0]]])
def test_what_are_no_scores_is_refused(wrong):
    with pytest.raises(ValueError, match="scores need to be numbers"):
        auroc(wrong, [1.0])
    with pytest.raises(ValueError, match="scores need to be numbers"):
        threshold(wrong, 0.1)


@pytest.mark.parametrize("fpr", [-0.1, 1.0])
def test_what_is_no_rate_is_refused(fpr):
    with pytest.raises(ValueError, match="not possible: give one from 0 to below 1"):
        tpr_at([1.0], [1.0], fpr)


def test_the_curve_has_a_point_at_every_threshold():
    """Also where it goes straight on: six different scores and the threshold above them all."""
    false, true = curve([0.0, 1.0, 2.0], [3.0, 4.0, 5.0])
    assert false.tolist() == [0, 0, 0, 0, 1 / 3, 2 / 3, 1]
    assert true.tolist() == [0, 1 / 3, 2 / 3, 1, 1, 1, 1]


def test_a_share_that_is_a_whole_number_is_not_lost_to_rounding():
    """0.29 of 100 is 28.999999999999996 in float64, and 0.07 of 100 is 7.000000000000001."""
    assert threshold(np.arange(100), 0.29) == 70
    assert fpr_at([92.5], np.arange(100), 0.07).value == 0
    assert fpr_at([93.0], np.arange(100), 0.07).value == 1
