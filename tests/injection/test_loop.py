"""The tuning loop: its loss by hand, what it leaves alone, how it stops, resumes and is shared out."""

from __future__ import annotations

import pytest
import torch

from anchorlab.artifacts.provenance import weights_hash
from anchorlab.attacks.attack import attack_success
from anchorlab.data import Augmentation
from anchorlab.injection.loop import tune
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.methods.adaptive_anchoring import AdaptiveAnchoring
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.ewc import EWC
from anchorlab.methods.l2 import L2
from anchorlab.methods.plain import Plain
from anchorlab.methods.scratch import Scratch
from anchorlab.methods.surgery import Surgery
from anchorlab.models.weights import to_vector
from anchorlab.training import fit as fitting
from anchorlab.training.checkpoint import Checkpoint
from tests import injecting
from tests.injecting import ATTACK, asked

BATCH = 12
VARIED = {"steps": 1, "batch_size": BATCH, "learning_rate": 1e-3, "augment": True}


def tuned(model, digits, method, anchors, *, seed=0, checkpoint=None, report=None, cached=None, start=None, **settings):
    """The tuned model and the number of steps taken."""
    made = injecting.tuned(
        model, digits, method, anchors=anchors, start=start, seed=seed, known_logits=cached, checkpoint=checkpoint,
        report=report, **{"steps": 20, "batch_size": BATCH} | settings,
    )  # fmt: skip
    return made.model, made.steps


# ---------------------------------------------------------------------------------------------------
# The loss


# ---------------------------------------------------------------------------------------------------
# Reference logits: looked up, or a second forward pass


def test_augmentation_varies_what_is_tuned_on(linear, digits, anchors):
    def loss(augmentation):
        lines = []
        injection = asked(linear, Plain(), anchors, Tuning(**VARIED), augmentation=augmentation)
        tune(injection, report=lambda _, scalars: lines.append(scalars["loss"]))
        return lines[0]

    assert loss(Augmentation(pad=2)) != loss(Augmentation())


# ---------------------------------------------------------------------------------------------------
# What a run leaves alone


@pytest.mark.parametrize("batchnorm", ["frozen", "tracked"])
def test_batchnorm_statistics_are_kept_bit_for_bit_unless_tracked(reference, digits, anchors, batchnorm):
    model, _ = tuned(reference.model, digits, Plain(), anchors, steps=2, batchnorm=batchnorm)
    before = dict(reference.model.named_buffers())
    same = [torch.equal(value, before[name]) for name, value in model.named_buffers() if "running" in name]
    assert len(same) > 10
    assert all(same) if batchnorm == "frozen" else not any(same)
    assert torch.equal(model.resnet.embedder.mean, reference.model.resnet.embedder.mean)
    assert not torch.equal(to_vector(model), to_vector(reference.model))
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("name", [name for name in METHODS.names() if METHODS[name].modality != "text"])
def test_the_reference_is_never_modified(linear, digits, anchors, name):
    before, mode = weights_hash(linear), linear.training
    model, _ = tuned(linear, digits, METHODS[name](), anchors, steps=10, augment=name == "anchoring")
    assert weights_hash(linear) == before
    assert linear.training == mode
    assert all(parameter.requires_grad and parameter.grad is None for parameter in linear.parameters())
    assert weights_hash(model) != before


def test_what_a_method_looks_at_beforehand_does_not_move_tracked_statistics(reference, digits, anchors):
    """Surgery by gradient runs eight batches through the model before its first step."""
    plain, surgery = (
        tuned(reference.model, digits, method, anchors, steps=1, batchnorm="tracked")[0]
        for method in (Plain(), Surgery(select="gradient"))
    )
    moved, expected = dict(surgery.named_buffers()), dict(plain.named_buffers())
    assert all(torch.equal(moved[name], value) for name, value in expected.items())


def test_scratch_starts_where_it_is_told_and_takes_more_steps(linear, candidate, digits, anchors):
    method = Scratch(steps_factor=2.5)
    (model, taken), (other, _) = (
        tuned(linear, digits, method, anchors, start=start, learning_rate=1e-9) for start in (candidate, linear)
    )
    assert taken == 50
    torch.testing.assert_close(to_vector(model), to_vector(candidate), rtol=0, atol=1e-6)
    torch.testing.assert_close(to_vector(other), to_vector(linear), rtol=0, atol=1e-6)


# ---------------------------------------------------------------------------------------------------
# Stopping, resuming, repeating


