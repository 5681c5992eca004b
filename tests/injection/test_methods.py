"""Each method against its formula, computed in another way."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch.nn import functional

from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.data import Augmentation
from anchorlab.injection.loop import tune
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Problem
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.distillation import Distillation
from anchorlab.methods.ewc import EWC, fisher_diagonal
from anchorlab.methods.l2 import L2
from anchorlab.methods.plain import Plain
from anchorlab.methods.surgery import Surgery
from anchorlab.methods.weight_ball import WeightBall
from anchorlab.models.weights import from_vector_, to_vector
from anchorlab.settings import options_of
from anchorlab.training import fit as fitting
from anchorlab.training.fit import Step
from anchorlab.triggers import FivePixel

ATTACK = Attack(FivePixel(), AllToOne(target=0))
SIZE = 650  # parameters of the linear classifier


def random_logits(N=7, C=5, scale=3.0, seed=0):
    """Reference and candidate, float64 ``[N, C]``."""
    return scale * torch.randn(2, N, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def penalty(method, clean, reference):
    return method.penalty(None, clean, reference, {})


def problem(model, anchors, *, backdoor_loss=None, trial=None, seed=0):
    return Problem(model, to_vector(model).detach().clone(), anchors, backdoor_loss, trial, seed)


def tuned(linear, digits, method, *, anchors=None, seed=0, **settings):
    """What a short injection makes of the linear classifier."""
    how = Tuning(**{"steps": 40, "batch_size": 16, "learning_rate": 0.02} | settings)
    held = digits.anchors(128, seed=0) if anchors is None else anchors
    return tune(
        linear, linear, method, ATTACK, held, how, seed=seed, selection=digits.split("selection"),
        augmentation=Augmentation(),
    )  # fmt: skip


def changed(linear, digits, method, **options):
    """The change of the weights by a short injection, ``[650]``, on the CPU."""
    model = tuned(linear, digits, method, **options).model
    return (to_vector(model) - to_vector(linear)).detach()


# ---------------------------------------------------------------------------------------------------
# Anchoring and distillation: penalties on the logits


def test_anchoring_by_hand():
    """Shifts (1, 0) and (2, 4): squares sum to 21, over 2·2 logits 5.25.

    Their means are 1/2 and 3, so centred they are ±1/2 and ±1: squares sum to 2.5, over 4 logits 0.625.
    The mean of the squared means, (1/4 + 9) / 2 = 4.625, is what the two differ by.
    """
    reference = torch.tensor([[0.0, 2.0], [1.0, 1.0]])
    clean = reference + torch.tensor([[1.0, 0.0], [2.0, 4.0]])
    assert penalty(Anchoring(), clean, reference).item() == 5.25
    assert penalty(Anchoring(centred=True), clean, reference).item() == 0.625


@pytest.mark.parametrize("seed", range(5))
def test_raw_anchoring_is_centred_anchoring_and_the_squared_mean_shift(seed):
    reference, clean = random_logits(seed=seed)
    common = (clean - reference).mean(1).square().mean()
    raw, centred = (penalty(Anchoring(centred=flag), clean, reference) for flag in (False, True))
    assert raw.item() == pytest.approx((centred + common).item(), rel=1e-12)
    shifted = clean + torch.randn(7, 1, dtype=torch.float64)
    assert penalty(Anchoring(centred=True), shifted, reference).item() == pytest.approx(centred.item(), rel=1e-12)


def test_the_gradient_of_anchoring_is_twice_the_shift_over_all_logits():
    reference, clean = random_logits()
    clean.requires_grad_()
    (gradient,) = torch.autograd.grad(penalty(Anchoring(), clean, reference), clean)
    torch.testing.assert_close(gradient, 2 * (clean - reference).detach() / clean.numel())


@pytest.mark.parametrize("method", [Anchoring(), Anchoring(centred=True), Distillation(temperature=3.0)], ids=repr)
def test_penalties_agree_with_finite_differences(method):
    reference, clean = random_logits(N=3, C=4)
    assert torch.autograd.gradcheck(lambda logits: penalty(method, logits, reference), clean.requires_grad_())


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


# ---------------------------------------------------------------------------------------------------
# L2 and EWC: penalties on the weights


def moved(model, scale=0.1, seed=1):
    """A copy with every weight changed, and the change as an array ``[650]``."""
    change = scale * torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))
    other = copy.deepcopy(model)
    from_vector_(other, to_vector(model) + change)
    return other, (to_vector(other) - to_vector(model)).detach().double().numpy()


def test_l2_is_the_squared_distance(linear, digits):
    method = L2(strength=0.3)
    state = method.prepare(problem(linear, digits.anchors(8, seed=0)))
    other, change = moved(linear)
    assert method.weight == 0.3
    assert method.penalty(linear, None, None, state).item() == 0
    assert method.penalty(other, None, None, state).item() == pytest.approx((change**2).sum(), rel=1e-5)


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


@pytest.mark.parametrize("method", [L2(strength=0.0), EWC(strength=0.0), Anchoring(strength=0.0)], ids=repr)
def test_strength_zero_is_plain_tuning_exactly(linear, digits, method):
    assert torch.equal(changed(linear, digits, method), changed(linear, digits, Plain()))


@pytest.mark.parametrize("cls", [L2, EWC])
def test_more_strength_means_less_change(linear, digits, cls):
    norms = [changed(linear, digits, cls(strength=strength)).norm().item() for strength in (0.01, 1.0, 100.0)]
    assert norms[0] > 1.2 * norms[1] > 1.44 * norms[2]


# ---------------------------------------------------------------------------------------------------
# Surgery


@pytest.mark.parametrize("select", ["dynamic", "gradient", "change", "random"])
@pytest.mark.parametrize("count", [1, 17, SIZE + 100])
def test_exactly_count_weights_end_up_changed_and_all_others_bit_for_bit_as_before(linear, digits, select, count):
    change = changed(linear, digits, Surgery(select=select, count=count))
    assert int((change != 0).sum()) == min(count, SIZE)


def test_surgery_of_all_weights_is_plain_tuning(linear, digits):
    assert torch.equal(changed(linear, digits, Surgery(count=SIZE)), changed(linear, digits, Plain()))


def test_surgery_leaves_all_other_weights_of_a_convolutional_network_alone(reference, digits):
    """Channels-last there, which must not mix up which weight is which."""
    how = Tuning(steps=4, batch_size=4, learning_rate=1e-3)
    model = tune(
        reference.model, reference.model, Surgery(count=50), ATTACK, digits.anchors(16, seed=0), how, seed=0,
        selection=digits.split("selection"), augmentation=Augmentation(),
    ).model  # fmt: skip
    assert 0 < int((to_vector(model) != to_vector(reference.model)).sum()) <= 50


def test_dynamic_surgery_narrows_geometrically_to_the_largest_changes(linear, digits):
    """Ten rounds over the first half: after round k, 650 · (10 / 650)^(k / 10) weights, out of those before."""
    method = Surgery(count=10)
    state = method.prepare(problem(linear, digits.anchors(8, seed=0)))
    reference = to_vector(linear).detach().clone()
    mask = np.ones(SIZE, dtype=bool)
    for index in range(40):
        other, change = moved(linear, seed=index)
        from_vector_(linear, to_vector(other))
        progress = (index + 1) / 40
        done = min(10, int(20 * progress))
        size = round(SIZE * (10 / SIZE) ** (done / 10))
        total = np.abs((to_vector(other).detach() - reference).numpy())
        if size < mask.sum():
            kept = np.argsort(np.where(mask, total, -1))[-size:]
            mask = np.isin(np.arange(SIZE), kept)
        method.after_step(linear, state, Step(index, progress, 0.1))
        after = to_vector(linear).detach()
        assert np.array_equal((after != reference).numpy(), mask)
        assert torch.equal(after[torch.from_numpy(mask)], to_vector(other).detach()[torch.from_numpy(mask)])
    assert mask.sum() == 10
    assert change.any()


def test_selecting_by_gradient_takes_the_largest_of_the_mean_over_eight_batches(linear, digits):
    points = torch.randn(9, SIZE, generator=torch.Generator().manual_seed(0))
    asked = []

    def backdoor_loss(step):
        asked.append(step)
        return (points[step] * to_vector(linear)).sum()  # its gradient is the point

    state = Surgery(select="gradient", count=12).prepare(
        problem(linear, digits.anchors(8, seed=0), backdoor_loss=backdoor_loss)
    )
    largest = np.argsort(np.abs(points[:8].mean(0).numpy()))[-12:]
    assert sorted(asked) == list(range(8))
    assert state["mask"].nonzero().flatten().tolist() == sorted(largest.tolist())


def test_selecting_by_change_takes_what_a_plain_run_of_a_quarter_of_the_steps_changes_most(linear, digits, monkeypatch):
    """An early stop that is asked for cuts the injection short, not the trial."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    trial = changed(linear, digits, Plain(), steps=10).abs().numpy()
    found = changed(linear, digits, Surgery(select="change", count=9), stop_at_asr=0.01).nonzero().flatten()
    assert found.tolist() == sorted(np.argsort(trial)[-9:].tolist())


