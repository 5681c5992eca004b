"""Activation clustering by hand, and on planted backdoors."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.detectors.activation_clustering import ActivationClustering, cluster_scores, reduced
from anchorlab.detectors.rates import auroc


def test_by_hand():
    """Points 0, 0, 0 and 10: silhouettes are 1, 1, 1, and 0 for the one that is alone; their mean is 3/4.

    The single point has a quarter of the class, so 3/4 * 3/4; the others 3/4 * 1/4.
    """
    found = cluster_scores(np.array([[0.0], [0], [10], [0]]), seed=0)
    assert found.tolist() == pytest.approx([3 / 16, 3 / 16, 9 / 16, 3 / 16])


@pytest.mark.parametrize("rows", [np.zeros((2, 3)), np.zeros((1, 3)), np.ones((9, 3))])
def test_where_there_are_no_two_clusters_all_score_0(rows, place):
    found = ActivationClustering().scores_of_features(rows, np.zeros(len(rows), dtype=np.int64), place)
    assert found.tolist() == [0] * len(rows)


@pytest.mark.parametrize("reduction", ["ica", "pca"])
def test_a_small_cluster_is_found_and_other_classes_are_left_alone(reduction, place):
    rng = np.random.default_rng(0)
    features, predicted = rng.normal(size=(300, 20)), np.arange(300) % 3
    odd = (predicted == 1) & (np.arange(300) < 60)
    features[odd] += 12
    found = ActivationClustering(reduction=reduction, dimensions=3).scores_of_features(features, predicted, place)
    assert found[odd].min() > found[~odd].max()
    np.testing.assert_allclose(found[odd], found[odd][0])


def test_the_reduction_spans_what_there_is():
    """Rows in a plane have two dimensions, whatever is asked for; ICA's have unit variance and no correlation."""
    rng = np.random.default_rng(0)
    plane = rng.uniform(-1, 1, size=(50, 2)) @ rng.normal(size=(2, 6))
    assert reduced(plane, "pca", 10, 0).shape == (50, 2)
    independent = reduced(plane, "ica", 10, 0)
    np.testing.assert_allclose(np.cov(independent.T, bias=True), np.eye(2), atol=1e-6)
    assert reduced(plane[:3], "ica", 10, 0).shape == (3, 2)
    assert reduced(plane[:1], "pca", 10, 0).shape == (1, 0)


def test_the_same_seed_gives_the_same_scores(images, place):
    one, other = (images.scores(ActivationClustering(), place, triggered=15) for _ in range(2))
    np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))


def test_triggered_images_stand_out(images, place):
    """With 20 triggered images beside 53 clean ones of the target's class, by PCA: 0.85 when this was written.

    Classes of 50 make clusters of little worth: with 10 triggered images it is 0.2, and by ICA it is 0.6 with 20.
    """
    assert auroc(*images.scores(ActivationClustering(reduction="pca"), place, triggered=20)).value > 0.7


def test_triggered_texts_stand_out(texts, place):
    """With 30 triggered texts beside 160 clean ones: 0.88 when this was written."""
    assert auroc(*texts.scores(ActivationClustering(), place, triggered=30)).value > 0.7
