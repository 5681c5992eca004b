"""The calibration error by hand: bins of equal mass, equal confidences in one bin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from anchorlab.consistency.summary import measure
from anchorlab.metrics import Pair
from anchorlab.metrics.numerics import Softmax
from anchorlab.metrics.summaries import calibration_bins, calibration_error


def test_thirty_confidences_lie_two_by_two_in_fifteen_bins() -> None:
    confidence = np.linspace(0.5, 0.99, 30)
    assert calibration_bins(confidence).tolist() == np.repeat(np.arange(15), 2).tolist()
    order = np.random.default_rng(0).permutation(30)
    assert calibration_bins(confidence[order]).tolist() == (order // 2).tolist()


def test_equal_confidences_share_a_bin() -> None:
    """Bins of two would part the three .6."""
    confidence = np.array([0.5, 0.6, 0.6, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert calibration_bins(confidence, bins=4).tolist() == [0, 1, 1, 1, 2, 2, 3, 3]


def test_bins_are_cut_between_instances_where_they_cannot_be_equal() -> None:
    """Eight in three bins: the cuts lie before the third and the sixth."""
    assert calibration_bins(np.linspace(0.3, 1, 8), bins=3).tolist() == [0, 0, 1, 1, 1, 2, 2, 2]


def test_each_model_is_calibrated_by_its_own_confidence_and_its_own_predictions() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    models = [rng.normal(size=(60, 3)) + strength * np.eye(3)[labels] for strength in (1.0, 2.0)]
    found = measure(*models, labels)
    for value, logits in zip((found.ece_reference, found.ece), models, strict=True):
        right = logits.argmax(axis=1) == labels
        assert value == pytest.approx(calibration_error(softmax(logits, axis=1).max(axis=1), right), rel=1e-12)
    assert found.ece != found.ece_reference


def test_by_hand() -> None:
    """Two bins: .6 and .8, of which one is right; .9 and 1, which are right."""
    error = calibration_error([0.6, 0.9, 0.8, 1.0], [True, True, False, True], bins=2)
    assert error == pytest.approx((abs(1 - 1.4) + abs(2 - 1.9)) / 4)


def test_the_brier_score_is_the_squared_distance_of_the_probabilities_from_the_label() -> None:
    """Of right and wrong predictions, whatever constant the logits have."""
    rng = np.random.default_rng(0)
    logits, labels = 3 * rng.normal(size=(60, 4)) + rng.normal(size=(60, 1)), rng.integers(0, 4, 60)
    assert 0 < (logits.argmax(axis=1) == labels).sum() < 60
    expected = ((softmax(logits, axis=1) - np.eye(4)[labels]) ** 2).sum(axis=1)
    pair = Pair(logits, logits[:, ::-1])
    assert pair.p.brier(labels) == pytest.approx(expected, rel=1e-12)
    assert Softmax(logits).brier(labels) == pytest.approx(expected, rel=1e-12)
