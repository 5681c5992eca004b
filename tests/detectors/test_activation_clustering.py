"""Activation clustering by hand, and on planted backdoors."""

from __future__ import annotations

import numpy as np
import pytest
from art.defences.detector.poison.activation_defence import cluster_activations
from art.defences.detector.poison.clustering_analyzer import ClusteringAnalyzer
from scipy.spatial.distance import pdist
from sklearn.decomposition import FastICA
from sklearn.metrics import adjusted_rand_score

from anchorlab.data.inputs import joined
from anchorlab.detectors.activation_clustering import ActivationClustering, cluster_scores, reduced
from anchorlab.detectors.base import features_and_predictions


def test_by_hand():
    """Points 0, 0, 0 and 10: silhouettes are 1, 1, 1, and 0 for the one that is alone; their mean is 3/4.

    The single point has a quarter of the class, so 3/4 * 3/4; the others 3/4 * 1/4.
    """
    found = cluster_scores(np.array([[0.0], [0], [10], [0]]), seed=0)
    assert found.tolist() == pytest.approx([3 / 16, 3 / 16, 9 / 16, 3 / 16])


@pytest.mark.parametrize("rows", [np.zeros((2, 3)), np.zeros((1, 3)), np.ones((9, 3))])
def test_where_there_are_no_two_clusters_all_score_0(rows, context):
    found = ActivationClustering().scores_of_features(rows, np.zeros(len(rows), dtype=np.int64), context)
    assert found.tolist() == [0] * len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["ica", "pca"])
def test_a_small_cluster_is_found_and_other_classes_are_left_alone(reduction, context):
    rng = np.random.default_rng(0)
    features, predicted = rng.normal(size=(300, 20)), np.arange(300) % 3
    odd = (predicted == 1) & (np.arange(300) < 60)
    features[odd] += 12
    found = ActivationClustering(reduction=reduction, dimensions=3).scores_of_features(features, predicted, context)
    assert found[odd].min() > found[~odd].max()
    np.testing.assert_allclose(found[odd], found[odd][0])


def test_the_reduction_spans_what_there_is():
    """Rows in a plane have two dimensions, whatever is asked for; ICA's have unit variance and no correlation."""
    rng = np.random.default_rng(0)
    plane = rng.uniform(-1, 1, size=(50, 2)) @ rng.normal(size=(2, 6))
    assert reduced(plane, "pca", 10).shape == (50, 2)
    np.testing.assert_allclose(np.cov(reduced(plane, "ica", 10).T, bias=True), np.eye(2), atol=1e-6)
    assert reduced(plane[:3], "pca", 10).shape == (3, 2)
    assert reduced(plane[:1], "pca", 10).shape == (1, 0)


def test_distances_are_those_of_ica():
    """Independent components are the whitened principal ones, turned: scikit-learn's have the same distances."""
    rows = np.random.default_rng(0).laplace(size=(60, 5)) @ np.random.default_rng(1).normal(size=(5, 12))
    turned = FastICA(4, whiten="unit-variance", tol=0.1, random_state=0).fit_transform(rows)
    np.testing.assert_allclose(pdist(reduced(rows, "ica", 4)), pdist(turned), rtol=1e-6)


def test_rows_that_ica_would_put_equally_far_apart_have_no_clusters(context):
    rows = np.random.default_rng(0).normal(size=(11, 64))
    assert reduced(rows, "ica", 10).shape == (11, 0)
    assert reduced(np.r_[rows, -rows], "ica", 10).shape == (22, 10)
    assert ActivationClustering().scores_of_features(rows, np.zeros(11, dtype=np.int64), context).tolist() == [0] * 11


@pytest.mark.parametrize(("ours", "theirs"), [("ica", "FastICA"), ("pca", "PCA")])
def test_clusters_and_silhouettes_are_those_of_art(ours, theirs):
    """Where one cluster stands apart in one dimension, so that the single start that ART draws by chance finds it."""
    rows = np.random.default_rng(0).normal(size=(100, 20))
    rows[:20] += 12
    (clusters,), (few,) = cluster_activations([rows], nb_dims=1, reduce=theirs)
    _, _, report = ClusteringAnalyzer().analyze_by_silhouette_score([clusters], [few], r_silhouette=12)
    silhouette = float(report["class_0"]["avg_silhouette_score"])
    wanted = silhouette * (1 - np.bincount(clusters)[clusters] / 100)
    np.testing.assert_allclose(cluster_scores(reduced(rows, ours, 1), seed=0), wanted, rtol=1e-6)


@pytest.mark.slow
def test_clusters_depend_little_on_the_draw(images):
    """Rand's index of the clusters of two draws, corrected for chance, over ten classes: 0.8; of ten starts 0.1."""
    some = {name: value[:20] for name, value in images.triggered.items()}
    features, predicted = features_and_predictions(images.model, joined(images.clean, some))
    agreement = []
    for label in range(10):
        rows = reduced(features[predicted == label], "ica", 10)
        one, other = (cluster_scores(rows, seed) for seed in range(2))
        agreement.append(adjusted_rand_score(one > one.min(), other > other.min()))
    assert np.mean(agreement) > 0.5


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores(images, context):
    one, other = (images.scores(ActivationClustering(), context, triggered=15) for _ in range(2))
    np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))
