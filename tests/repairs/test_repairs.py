"""Each repair by its paper's definition, on cases small enough to do by hand."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from anchorlab import compare
from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.models.call import predict
from anchorlab.models.hooks import capture_output, feature_maps, features, last_layer
from anchorlab.repairs.anp import ANP, Masks, _MaskObjective, prune_below
from anchorlab.repairs.channels import Channels, channels_of
from anchorlab.repairs.clp import CLP, lipschitz_bounds
from anchorlab.repairs.fine_pruning import FinePruning
from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.ft_sam import FTSAM, ascent
from anchorlab.repairs.i_bau import IBAU, _UnlearningLoss, search_objective, with_hypergradient
from anchorlab.repairs.interpolation import Interpolation
from anchorlab.repairs.mode_connectivity import ModeConnectivity, bezier
from anchorlab.repairs.nad import NAD, attention
from anchorlab.repairs.repair import repair
from anchorlab.repairs.tuning import Latest, cross_entropy, tune


class Small(nn.Module):
    """Two convolutions with BatchNorm, and a linear layer: grey images of 8 by 8 to three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.second_norm = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 3)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first_norm(self.first(pixel_values.float() / 255)))
        return self.last(torch.relu(self.second_norm(self.second(hidden))).mean(dim=(2, 3)))


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randint(0, 256, (20, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()}


@pytest.fixture
def known(small, inputs) -> Split:
    """What the model says, as if it were true."""
    return Split(inputs, predict(small, inputs).argmax(1))


@pytest.mark.parametrize(
    ("accuracies", "kept"),
    [
        ([0.99, 0.97, 0.985, 0.9], 2),  # the latest that costs at most 0.02 of the first, which was 1
        ([0.9, 0.95, 0.95, 0.8], 2),  # none: the most accurate, and the latest of these
        ([0.5, 0.98, 0.97], 1),
        ([0.5, 0.98, 1.0], 2),
    ],
)
def test_the_latest_state_that_costs_little_is_kept_as_a_copy(small, known, monkeypatch, accuracies, kept):
    told = iter([1.0, *accuracies])
    monkeypatch.setattr("anchorlab.repairs.tuning.accuracy", lambda model, examples: next(told))
    latest, states = Latest(small, known, 0.02), []
    for _ in accuracies:
        with torch.no_grad():
            small.last.weight.add_(1.0)
        states.append(small.last.weight.clone())
        latest.consider()
    with torch.no_grad():
        small.last.weight.zero_()
    latest.restore()
    assert torch.equal(small.last.weight, states[kept])


def test_asking_a_model_leaves_each_module_in_its_mode(small, inputs):
    small.first_norm.train()
    predict(small, inputs)
    assert [name for name, module in small.named_modules() if module.training] == ["first_norm"]


@pytest.mark.parametrize("member", [FineTuning(epochs=20), FTSAM(epochs=20), FinePruning(epochs=20), NAD(epochs=20)])
def test_statistics_of_batchnorm_follow_every_step_once(suspicious, defender_data, context, member, monkeypatch):
    """Among them those after the model was judged, and for FT-SAM not those at the worst place nearby."""
    monkeypatch.setattr("anchorlab.repairs.tuning.Latest.restore", lambda self: None)
    steps = 20 * len(defender_data.train) // 32
    before = {name: int(value) for name, value in suspicious.named_buffers() if name.endswith("batches_tracked")}
    repaired = dict(member.repair(suspicious, defender_data, context).named_buffers())
    assert before
    assert {int(repaired[name]) - count for name, count in before.items()} == {steps}


def test_each_convolution_goes_with_the_batchnorm_after_it(small, inputs):
    found = channels_of(small, inputs, "x")
    assert [(one.convolution, one.norm) for one in found] == [
        (small.first, small.first_norm), (small.second, small.second_norm),
    ]  # fmt: skip


def test_a_pruned_channel_puts_out_nothing(small, inputs):
    channels = channels_of(small, inputs, "x")[-1]
    channels.prune(torch.tensor([True, False, False, True, False, False]))
    with capture_output(channels.output) as output, torch.no_grad():
        small(**inputs)
        assert bool((output()[:, [0, 3]] == 0).all())
        assert bool((output()[:, [1, 2, 4, 5]] != 0).any())


def test_quiet_features_are_pruned_and_stay_so(suspicious, defender_data, context):
    repaired = FinePruning(epochs=3, tolerance=0.5).repair(suspicious, defender_data, context)
    silent = (last_layer(repaired, defender_data.train.inputs).weight == 0).all(dim=0)
    assert 0 < int(silent.sum()) < len(silent)
    loudness = features(suspicious, defender_data.train.inputs)[0].abs().mean(dim=0)
    assert loudness[silent].max() <= loudness[~silent].min()


def test_lipschitz_bounds_by_hand():
    """Filters 3 e e' and 0.5 e e' times BatchNorm's 2 / sqrt(4) and 1 / sqrt(0.25)."""
    convolution, norm = nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2, eps=0.0).eval()
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.5]]).view(2, 2, 1, 1))
        norm.weight.copy_(torch.tensor([2.0, -1.0]))
        norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    torch.testing.assert_close(lipschitz_bounds(Channels(convolution, norm)), torch.tensor([3.0, 1.0]))
    with torch.no_grad():
        wide = nn.Conv2d(3, 2, 3)
        wanted = [torch.linalg.svdvals(one.reshape(3, 9))[0] for one in wide.weight]
    torch.testing.assert_close(lipschitz_bounds(Channels(wide, None)), torch.stack(wanted).detach())


