"""SAU: the divergence beside scipy's, the logarithm beside plain arithmetic, and a search that keeps to its box."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from anchorlab.models.call import logits
from anchorlab.repairs import tuning
from anchorlab.repairs.sau import SAU, divergence, log_complement


def test_the_divergence_is_scipy_s():
    draw = torch.Generator().manual_seed(0)
    first, second = (5 * torch.randn(6, 4, generator=draw) for _ in range(2))
    distances = jensenshannon(softmax(first.numpy(), 1), softmax(second.numpy(), 1), axis=1)
    np.testing.assert_allclose(divergence(first, second).numpy(), distances**2, rtol=1e-5)
    assert divergence(first, first).abs().max() < 1e-6


def test_the_logarithm_of_the_rest_is_exact_where_the_probability_is_nearly_1():
    """exp(-40) + exp(-41) of the mass is left."""
    answers, labels = torch.tensor([[0.0, -40.0, -41.0], [0.0, 0.0, 0.0]]), torch.tensor([0, 2])
    expected = [np.log(np.exp(-40) + np.exp(-41)), np.log(2 / 3)]
    np.testing.assert_allclose(log_complement(answers, labels).numpy(), expected, rtol=1e-6)


def test_a_search_stays_in_the_box_and_among_images_and_fools_both(suspicious, defender_data):
    images, labels = defender_data.train.inputs["pixel_values"], defender_data.train.labels
    other = copy.deepcopy(suspicious)
    repair = SAU(radius=0.3)
    with torch.no_grad():
        other.classifier[1].weight.mul_(0.9)
    perturbed = repair.search(other, suspicious, images, labels)
    assert float((perturbed - images).abs().max()) <= 255 * 0.3 + 1e-3
    assert 0 <= float(perturbed.min()) <= float(perturbed.max()) <= 255
    start = ((images / 255 + 0.3).clamp(0, 1)) * 255

    def wrong(pixels):
        with torch.no_grad():
            return [(logits(one, {"pixel_values": pixels}).argmax(1) != labels).float().mean().item() for one in
                    (other, suspicious)]  # fmt: skip

    assert all(after > before for after, before in zip(wrong(perturbed), wrong(start), strict=True))


def test_the_loss_of_a_step_by_hand(suspicious, defender_data, context, monkeypatch):
    """Cross-entropy on clean images, and -log(1 - p) of what fools the suspicious model; all in numpy."""
    seen = []

    def fit(model, objective, *_arguments, **_options):
        inputs, labels = objective._batches(0)
        seen.append((float(objective.loss(0)[0].detach()), model, inputs["pixel_values"], labels))
        return 0

    monkeypatch.setattr(tuning, "fit", fit)
    repair = SAU(unlearning=0.7)
    repair.repair(suspicious, defender_data, context)
    found, model, images, labels = seen[0]
    perturbed = repair.search(model, suspicious, images, labels)

    def probabilities(pixels):
        with torch.no_grad():
            return softmax(logits(suspicious, {"pixel_values": pixels}).double().numpy(), 1)

    clean, fooled, rows = probabilities(images), probabilities(perturbed), np.arange(len(labels))
    said = fooled.argmax(1)
    counts = (said != labels.numpy()) & (said != clean.argmax(1))
    assert counts.any()
    expected = -np.log(clean[rows, labels]).mean() - 0.7 * (np.log1p(-fooled[rows, said]) * counts).mean()
    assert found == pytest.approx(expected, rel=1e-3)