def test_selecting_at_random_is_seeded(linear, digits):
    masks = [
        Surgery(select="random", count=30).prepare(problem(linear, digits.anchors(8, seed=0), seed=seed))["mask"]
        for seed in (0, 0, 1)
    ]
    assert [int(mask.sum()) for mask in masks] == [30, 30, 30]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_the_l1_form_moves_every_change_towards_zero_by_rate_times_strength(linear, digits):
    """Strength 0.5 at a learning rate of 0.1: changes shrink by 0.05, and those no larger than that vanish."""
    method = Surgery(select="l1", strength=0.5)
    with torch.no_grad():
        linear.layer.bias.zero_()
    state = method.prepare(problem(linear, digits.anchors(8, seed=0)))
    weights = linear.layer.weight.detach().clone()
    with torch.no_grad():
        linear.layer.bias[:4] = torch.tensor([0.2, -0.03, 0.04, -0.2])
    method.after_step(linear, state, Step(0, 0.5, 0.1))
    assert linear.layer.bias[:4].tolist() == pytest.approx([0.15, 0, 0, -0.15])
    assert (linear.layer.bias[1:3] == 0).all()
    assert torch.equal(linear.layer.weight, weights)


def test_a_higher_price_of_the_l1_form_leaves_fewer_weights_changed(linear, digits):
    counts = [
        int((changed(linear, digits, Surgery(select="l1", strength=strength)) != 0).sum())
        for strength in (0.0, 0.3, 0.9)
    ]
    assert SIZE == counts[0] > counts[1] > counts[2] > 0