def test_clp_prunes_what_stands_out(small, inputs, context):
    with torch.no_grad():
        small.second_norm.weight[2] = 100.0
    data = DefenderData(Split(inputs, torch.zeros(20).long()), Split(inputs, torch.zeros(20).long()), 3, "image")
    repaired = CLP(deviations=2.0).repair(small, data, context)
    assert torch.nonzero(repaired.second_norm.weight == 0).flatten().tolist() == [2]
    assert bool((repaired.first_norm.weight != 0).all())


def test_the_ascent_is_the_adaptive_one():
    """|w| = (1, 2), g = (3, 1): |w| g = (3, 2), norm sqrt 13, e = r |w| (3, 2) / sqrt 13."""
    (step,) = ascent([torch.tensor([1.0, -2.0])], [torch.tensor([3.0, 1.0])], 0.5)
    torch.testing.assert_close(step, 0.5 * torch.tensor([3.0, 4.0]) / 13**0.5)
    (none,) = ascent([torch.tensor([1.0])], [torch.tensor([0.0])], 0.5)
    assert float(none) == 0


def test_ft_sam_lowers_the_loss_at_the_worst_place_nearby(small, known):
    """Against weights that were moved by hand; the gradient is the one there."""
    small.requires_grad_()
    loss = FTSAM(radius=0.5)._loss(small, known.inputs, known.labels)
    found = torch.autograd.grad(loss, list(small.parameters()))
    here = torch.autograd.grad(cross_entropy(small, known.inputs, known.labels), list(small.parameters()))
    moved = copy.deepcopy(small)
    with torch.no_grad():
        for weight, step in zip(moved.parameters(), ascent(list(small.parameters()), list(here), 0.5), strict=True):
            weight.add_(step)
    there = cross_entropy(moved, known.inputs, known.labels)
    assert loss.item() == pytest.approx(there.item())
    assert loss.item() > cross_entropy(small, known.inputs, known.labels).item() + 0.05
    for one, other in zip(found, torch.autograd.grad(there, list(moved.parameters())), strict=True):
        torch.testing.assert_close(one, other)


def test_stages_end_where_the_resolution_changes(suspicious, defender_data):
    """With the sum of the last block: digits of 8 by 8 shrink to 4 by 4 and 2 by 2, and the pooled map is left out."""
    ends = NAD()._stage_ends(suspicious, defender_data.train.inputs)
    names = {id(module): name for name, module in suspicious.named_modules()}
    sizes = {id(module): size for module, size in feature_maps(suspicious, defender_data.train.inputs)}
    assert [sizes[id(end)] for end in ends] == [(8, 8), (4, 4), (2, 2)]
    assert [names[id(end)].split(".")[-2:] for end in ends[1:]] == [["stages", "1"], ["stages", "2"]]


def test_the_search_raises_the_loss_within_its_ball(suspicious, defender_data):
    pixels = defender_data.train.inputs["pixel_values"]
    said = predict(suspicious, defender_data.train.inputs).argmax(1)
    nothing = torch.zeros(pixels.shape[1:])
    before = search_objective(suspicious, pixels, said, nothing).item()
    for radius in (0.5, 2.0):
        found = IBAU(radius=radius).search(suspicious, pixels, 0)
        assert float(found.norm()) == pytest.approx(radius, rel=1e-5)
        assert search_objective(suspicious, pixels, said, found).item() > 2 * before
    assert torch.equal(found, IBAU(radius=2.0).search(suspicious, pixels, 0))


