"""Spectral signatures against numpy, scikit-learn and ART, and on a planted backdoor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from art.defences.detector.poison import SpectralSignatureDefense
from sklearn.decomposition import PCA, TruncatedSVD

from anchorlab.data.inputs import joined
from anchorlab.detectors.spectral_signatures import SpectralSignatures, squared_projections
from anchorlab.models.hooks import features
from anchorlab.settings import values_of


def rows(count=40, width=7, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)) * np.arange(1, width + 1) + 5


def test_by_hand():
    """Centred, the points are (-3, 0), (0, 1), (3, -1): the main direction is nearly the first axis.

    The matrix of products is [[18, -3], [-3, 2]], with the largest eigenvalue 10 + sqrt(73).
    """
    found = squared_projections(np.array([[0.0, 1], [3, 2], [6, 0]]))
    assert found.sum() == pytest.approx(10 + np.sqrt(73))
    assert found[0] == pytest.approx(9 * 9 / (9 + (8 - np.sqrt(73)) ** 2))


@pytest.mark.parametrize("seed", range(3))
def test_projections_are_those_of_scikit_learn(seed):
    data = rows(seed=seed)
    svd = TruncatedSVD(1, algorithm="arpack").fit_transform(data - data.mean(0))[:, 0]
    np.testing.assert_allclose(squared_projections(data), svd**2, rtol=1e-6)
    np.testing.assert_allclose(squared_projections(data), PCA(1).fit_transform(data)[:, 0] ** 2, rtol=1e-6)


def test_projections_are_those_of_art():
    """ART gives their roots, and projects features that it does not centre: given centred ones, it agrees."""
    centred = rows() - rows().mean(0)
    theirs = SpectralSignatureDefense.spectral_signature_scores(centred)[:, 0]
    np.testing.assert_allclose(squared_projections(rows()), theirs**2, rtol=1e-6)


def test_without_centring_projections_are_those_of_the_authors():
    """ART has their code: directions of the centred features, and projections of the features as they are."""
    theirs = SpectralSignatureDefense.spectral_signature_scores(rows())[:, 0]
    np.testing.assert_allclose(squared_projections(rows(), centred=False), theirs**2, rtol=1e-6)
    assert values_of(SpectralSignatures()) == {}
    assert values_of(SpectralSignatures(centred=False)) == {"centred": False}


def test_each_predicted_class_is_by_itself(context):
    data, labels = rows(), np.arange(40) % 3
    found = SpectralSignatures().scores_of_features(data, labels, context)
    for label in range(3):
        np.testing.assert_allclose(found[labels == label], squared_projections(data[labels == label]))
    alone = np.where(np.arange(40) == 5, 3, labels)
    assert SpectralSignatures().scores_of_features(data, alone, context)[5] == 0


def test_scores_are_those_of_features_gathered_once(images, context):
    found, logits = features(images.model, images.clean)
    expected = SpectralSignatures().scores_of_features(found.double().numpy(), logits.argmax(1).numpy(), context)
    np.testing.assert_array_equal(
        SpectralSignatures().scores(images.model, images.data, images.clean, context), expected
    )


def test_order_follows_the_inputs(images, context):
    both = joined(images.clean, {name: value[:15] for name, value in images.triggered.items()})
    turned = {name: value.flip(0) for name, value in both.items()}
    one, other = (SpectralSignatures().scores(images.model, images.data, some, context) for some in (both, turned))
    np.testing.assert_allclose(other[::-1], one, rtol=1e-3, atol=1e-4 * one.max())


def test_a_model_without_a_last_layer_is_refused(images, context):
    from anchorlab import AnchorlabError

    class NoLayer(torch.nn.Module):
        def forward(self, pixel_values):
            return pixel_values.float().flatten(1)[:, :10]

    with pytest.raises(AnchorlabError, match="no linear layer that gives its 10 logits"):
        SpectralSignatures().scores(NoLayer(), images.data, images.clean, context)
