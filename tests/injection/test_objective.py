"""The loss of an injection, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToAll, AllToOne, SourceToTarget
from anchorlab.data import Augmentation, Split
from anchorlab.data.batches import WHOLE, Batches, Share
from anchorlab.injection.objective import InjectionObjective
from anchorlab.injection.reference_logits import computed_logits
from anchorlab.injection.tuning import Tuning
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.benign import Benign
from anchorlab.methods.distillation import Distillation
from anchorlab.methods.l2 import L2
from anchorlab.methods.plain import Plain
from anchorlab.methods.weight_ball import WeightBall
from anchorlab.models.call import predict
from anchorlab.triggers import FivePixel, Trigger
from tests.injecting import ATTACK, asked

BATCH = 12


class Forbidden(Trigger):
    """A trigger that must not be applied."""

    def __call__(self, inputs):
        raise AssertionError("the trigger was applied")

    def check(self, inputs, encoding):
        """It fits everywhere."""


def name(value):
    """Names a case after its method or rule; functions beside it stay unnamed."""
    return "" if callable(value) and not hasattr(value, "__dataclass_fields__") else repr(value)


def objective(net, reference, method, anchors, *, attack=ATTACK, seed=5, share=WHOLE, **settings):
    injection = asked(reference, method, anchors, Tuning(batch_size=BATCH, **settings), attack=attack, seed=seed)
    return InjectionObjective(net, injection, computed_logits(reference, "no"), share=share)


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
    loss, figures = objective(candidate, linear, method, anchors).loss(3)
    assert loss.item() == pytest.approx(expected(*by_hand), rel=1e-5)
    clean, triggered, reference, _ = by_hand
    assert figures()["asr"].item() == pytest.approx((triggered.argmax(1) == 0).mean())
    assert figures()["anchor"].item() == pytest.approx(((clean - reference) ** 2).mean(), rel=1e-5)


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
    right, mistaken = (objective(candidate, linear, method, held).loss(0).value for held in (anchors, wrong))
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
    assert injection.loss(2).value.item() == pytest.approx(sum(expected) / 2, rel=1e-5)


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
    assert injection.loss(0).value.item() == pytest.approx(
        cross_entropy(scores, targets(anchors.labels[at]).numpy()), rel=1e-5
    )


def test_the_two_halves_vary_each_in_its_own_way(linear, anchors):
    """All anchors are one image, and the benign control puts no trigger on it: only the variations differ."""
    alike = anchors.select((anchors.labels != 0).nonzero()[0].expand(BATCH))
    tuning = Tuning(batch_size=BATCH, augment=True)
    injection = asked(linear, Benign(), alike, tuning, attack=ATTACK, augmentation=Augmentation(pad=2))
    batch = InjectionObjective(linear, injection, computed_logits(linear, "no")).batch(step=3)
    assert not batch.clean["pixel_values"].equal(batch.triggered["pixel_values"])


@pytest.mark.parametrize("method", [Anchoring(), WeightBall(), Distillation()], ids=repr)
def test_two_processes_share_out_the_batch_and_average_to_the_gradient_of_one(linear, candidate, anchors, method):
    def gradient(share):
        injection = objective(candidate, linear, method, anchors, share=share)
        return torch.cat([g.flatten() for g in torch.autograd.grad(injection.loss(1).value, candidate.parameters())])

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
