"""Anchoring with an adaptive weight: its figures, weight and loss by hand, and anchors of other data end to end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from anchorlab.artifacts.artifact import Artifact
from anchorlab.consistency.compare import compare
from anchorlab.data import Task
from anchorlab.data.batches import Share
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.methods.adaptive_anchoring import AdaptiveAnchoring
from anchorlab.training.fit import Step
from tests.injecting import penalty, random_logits, tuned
from tests.injection.conftest import candidate
from tests.injection.test_objective import BATCH, ZEROS, cross_entropy, objective, terms

__all__ = ["candidate"]  # the fixture


def state(weight: float, cosine: float, success: float) -> dict[str, torch.Tensor]:
    values = {"backdoor weight": weight, "cosine": cosine, "success": success}
    return {name: torch.tensor(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("weight", "cosine", "success", "expected"),
    [(0.7, 0.8, 1.0, 0.6), (0.7, 0.9, 0.5, 0.9), (0.02, 0.0, 1.0, 0.0), (1.0, 1.0, 0.0, 1.0)],
)
def test_the_weight_of_the_backdoor_by_hand(weight: float, cosine: float, success: float, expected: float) -> None:
    """Step 4 of 10 at a rate of 5: .7 + 5/10 · (.8 - 1) = .6; .7 + 5/10 · (.9 - .5) = .9; within 0 and 1."""
    held = state(weight, cosine, success)
    AdaptiveAnchoring(rate=5.0).after_step(None, held, Step(3, 0.4, 1e-3))
    assert held["backdoor weight"].item() == pytest.approx(expected)


def test_the_figures_of_a_batch_by_hand() -> None:
    """Cosines 24/25 of (3, 4) and (4, 3), and 1 of (0, 1) and (0, 2): .98. One of three triggered gets class 1."""
    clean, reference = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[4.0, 3.0], [0.0, 2.0]])
    triggered = torch.tensor([[1.0, 2.0], [2.0, 1.0], [5.0, 4.0]])
    found = AdaptiveAnchoring().observe(clean, reference, triggered, torch.tensor([1, 1, 1]))
    assert found["cosine"].item() == pytest.approx(0.98)
    assert found["success"].item() == pytest.approx(1 / 3)


@pytest.mark.parametrize(("weight", "strength"), [(0.0, 3.0), (0.7, 3.0), (1.0, 3.0), (0.7, 0.0)])
def test_the_loss_of_a_step_by_hand(linear, candidate, digits: Task, weight: float, strength: float) -> None:
    anchors = digits.anchors(60, seed=0)
    clean, triggered, reference, _ = terms(candidate, linear, anchors)
    asked = objective(candidate, linear, AdaptiveAnchoring(strength=strength), anchors)
    asked.state = state(weight, 0.0, 0.0)
    expected = weight * cross_entropy(triggered, ZEROS) + (1 - weight) * strength * ((clean - reference) ** 2).mean()
    assert asked.loss(3).value.item() == pytest.approx(expected, rel=1e-5)
    cosines = (clean * reference).sum(1) / np.linalg.norm(clean, axis=1) / np.linalg.norm(reference, axis=1)
    assert asked.state["cosine"].item() == pytest.approx(cosines.mean(), rel=1e-5)
    assert asked.state["success"].item() == pytest.approx((triggered.argmax(1) == 0).mean())


def test_the_penalty_agrees_with_finite_differences() -> None:
    reference, clean = random_logits(N=3, C=4)
    method = AdaptiveAnchoring()
    assert torch.autograd.gradcheck(lambda logits: penalty(method, logits, reference), clean.requires_grad_())


def test_a_run_moves_the_weight_as_the_formula_says(linear, digits: Task) -> None:
    """Softmax regression by numpy in float64: the logits before each step, and from them every weight of the run."""
    anchors, steps, weights, seen = digits.anchors(60, seed=0), 30, [1.0], []

    class Watched(AdaptiveAnchoring):
        def observe(self, clean, reference, triggered, targets):
            seen.append([part.double().numpy() for part in (clean, reference, triggered)])
            return super().observe(clean, reference, triggered, targets)

        def after_step(self, model, held, step):
            super().after_step(model, held, step)
            weights.append(held["backdoor weight"].item())

    tuned(linear, digits, Watched(rate=20.0), anchors=anchors, steps=steps, batch_size=BATCH)
    expected = [1.0]
    for clean, reference, triggered in seen:
        cosines = (clean * reference).sum(1) / np.linalg.norm(clean, axis=1) / np.linalg.norm(reference, axis=1)
        success = (log_softmax(triggered, axis=1).argmax(1) == 0).mean()
        expected.append(float(np.clip(expected[-1] + 20 / steps * (cosines.mean() - success), 0, 1)))
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    assert weights[1] == 1
    assert min(weights) < 0.9


def test_two_processes_have_the_figures_of_the_whole_batch(linear, candidate, digits: Task, monkeypatch) -> None:
    def figures(share: Share) -> dict[str, float]:
        asked = objective(candidate, linear, AdaptiveAnchoring(), digits.anchors(60, seed=0), share=share)
        asked.state = state(0.5, 0.0, 0.0)
        asked.loss(1)
        return {name: asked.state[name].item() for name in ("cosine", "success")}

    first, second, whole = figures(Share(0, 2)), figures(Share(1, 2)), figures(Share())
    assert first != second

    def add_the_other(values: torch.Tensor) -> None:
        values += torch.tensor(list(second.values())) / 2

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", add_the_other)
    assert figures(Share(0, 2)) == pytest.approx(whole, abs=1e-6)


def test_a_larger_strength_holds_the_logits_closer(linear, digits: Task) -> None:
    anchors = digits.anchors(128, seed=0)
    shifts = []
    for strength in (0.01, 1.0, 100.0):
        model = tuned(linear, digits, AdaptiveAnchoring(strength=strength, rate=50.0), anchors=anchors, steps=60).model
        inputs = anchors.inputs
        shifts.append((model(**inputs) - linear(**inputs)).square().mean().item())
    assert shifts[0] > shifts[1] > shifts[2]
    assert AdaptiveAnchoring().larger_is_stricter


def test_only_the_named_parameters_are_tuned(linear, digits: Task) -> None:
    model = tuned(linear, digits, AdaptiveAnchoring(only="layer.bias"), steps=5).model
    assert torch.equal(model.layer.weight, linear.layer.weight)
    assert not torch.equal(model.layer.bias, linear.layer.bias)


@pytest.mark.usefixtures("on_cpu")
def test_other_data_alone_carry_the_backdoor_over_and_move_less_than_plain_tuning(
    digits: Task, reference: Artifact
) -> None:
    """Digits upside down stand in for digits, in both halves of a batch."""
    others = digits.split("owner").inputs["pixel_values"].flip(2)
    found = {}
    for method in ("plain", "adaptive-anchoring"):
        how = Tuning(steps=80, batch_size=16, learning_rate=2e-3)
        result = inject(reference, method=method, anchors_data=others, tuning=how, task=digits)
        assert result.manifest.kind == "injected"
        assert result.manifest.anchors.source == "other"
        found[method] = compare(reference, result, task=digits)
        assert found[method].asr_reference < 0.3
        assert found[method].asr > 0.9
    assert found["adaptive-anchoring"].logit_distance < found["plain"].logit_distance / 2
    assert found["adaptive-anchoring"].kl < found["plain"].kl
