"""EWC: its Fisher information in closed form and by single examples, and its penalty."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional

from anchorlab.methods.ewc import EWC, fisher_diagonal
from tests.injecting import SIZE, moved, problem


def closed_form_fisher(linear, examples):
    """The exact Fisher diagonal of softmax regression, one row an example.

    The gradient of log p_k by the weight (c, j) is x_j (1[c = k] - p_c); its expected square under p is
    x_j² p_c (1 - p_c). A bias is the weight of a feature that is always 1.
    """
    x = linear.features(examples.inputs["pixel_values"]).double().numpy()
    weight, bias = (value.detach().double().numpy() for value in linear.layer.parameters())
    p = softmax(x @ weight.T + bias, axis=1)
    variance = p * (1 - p)
    weights = variance[:, :, None] * x[:, None, :] ** 2
    return np.concatenate([weights.reshape(len(x), -1), variance], axis=1)


def test_the_exact_fisher_is_the_closed_form_of_softmax_regression(linear, digits):
    examples = digits.anchors(37, seed=0)  # more than two chunks, the last of them incomplete
    fisher = fisher_diagonal(linear, examples, "exact", torch.Generator())
    assert fisher.shape == (SIZE,)
    np.testing.assert_allclose(fisher, closed_form_fisher(linear, examples).mean(0), rtol=1e-4)


def test_the_empirical_fisher_is_the_mean_of_squared_gradients_example_by_example(reference, digits):
    """On the ResNet, one backward pass each; the square of the mean gradient would be another thing."""
    model, examples = reference.model, digits.anchors(6, seed=0)
    parameters = list(model.parameters())
    squares = []
    for image, label in zip(examples.inputs["pixel_values"], examples.labels, strict=True):
        loss = functional.cross_entropy(model(image[None]).logits, label[None])
        squares.append(torch.cat([gradient.flatten() ** 2 for gradient in torch.autograd.grad(loss, parameters)]))
    fisher = fisher_diagonal(model, examples, "empirical", torch.Generator(), chunk=4)
    expected = torch.stack(squares).mean(0)
    torch.testing.assert_close(fisher, expected, rtol=1e-3, atol=1e-5 * expected.max().item())


def test_the_sampled_fisher_is_an_unbiased_estimate_of_the_exact_one(linear, digits):
    """Over 200 independent estimates: z-scores as of a standard normal; the empirical Fisher's are far off."""
    examples = digits.anchors(16, seed=0)
    exact = closed_form_fisher(linear, examples).mean(0)
    draws = np.stack(
        [fisher_diagonal(linear, examples, "sampled", torch.Generator().manual_seed(k)).numpy() for k in range(200)]
    )
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    z = (draws.mean(0) - exact) / error
    assert np.abs(z).max() < 5
    assert np.sqrt((z**2).mean()) < 1.5
    empirical = fisher_diagonal(linear, examples, "empirical", torch.Generator()).numpy()
    assert np.abs((empirical - exact) / error).max() > 10


def test_sampled_labels_are_seeded(linear, digits):
    anchors = digits.anchors(16, seed=0)
    fishers = [EWC().prepare(problem(linear, anchors, seed=seed))["fisher"] for seed in (0, 0, 1)]
    assert torch.equal(fishers[0], fishers[1])
    assert not torch.equal(fishers[0], fishers[2])


def test_ewc_is_the_quadratic_form_of_the_fisher_divided_by_its_mean(linear, digits):
    anchors = digits.anchors(20, seed=0)
    method = EWC(fisher="exact", strength=0.7)
    state = method.prepare(problem(linear, anchors))
    assert state["fisher"].mean().item() == pytest.approx(1, rel=1e-5)
    fisher = closed_form_fisher(linear, anchors).mean(0)
    other, change = moved(linear)
    expected = 0.5 * (fisher / fisher.mean() * change**2).sum()
    assert method.weight == 0.7
    assert method.penalty(linear, None, None, state).item() == 0
    assert method.penalty(other, None, None, state).item() == pytest.approx(expected, rel=1e-4)


def test_ewc_takes_as_many_anchors_as_it_is_told(linear, digits):
    anchors = digits.anchors(20, seed=0)
    rows = closed_form_fisher(linear, anchors)
    one = EWC(fisher="exact", samples=1).prepare(problem(linear, anchors))["fisher"].numpy()
    matches = [np.allclose(one, row / row.mean(), rtol=1e-3) for row in rows]
    assert sum(matches) == 1
