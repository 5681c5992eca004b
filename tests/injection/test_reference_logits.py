"""Reference logits: looked up, or a second forward pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anchorlab.data import Augmentation
from anchorlab.injection.loop import tune
from anchorlab.injection.reference_logits import stored_logits
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


def test_a_run_in_exact_float32_uses_known_logits_and_gives_the_same(linear, digits, anchors):
    table = predict(linear, anchors.inputs)
    results = [
        to_vector(tuned(linear, digits, Anchoring(strength=20.0), anchors, cached=cached, deterministic=True)[0])
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


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_before_the_first_step_no_anchor_has_moved_in_any_precision(reference, digits, anchors, precision, augment):
    """In float32 exactly; in bf16 by what the rest of the batch may do to the rounding, 8 bits of the largest logit."""
    lines = []
    tuning = Tuning(steps=1, batch_size=BATCH, learning_rate=1e-3, precision=precision, augment=augment)
    injection = asked(reference.model, Anchoring(), anchors, tuning, augmentation=Augmentation(pad=2, mirror=True))
    tune(injection, report=lambda _, scalars: lines.append(scalars))
    largest = float(predict(reference.model, anchors.inputs).abs().max())
    assert lines[0]["anchor"] <= (0 if precision == "no" else (largest / 2**8) ** 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="TF32 is CUDA's")
@pytest.mark.parametrize("augment", [False, True])
def test_before_the_first_step_no_anchor_has_moved_in_tf32(reference, digits, anchors, augment):
    """Looked-up logits come from batches of the steps' own size; a second pass over the clean half alone may round
    otherwise."""
    lines = []
    tuning = Tuning(steps=1, batch_size=BATCH, learning_rate=1e-3, augment=augment, compile=False)
    injection = asked(reference.model, Anchoring(), anchors, tuning, augmentation=Augmentation(pad=2, mirror=True))
    tune(injection, report=lambda _, scalars: lines.append(scalars))
    largest = float(predict(reference.model, anchors.inputs).abs().max())
    assert lines[0]["anchor"] <= (largest / 2**11) ** 2


def stored(reference, anchors, visited, **settings):
    tuning = Tuning(batch_size=BATCH, **settings)
    return stored_logits(reference, anchors, visited, tuning, known=torch.zeros(len(anchors), 10))(visited, {})


def test_logits_that_are_known_in_exact_float32_are_taken_by_a_run_in_exact_float32_alone(linear, anchors):
    visited = torch.arange(7)
    assert (stored(linear, anchors, visited) == 0).all()
    mixed = stored(linear, anchors, visited, precision="bf16")
    torch.testing.assert_close(mixed, predict(linear, anchors.inputs)[:7], atol=0.1, rtol=0.01)


def test_bf16_logits_are_looked_up_from_full_batches_of_a_step(anchors):
    """With 31 anchors and steps of 2 · 12 the second batch is filled up."""
    sizes = []

    class Sized(nn.Module):
        def forward(self, pixel_values):
            sizes.append(len(pixel_values))
            return pixel_values.flatten(1)[:, :10].float()

    visited = torch.arange(60).flip(0)[:31]
    answers = stored(Sized(), anchors, visited, precision="bf16")
    assert sizes == [24, 24]
    assert torch.equal(answers, anchors.inputs["pixel_values"].flatten(1)[visited, :10].float())


def test_a_reference_in_training_mode_answers_in_evaluation_mode(linear, anchors):
    """Also where a second forward pass gives its logits; dropout would move every anchor."""

    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.drop = linear, nn.Dropout(0.5)

        def forward(self, pixel_values):
            return self.drop(self.inner(pixel_values))

    lines = []
    injection = asked(Dropping().train(), Anchoring(), anchors, Tuning(**VARIED), augmentation=Augmentation(pad=2))
    tune(injection, report=lambda _, scalars: lines.append(scalars))
    assert lines[0]["anchor"] == 0