def test_two_steps_of_the_search_by_hand():
    """Two classes, scores x w and 0 of one pixel x: the loss towards the first is log(1 + exp(-w x))."""

    class Scaled(nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            score = 3.0 * pixel_values.float().flatten(1) / 255
            return torch.cat([score, torch.zeros_like(score)], dim=1)

    pixels = torch.full((1, 1, 1, 1), 204, dtype=torch.uint8)  # 0.8
    d = 0.0
    for _ in range(2):
        d += 0.25 * (-3.0 / (1 + math.exp(3.0 * (0.8 + d))) - 2 * 0.001 * d)
    found = IBAU(search_steps=2, search_rate=0.25).search(Scaled(), pixels, 0)
    assert float(found) == pytest.approx(d, rel=1e-5)


def test_i_bau_searches_at_the_start_of_each_round_and_unlearns_on_one_image(
    suspicious, defender_data, context, monkeypatch
):
    """Steps are shared out among the rounds; in the outer loss the first image alone carries the perturbation."""
    sought, losses = [], []
    how = IBAU(epochs=3, rounds=4)
    steps = how.steps(len(defender_data.train))
    given = torch.full(defender_data.train.inputs["pixel_values"].shape[1:], 0.3)
    monkeypatch.setattr(IBAU, "search", lambda *_: sought.append(len(losses)) or given)
    original = _UnlearningLoss.__call__

    def watched(self, model, inputs, labels):
        value = original(self, model, inputs, labels)
        pixels = inputs["pixel_values"].float()
        pixels[0] = (pixels[0] + 255 * given).clamp(0, 255)
        losses.append((value.item(), cross_entropy(model, {"pixel_values": pixels}, labels).item()))
        return value

    monkeypatch.setattr(_UnlearningLoss, "__call__", watched)
    how.repair(suspicious, defender_data, context)
    length = math.ceil(steps / 4)
    assert len(losses) == steps
    assert sought == list(range(0, steps, length))
    for found, wanted in losses:
        assert found == pytest.approx(wanted, rel=1e-5)


def test_attention_is_of_norm_one_whatever_the_scale():
    activations = torch.rand(2, 3, 4, 4)
    found = attention(activations)
    assert found.shape == (2, 16)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(attention(7 * activations), found)
    by_hand = (activations[0] ** 2).sum(0).flatten()
    torch.testing.assert_close(found[0], by_hand / by_hand.norm())


def test_masks_below_the_threshold_are_cut(small):
    norms = {"second_norm": small.second_norm}
    masks = Masks(norms)
    with torch.no_grad():
        small.second_norm.bias.fill_(0.5)
        masks.values[0].copy_(torch.tensor([0.1, 0.5, 0.9, 0.2, 1.0, 0.3]))
    bias = small.second_norm.bias.clone()
    prune_below(norms, masks, 0.3)
    assert torch.nonzero(small.second_norm.weight == 0).flatten().tolist() == [0, 3]
    assert torch.equal(small.second_norm.bias, bias)


def test_the_adversary_of_anp_raises_the_loss_within_its_box(suspicious, defender_data, context):
    norms = {name: one for name, one in suspicious.named_modules() if isinstance(one, nn.BatchNorm2d)}
    masks, how = Masks(norms), ANP(radius=0.4)
    game = _MaskObjective(suspicious, masks, defender_data, how, context)
    values = [mask.detach() for mask in masks.values]
    inputs, labels = defender_data.train.inputs, defender_data.train.labels
    worst = game._worst_perturbation(inputs, labels, values, 0)
    assert max(float(part.abs().max()) for pair in worst for part in pair) <= 0.4 + 1e-6
    with torch.no_grad():
        assert float(game._loss(inputs, labels, values, worst)) > 2 * float(game._loss(inputs, labels, values, None))


def test_distillation_brings_the_attention_to_the_teachers(suspicious, defender_data, context, monkeypatch):
    """A teacher that looks elsewhere, for its filters were turned round."""
    teacher = copy.deepcopy(suspicious)
    with torch.no_grad():
        for module in teacher.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight.flip(2, 3))
    monkeypatch.setattr(FineTuning, "repair", lambda *_: teacher)
    monkeypatch.setattr("anchorlab.repairs.tuning.Latest.restore", lambda self: None)

    def apart(strength):
        student = NAD(strength=strength, epochs=20).repair(suspicious, defender_data, context)
        found = []
        for model in (teacher, student):
            with capture_output(NAD()._stage_ends(model, defender_data.train.inputs)[0]) as output, torch.no_grad():
                model(**defender_data.train.inputs)
                found.append(attention(output()))
        return float((found[0] - found[1]).square().sum())

    assert apart(1000.0) < 0.7 * apart(0.0)


def test_unlearning_removes_more_than_fine_tuning(planted, digits):
    how = {"defender_data": None, "task": digits}
    tuned = repair(planted, "fine-tuning", **how)
    unlearned = repair(planted, "unlearning", parameters={"search_steps": 60}, **how)
    assert compare(planted, unlearned, task=digits).asr < compare(planted, tuned, task=digits).asr - 0.1


