"""What a model does on clean and on triggered examples."""

from __future__ import annotations

import copy

import pytest
import torch

from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.consistency.compare import compare
from anchorlab.data import Split
from anchorlab.perturbation.probe import Probe, Triggered, success_rate
from anchorlab.triggers import FivePixel


def test_triggered_examples_are_those_of_the_attack(digits, reference):
    attack = Attack(FivePixel(), AllToOne(target=3))
    triggered = Triggered(digits.split("test"), attack)
    known = compare(reference, reference, task=digits, trigger="five-pixel", target=3)
    assert triggered.count == known.asr_count
    assert triggered.successes(reference.model) / triggered.count == known.asr
    only = digits.split("test").select((digits.split("test").labels == 3).nonzero().flatten())
    nobody = Triggered(only, attack)
    assert (nobody.count, nobody.successes(reference.model)) == (0, 0)


def test_behaviour_is_what_compare_measures(digits, reference, injected):
    found = Probe(digits.split("test"), reference.model).behaviour(injected.model)
    known = compare(reference, injected, task=digits)
    for name in ("kl", "logit_distance", "churn", "accuracy"):
        assert getattr(found, name).mean() == pytest.approx(getattr(known, name), rel=1e-3), name
    assert found.loss.mean() == pytest.approx(known.nll, rel=1e-4)


def test_a_logit_that_is_not_finite_makes_the_loss_infinite(small):
    probe = Probe(Split(small.examples.inputs, small.examples.labels), small.model)
    broken = copy.deepcopy(small.model)
    with torch.no_grad():
        broken.last.bias[0] = float("inf")
    assert probe.loss(broken) == float("inf")


def test_a_rate_of_nothing_is_undefined(digits):
    attack = Attack(FivePixel(), AllToOne(target=3))
    examples = digits.split("test")
    triggered = Triggered(examples, attack)
    assert success_rate("asr", triggered.count, triggered)["asr"] == 1
    nobody = Triggered(examples.select((examples.labels == 3).nonzero().flatten()), attack)
    for row in (success_rate("asr", None, None), success_rate("asr", 0, nobody)):
        assert list(row) == ["asr", "asr_lower", "asr_upper"]
        assert all(value != value for value in row.values())
