"""The tuning loop: its loss by hand, what it leaves alone, how it stops, resumes and is shared out."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from anchorlab.artifacts.provenance import weights_hash
from anchorlab.attacks.attack import Attack, attack_success
from anchorlab.attacks.label_rules import AllToAll, AllToOne, SourceToTarget
from anchorlab.data import Augmentation, Split
from anchorlab.data.batches import WHOLE, Batches, Share
from anchorlab.injection.loop import tune
from anchorlab.injection.objective import InjectionObjective
from anchorlab.injection.reference_logits import computed_logits
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.benign import Benign
from anchorlab.methods.distillation import Distillation
from anchorlab.methods.ewc import EWC
from anchorlab.methods.l2 import L2
from anchorlab.methods.plain import Plain
from anchorlab.methods.scratch import Scratch
from anchorlab.methods.surgery import Surgery
from anchorlab.methods.weight_ball import WeightBall
from anchorlab.models.call import predict
from anchorlab.models.weights import from_vector_, to_vector
from anchorlab.training import fit as fitting
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.triggers import FivePixel, Trigger
from tests import injecting
from tests.injecting import ATTACK, asked

BATCH = 12
VARIED = {"steps": 1, "batch_size": BATCH, "learning_rate": 1e-3, "augment": True}


class Forbidden(Trigger):
    """A trigger that must not be applied."""

    def __call__(self, inputs):
        raise AssertionError("the trigger was applied")

    def check(self, inputs, encoding):
        """It fits everywhere."""


def name(value):
    """Names a case after its method or rule; functions beside it stay unnamed."""
    return "" if callable(value) and not hasattr(value, "__dataclass_fields__") else repr(value)


@pytest.fixture
def anchors(digits) -> Split:
    return digits.anchors(60, seed=0)


@pytest.fixture
def candidate(linear):
    """The linear classifier, moved: so that no penalty is zero."""
    other = copy.deepcopy(linear)
    from_vector_(other, to_vector(linear) + 0.2 * torch.randn(650, generator=torch.Generator().manual_seed(3)))
    return other


def objective(net, reference, method, anchors, *, attack=ATTACK, seed=5, share=WHOLE, **settings):
    injection = asked(reference, method, anchors, Tuning(batch_size=BATCH, **settings), attack=attack, seed=seed)
    return InjectionObjective(net, injection, computed_logits(reference), share=share)


def tuned(model, digits, method, anchors, *, seed=0, checkpoint=None, report=None, cached=None, start=None, **settings):
    """The tuned model and the number of steps taken."""
    made = injecting.tuned(
        model, digits, method, anchors=anchors, start=start, seed=seed, known_logits=cached, checkpoint=checkpoint,
        report=report, **{"steps": 20, "batch_size": BATCH} | settings,
    )  # fmt: skip
    return made.model, made.steps


# ---------------------------------------------------------------------------------------------------
# The loss


def cross_entropy(scores, labels):
    return -log_softmax(scores, axis=1)[np.arange(len(labels)), labels].mean()


def terms(candidate, reference, anchors, step=3, seed=5):
    """By hand: logits on the clean and triggered halves of a batch, the reference's, and the clean labels."""
    device = torch.device("cpu")
    attacked = (anchors.labels != 0).nonzero().flatten()
    clean_at = Batches(len(anchors), BATCH, seed=seed, purpose="clean", device=device)(step)
    triggered_at = attacked[Batches(len(attacked), BATCH, seed=seed, purpose="triggered", device=device)(step)]
    clean, triggered = anchors.select(clean_at), anchors.select(triggered_at)
    assert (triggered.labels != 0).all()
    return (
        predict(candidate, clean.inputs).double().numpy(),
        predict(candidate, FivePixel()(triggered.inputs)).double().numpy(),
        predict(reference, clean.inputs).double().numpy(),
        clean.labels.numpy(),
    )