def test_the_curve_is_trained_and_left_at_its_middle(suspicious, defender_data, context, monkeypatch):
    """With a tolerance that every point keeps; the control point, off the curve, is not judged."""
    trained, judged = [], []

    def watched(model, *arguments, **named):
        judged.clear()
        tune(model, *arguments, **named)
        trained.append((flat(model), len(judged)))

    consider = Latest.consider
    monkeypatch.setattr(Latest, "consider", lambda self: judged.append(1) or consider(self))
    monkeypatch.setattr("anchorlab.repairs.mode_connectivity.tune", watched)
    end = FineTuning(tolerance=0.9).repair(suspicious, defender_data, context)
    found = ModeConnectivity(epochs=10, tolerance=0.9).repair(suspicious, defender_data, context)
    ((middle, times),) = trained
    assert times == 0
    torch.testing.assert_close(flat(found), flat(suspicious) / 4 + middle / 2 + flat(end) / 4)
    assert float((middle - flat(suspicious)).norm()) > 0.1 * float((flat(end) - flat(suspicious)).norm())


def test_the_curve_begins_and_ends_at_its_ends():
    start, middle, end = ({"w": torch.tensor([value])} for value in (1.0, 5.0, 3.0))
    assert [float(bezier(start, middle, end, at)["w"]) for at in (0.0, 0.5, 1.0)] == [1.0, 3.5, 3.0]


def test_interpolation_goes_part_of_the_way(suspicious, reference, defender_data, context):
    trusting = replace(context, trusted=reference.model)
    whole = Interpolation(share=1.0).repair(suspicious, defender_data, trusting)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), suspicious.parameters(), strict=True))
    half = Interpolation(share=0.25).repair(suspicious, defender_data, trusting)
    for found, trusted, given in zip(
        half.parameters(), reference.model.parameters(), suspicious.parameters(), strict=True
    ):
        torch.testing.assert_close(found, 0.75 * trusted + 0.25 * given)


def test_interpolation_moves_a_tied_weight_once(defender_data, context):
    class Tied(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)
            self.other.weight = self.one.weight
            nn.init.constant_(self.one.weight, value)

    half = Interpolation(share=0.5).repair(Tied(1.0), defender_data, replace(context, trusted=Tied(0.0)))
    assert half.one.weight is half.other.weight
    assert torch.equal(half.one.weight, torch.full((2, 2), 0.5))


def test_the_hypergradient_is_that_of_the_implicit_function():
    """Inner: max over d of -a (d - b w)^2 / 2 + w^2 / 2, whose solution is d* = b w; outer: the same loss."""
    a, b = 0.7, 1.5
    w = torch.tensor(2.0, requires_grad=True)

    def inner(d):
        return (-a * (d - b * w) ** 2 / 2 + w**2 / 2 + d).sum()

    # At d the gradient with respect to it is not 0, so that the implicit part counts: dL/dd = -a (d - b w) + 1.
    d = torch.tensor([3.5])
    (found,) = torch.autograd.grad(with_hypergradient(inner, inner, d, rate=0.2, steps=200), w)
    direct = a * b * (3.5 - b * 2.0) + 2.0
    implicit = b * (-a * (3.5 - b * 2.0) + 1)  # d d* / d w = b, times dL/dd
    assert float(found) == pytest.approx(direct + implicit, rel=1e-4)
    other = torch.autograd.grad(with_hypergradient(lambda d: 3 * inner(d), inner, d, rate=0.2, steps=200), w)
    assert float(other[0]) == pytest.approx(3 * (direct + implicit), rel=1e-4)
    (none,) = torch.autograd.grad(with_hypergradient(inner, inner, d, rate=0.2, steps=0), w)
    assert float(none) == pytest.approx(direct)
    value = with_hypergradient(inner, inner, d, rate=0.2, steps=5)
    assert float(value.detach()) == pytest.approx(float(inner(d).detach()))


def test_fine_tuning_lowers_the_loss_that_the_defender_sees(suspicious, defender_data, context):
    with torch.no_grad():
        suspicious.classifier[1].weight += 0.5 * torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    tuned = FineTuning(epochs=10).repair(suspicious, defender_data, context)
    with torch.no_grad():
        before, after = (
            cross_entropy(one, defender_data.validation.inputs, defender_data.validation.labels)
            for one in (suspicious, tuned)
        )
    assert after < before
    frozen = FineTuning(epochs=1, batchnorm="frozen").repair(suspicious, defender_data, context)
    buffers = dict(suspicious.named_buffers())
    assert all(torch.equal(value, buffers[name]) for name, value in frozen.named_buffers())


def test_features_are_what_enters_the_last_layer(small, inputs):
    assert last_layer(small, inputs) is small.last
    found, scores = features(small, inputs, batch_size=7)
    torch.testing.assert_close(scores, small(**inputs).detach())
    torch.testing.assert_close(found @ small.last.weight.T + small.last.bias, scores)
    assert copy.deepcopy(small).last.in_features == found.shape[1]