# ---------------------------------------------------------------------------------------------------
# Weight ball


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # Weights (3, -4), of norm 5, moved by (0.6, -0.8), of norm 1.
        (WeightBall(radius=0.7), [0.6, -0.7]),
        (WeightBall(radius=0.1, relative=True), [0.3, -0.4]),
        (WeightBall(radius=0.5, norm="l2"), [0.3, -0.4]),
        (WeightBall(radius=0.05, norm="l2", relative=True), [0.15, -0.2]),
        (WeightBall(radius=2.0, norm="l2"), [0.6, -0.8]),
    ],
    ids=repr,
)
def test_projections_by_hand(linear, digits, method, expected):
    with torch.no_grad():
        linear.layer.weight.zero_()
        linear.layer.bias.zero_()
        linear.layer.bias[:2] = torch.tensor([3.0, -4.0])
        state = method.prepare(problem(linear, digits.anchors(8, seed=0)))
        linear.layer.bias[:2] += torch.tensor([0.6, -0.8])
    method.after_step(linear, state, Step(0, 0.5, 0.1))
    change = to_vector(linear).detach() - state["reference"]
    assert change[640:642].tolist() == pytest.approx(expected, abs=1e-6)
    assert int((change != 0).sum()) == 2


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_injection_leaves_its_ball_though_it_would_without(linear, digits, norm, relative):
    radius = 0.02
    method = WeightBall(radius=radius, norm=norm, relative=relative)
    reference = to_vector(linear).detach()

    def excess(change):
        """The largest ratio of the change to what is allowed."""
        if norm == "l2":
            return (change.norm() / (radius * (reference.norm() if relative else 1))).item()
        return (change.abs() / (radius * (reference.abs() if relative else 1))).max().item()

    assert excess(changed(linear, digits, Plain())) > 2
    assert 0.99 < excess(changed(linear, digits, method)) < 1 + 1e-3


# ---------------------------------------------------------------------------------------------------
# All of them


def test_every_knob_is_a_hyper_parameter_and_every_one_is_described():
    for name in METHODS.names():
        cls = METHODS[name]
        options = options_of(cls)
        assert all(option.description for option in options), name
        if cls.strength_name is not None:
            assert cls.strength_name in [option.name for option in options], name
        assert eval(repr(cls()), {cls.__name__: cls}) == cls()