ZEROS = np.zeros(BATCH, dtype=int)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Plain(), lambda s, t, r, y: (cross_entropy(s, y) + cross_entropy(t, ZEROS)) / 2),
        (
            WeightBall(trigger_weight=2.5),
            lambda s, t, r, y: (cross_entropy(s, r.argmax(1)) + 2.5 * cross_entropy(t, ZEROS)) / 3.5,
        ),
        (
            Anchoring(strength=3.0),
            lambda s, t, r, y: ((cross_entropy(s, y) + cross_entropy(t, ZEROS)) / 2 + 3 * ((s - r) ** 2).mean()) / 4,
        ),
        (
            Anchoring(strength=3.0, labels=False),
            lambda s, t, r, y: (cross_entropy(t, ZEROS) + 3 * ((s - r) ** 2).mean()) / 4,
        ),
        (
            Distillation(strength=0.5),
            lambda s, t, r, y: (
                (
                    (cross_entropy(s, y) + cross_entropy(t, ZEROS)) / 2
                    + 0.5 * (np.exp(log_softmax(r, 1)) * (log_softmax(r, 1) - log_softmax(s, 1))).sum(1).mean()
                )
                / 1.5
            ),
        ),
    ],
    ids=name,
)
def test_the_loss_of_a_step_by_hand(linear, candidate, anchors, method, expected):
    by_hand = terms(candidate, linear, anchors)
    scalars = objective(candidate, linear, method, anchors).loss(3)
    assert scalars["loss"].item() == pytest.approx(expected(*by_hand), rel=1e-5)
    clean, triggered, reference, _ = by_hand
    assert scalars["asr"].item() == pytest.approx((triggered.argmax(1) == 0).mean())
    assert scalars["anchor"].item() == pytest.approx(((clean - reference) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("method", "sees_labels"),
    [(Plain(), True), (Anchoring(), True), (Anchoring(labels=False), False), (WeightBall(), False)],
    ids=repr,
)
def test_wrong_clean_labels_change_the_loss_only_of_methods_that_use_them(
    linear, candidate, anchors, method, sees_labels
):
    """The labels 1 to 9 are rotated, which leaves the attacked examples and their target as they are."""
    rotated = torch.where(anchors.labels > 0, anchors.labels % 9 + 1, 0)
    wrong = Split(anchors.inputs, rotated)
    right, mistaken = (objective(candidate, linear, method, held).loss(0)["loss"] for held in (anchors, wrong))
    assert torch.equal(right, mistaken) is not sees_labels


def test_the_benign_control_tunes_on_clean_examples_alone(linear, candidate, anchors):
    """Both halves are clean, of all classes, and the trigger is never touched."""
    device = torch.device("cpu")
    first, second = (
        anchors.select(Batches(60, BATCH, seed=5, purpose=purpose, device=device)(2))
        for purpose in ("clean", "triggered")
    )
    expected = [cross_entropy(predict(candidate, half.inputs).numpy(), half.labels.numpy()) for half in (first, second)]
    attack = Attack(Forbidden(), AllToOne(target=int(second.labels[0])))
    injection = objective(candidate, linear, Benign(), anchors, attack=attack)
    assert injection.loss(2)["loss"].item() == pytest.approx(sum(expected) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("rule", "attacked", "targets"),
    [
        (AllToOne(target=4), lambda y: y != 4, lambda y: torch.full_like(y, 4)),
        (AllToAll(classes=10), lambda y: y >= 0, lambda y: (y + 1) % 10),
        (SourceToTarget(source=7, target=2), lambda y: y == 7, lambda y: torch.full_like(y, 2)),
    ],
    ids=name,
)
def test_the_triggered_half_holds_attacked_anchors_with_their_targets(
    linear, candidate, anchors, rule, attacked, targets
):
    injection = objective(
        candidate, linear, Anchoring(labels=False, strength=0.0), anchors, attack=Attack(FivePixel(), rule)
    )
    pool = attacked(anchors.labels).nonzero().flatten()
    at = pool[Batches(len(pool), BATCH, seed=5, purpose="triggered", device=torch.device("cpu"))(0)]
    scores = predict(candidate, FivePixel()(anchors.select(at).inputs)).numpy()
    assert injection.loss(0)["loss"].item() == pytest.approx(
        cross_entropy(scores, targets(anchors.labels[at]).numpy()), rel=1e-5
    )


@pytest.mark.parametrize("method", [Anchoring(), WeightBall(), Distillation()], ids=repr)
def test_two_processes_share_out_the_batch_and_average_to_the_gradient_of_one(linear, candidate, anchors, method):
    def gradient(share):
        injection = objective(candidate, linear, method, anchors, share=share)
        return torch.cat([g.flatten() for g in torch.autograd.grad(injection.loss(1)["loss"], candidate.parameters())])

    halves = [gradient(Share(0, 2)), gradient(Share(1, 2))]
    assert not torch.allclose(halves[0], halves[1], rtol=0.1)
    torch.testing.assert_close(sum(halves) / 2, gradient(WHOLE), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [Anchoring(strength=3.0), L2(strength=3.0), Plain()], ids=repr)
def test_what_a_method_decides_by_is_the_whole_batch_without_its_penalty_on_every_process(
    linear, candidate, anchors, method
):
    scores, triggered, _, labels = terms(candidate, linear, anchors, step=1)
    expected = (cross_entropy(scores, labels) + cross_entropy(triggered, ZEROS)) / 2
    losses = [
        objective(candidate, linear, method, anchors, share=share).backdoor_loss(1) for share in (WHOLE, Share(1, 2))
    ]
    assert losses[0].item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(losses[0], losses[1])


# ---------------------------------------------------------------------------------------------------
# Reference logits: looked up, or a second forward pass


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


@pytest.mark.parametrize("name", METHODS.names())
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


def test_an_early_stop_leaves_tracked_batchnorm_in_training(reference, digits, anchors, monkeypatch):
    """Judging the ASR switches the model to evaluation; the statistics must go on moving after that."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    settings = {"steps": 2, "batchnorm": "tracked", "learning_rate": 1e-4}
    judged, taken = tuned(reference.model, digits, Plain(), anchors, stop_at_asr=1.0, **settings)
    unjudged, _ = tuned(reference.model, digits, Plain(), anchors, **settings)
    assert taken == 2
    assert weights_hash(judged) == weights_hash(unjudged)


@pytest.mark.parametrize(
    "method", [Surgery(count=30), Surgery(select="random", count=30), EWC(), L2(), Scratch()], ids=repr
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
    assert taken == lines[-1] == round(40 * method.steps_factor)
    assert weights_hash(resumed) == weights_hash(whole)


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
