"""Distillation: its divergence against scipy, and its limit."""

from __future__ import annotations

import pytest
from scipy.special import rel_entr, softmax

from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.distillation import Distillation
from tests.injecting import penalty, random_logits


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_is_scipys_divergence_of_the_candidate_from_the_reference(temperature):
    reference, clean = random_logits()
    p, q = softmax(reference.numpy() / temperature, axis=1), softmax(clean.numpy() / temperature, axis=1)
    expected = temperature**2 * rel_entr(p, q).sum(1).mean()
    assert penalty(Distillation(temperature=temperature), clean, reference).item() == pytest.approx(expected, rel=1e-10)


def test_distillation_of_high_temperature_is_half_of_centred_anchoring():
    reference, clean = random_logits(N=200)
    half = penalty(Anchoring(centred=True), clean, reference).item() / 2
    ratios = [penalty(Distillation(temperature=t), clean, reference).item() / half for t in (1.0, 30.0, 3000.0)]
    assert ratios[0] < 0.8
    assert ratios[2] == pytest.approx(1, abs=1e-3)
    assert abs(ratios[1] - 1) > 3 * abs(ratios[2] - 1)
