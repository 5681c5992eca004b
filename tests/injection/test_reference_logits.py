"""Reference logits: looked up, or a second forward pass."""

from __future__ import annotations

import pytest
import torch

from anchorlab.data import Augmentation
from anchorlab.injection.loop import tune
from anchorlab.injection.tuning import Tuning
from anchorlab.methods.anchoring import Anchoring
from anchorlab.models.call import predict
from anchorlab.models.weights import to_vector
from tests import injecting
from tests.injecting import asked

BATCH = 12
VARIED = {"steps": 1, "batch_size": BATCH, "learning_rate": 1e-3, "augment": True}


def tuned(model, digits, method, anchors, *, seed=0, checkpoint=None, report=None, cached=None, start=None, **settings):
    """The tuned model and the number of steps taken."""
    made = injecting.tuned(
        model, digits, method, anchors=anchors, start=start, seed=seed, known_logits=cached, checkpoint=checkpoint,
        report=report, **{"steps": 20, "batch_size": BATCH} | settings,
    )  # fmt: skip
    return made.model, made.steps


def test_looked_up_logits_tune_like_a_second_forward_pass(reference, digits, anchors):
    """Augmentation that changes nothing forces the second pass; the anchors here are not all visited."""
    looked_up, second = [], []
    model = reference.model
    settings = {"steps": 3, "learning_rate": 1e-3}
    for augment, lines in ((False, looked_up), (True, second)):
        result, _ = tuned(
            model, digits, Anchoring(), anchors, augment=augment, report=lambda _, s, to=lines: to.append(s), **settings
        )
        lines.append(to_vector(result))
    assert looked_up[0] == pytest.approx(second[0], rel=1e-4)
    assert looked_up[0]["anchor"] > 1e-4
    torch.testing.assert_close(looked_up[-1], second[-1], rtol=0, atol=2e-4)
    assert (looked_up[-1] - to_vector(model)).abs().max() > 1e-3


def test_known_logits_are_used_and_give_the_same(linear, digits, anchors):
    table = predict(linear, anchors.inputs)
    results = [
        to_vector(tuned(linear, digits, Anchoring(strength=20.0), anchors, cached=cached)[0])
        for cached in (None, table, table + 5)
    ]
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(results[0], results[2], atol=0.01)


def test_with_augmentation_the_reference_answers_on_the_varied_images(linear, digits, anchors):
    """At the starting weights the anchor loss must then be exactly 0; looked-up logits would give more."""
    lines = []
    injection = asked(linear, Anchoring(), anchors, Tuning(**VARIED), augmentation=Augmentation(pad=2, mirror=True))
    tune(injection, report=lambda _, scalars: lines.append(scalars))
    assert lines[0]["anchor"] == 0
