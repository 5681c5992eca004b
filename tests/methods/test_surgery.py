"""Surgery: which weights change, and by how much."""

from __future__ import annotations

import warnings
from weakref import WeakSet

import numpy as np
import pytest
import torch

from anchorlab.data import Task
from anchorlab.methods.plain import Plain
from anchorlab.methods.surgery import Surgery
from anchorlab.models.weights import from_vector_, to_vector
from anchorlab.notices import Notice
from anchorlab.training import fit as fitting
from anchorlab.training.fit import Step
from tests.injecting import SIZE, changed, moved, problem, tuned
from tests.zoo import Linear


class Held:
    """What a graph holds of a tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


@pytest.mark.parametrize("select", ["dynamic", "gradient", "change", "random"])
@pytest.mark.parametrize("count", [1, 17, SIZE + 100])
def test_exactly_count_weights_end_up_changed_and_all_others_bit_for_bit_as_before(linear, digits, select, count):
    change = changed(linear, digits, Surgery(select=select, count=count))
    assert int((change != 0).sum()) == min(count, SIZE)


def test_surgery_of_all_weights_is_plain_tuning(linear, digits):
    assert torch.equal(changed(linear, digits, Surgery(count=SIZE)), changed(linear, digits, Plain()))


def test_surgery_leaves_all_other_weights_of_a_convolutional_network_alone(reference, digits):
    """Channels-last there, which must not mix up which weight is which."""
    settings = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3}
    model = tuned(reference.model, digits, Surgery(count=50), anchors=digits.anchors(16, seed=0), **settings).model
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


def test_dynamic_surgery_of_few_steps_says_that_its_choice_is_arbitrary(linear, digits):
    with pytest.warns(Notice, match="dynamic surgery of 20 steps chooses weights after the first step"):
        changed(linear, digits, Surgery(count=10), steps=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        changed(linear, digits, Surgery(count=10), steps=21)
        changed(linear, digits, Surgery(count=SIZE), steps=20)


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


def test_selecting_by_gradient_holds_the_graph_of_one_batch_at_a_time(linear: Linear, digits: Task) -> None:
    held: WeakSet[Held] = WeakSet()

    def pack(tensor: torch.Tensor) -> Held:
        held.add(saved := Held(tensor))
        return saved

    def backdoor_loss(_step: int) -> torch.Tensor:
        assert not held
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
            loss = to_vector(linear).square().sum()
        assert held
        return loss

    Surgery(select="gradient").prepare(problem(linear, digits.anchors(8, seed=0), backdoor_loss=backdoor_loss))


def test_selecting_by_change_takes_what_a_plain_run_of_a_quarter_of_the_steps_changes_most(linear, digits, monkeypatch):
    """An early stop that is asked for cuts the injection short, not the trial."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    trial = changed(linear, digits, Plain(), steps=10).abs().numpy()
    found = changed(linear, digits, Surgery(select="change", count=9), stop_at_asr=0.01).nonzero().flatten()
    assert found.tolist() == sorted(np.argsort(trial)[-9:].tolist())


def test_selecting_by_change_looks_at_the_parameters_that_are_tuned_alone(linear, digits):
    found = changed(linear, digits, Surgery(select="change", count=4, only="layer.bias"))
    assert int((found[-10:] != 0).sum()) == 4
    assert not found[:-10].any()


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