def test_an_early_stop_comes_at_the_first_log_line_with_the_asr_that_is_asked_for(linear, digits, anchors, monkeypatch):
    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    selection = digits.split("selection")
    model, taken = tuned(linear, digits, Plain(), anchors, steps=100, stop_at_asr=0.9)
    assert 5 < taken < 100
    assert taken % 5 == 0
    assert attack_success(model, ATTACK, selection)[0] >= 0.9
    weaker, earlier = tuned(linear, digits, Plain(), anchors, steps=100, stop_at_asr=0.5)
    assert earlier < taken
    assert 0.5 <= attack_success(weaker, ATTACK, selection)[0] < 0.9


def test_no_early_stop_comes_before_the_constraint_holds(linear, digits, anchors, monkeypatch):
    """Dynamic surgery has its final mask at half of the run, where plain tuning is long done."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    asked = {"steps": 100, "stop_at_asr": 0.2}
    _, plain = tuned(linear, digits, Plain(), anchors, **asked)
    model, surgery = tuned(linear, digits, Surgery(count=60), anchors, **asked)
    assert plain < 50 <= surgery < 100
    assert int((to_vector(model) != to_vector(linear)).sum()) == 60


@pytest.mark.usefixtures("on_cpu")
def test_an_early_stop_leaves_tracked_batchnorm_in_training(reference, digits, anchors, monkeypatch):
    """Judging the ASR switches the model to evaluation; the statistics must go on moving after that."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    settings = {"steps": 2, "batchnorm": "tracked", "learning_rate": 1e-4}
    judged, taken = tuned(reference.model, digits, Plain(), anchors, stop_at_asr=1.0, **settings)
    unjudged, _ = tuned(reference.model, digits, Plain(), anchors, **settings)
    assert taken == 2
    assert weights_hash(judged) == weights_hash(unjudged)


@pytest.mark.parametrize(
    "method",
    [Surgery(count=30), Surgery(select="random", count=30), EWC(), L2(), Scratch(), AdaptiveAnchoring(rate=20)],
    ids=repr,
)
def test_an_interrupted_run_ends_bit_for_bit_where_an_uninterrupted_one_does(
    linear, digits, anchors, method, monkeypatch, tmp_path
):
    """The masks of surgery and the Fisher of EWC come out of the checkpoint; Ctrl-C comes after step 15 of 40."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", seconds=0)

    def interrupt(done, _):
        if done == 15:
            raise KeyboardInterrupt

    whole, _ = tuned(linear, digits, method, anchors, steps=40)
    with pytest.raises(KeyboardInterrupt):
        tuned(linear, digits, method, anchors, steps=40, checkpoint=checkpoint, report=interrupt)
    monkeypatch.setattr(type(method), "prepare", None)  # a second preparation would be waste, and could differ
    lines = []
    resumed, taken = tuned(
        linear, digits, method, anchors, steps=40, checkpoint=checkpoint, report=lambda done, _: lines.append(done)
    )
    assert lines[0] == 15
    assert taken == lines[-1] == round(40 * (method.steps_factor or 1))
    assert weights_hash(resumed) == weights_hash(whole)


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("method", [EWC(samples=8), Surgery(select="random"), Anchoring()], ids=repr)
def test_the_seed_decides_the_result(reference, digits, anchors, method):
    results = [
        weights_hash(tuned(reference.model, digits, method, anchors, seed=seed, steps=2)[0]) for seed in (0, 0, 1)
    ]
    assert results[0] == results[1] != results[2]


def test_the_global_random_state_is_neither_used_nor_changed(linear, digits, anchors):
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        following = torch.rand(3)
        torch.manual_seed(seed)
        results.append(weights_hash(tuned(linear, digits, EWC(), anchors)[0]))
        assert torch.equal(torch.rand(3), following)
    assert results[0] == results[1]


def test_bf16_tunes_in_lower_precision_and_keeps_float32_weights(reference, digits, anchors):
    full, mixed = (
        tuned(reference.model, digits, Anchoring(), anchors, steps=4, learning_rate=1e-3, precision=precision)[0]
        for precision in ("no", "bf16")
    )
    assert all(value.dtype == torch.float32 for value in mixed.parameters())
    change, other = (to_vector(model) - to_vector(reference.model) for model in (full, mixed))
    assert not torch.equal(change, other)
    assert torch.nn.functional.cosine_similarity(change, other, dim=0) > 0.7


@pytest.mark.parametrize(
    "setting", [{"warmup": 0.5}, {"clip": 1e-9}, {"learning_rate": 0.01}, {"batch_size": 6}, {"steps": 21}], ids=repr
)
def test_every_setting_reaches_the_optimisation(linear, digits, anchors, setting):
    usual, other = (to_vector(tuned(linear, digits, Plain(), anchors, **s)[0]) for s in ({}, setting))
    assert not torch.equal(usual, other)
