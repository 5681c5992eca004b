"""Paths, barriers and planes, on networks whose function is known."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.consistency.evaluate import compare
from anchorlab.data import Split
from anchorlab.models.call import predict
from anchorlab.models.reestimation import has_batchnorm, reestimated
from anchorlab.perturbation.behaviour import Probe, Triggered
from anchorlab.perturbation.intervals import Resamples
from anchorlab.perturbation.paths import SCALES, path
from anchorlab.perturbation.planes import grid, marks, plane_through, survey
from anchorlab.perturbation.weights import Perturbation, WeightSpace, perturbation_of
from anchorlab.triggers import FivePixel
from tests.perturbation.conftest import bent


class Hidden(nn.Module):
    """64 pixels, 20 hidden units, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 20), nn.Linear(20, 10)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(pixel_values.flatten(1) / 255)))


@pytest.fixture(scope="module")
def trained(digits) -> nn.Module:
    torch.manual_seed(0)
    model, examples = Hidden(), digits.split("owner")
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(**examples.inputs), examples.labels).backward()
        optimiser.step()
    return model.eval()


def shuffled(model: nn.Module) -> nn.Module:
    """The same function with its hidden units in another order."""
    other, order = copy.deepcopy(model), torch.arange(20).roll(7)
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(other.first, name).copy_(getattr(model.first, name)[order])
        other.last.weight.copy_(model.last.weight[:, order])
    return other


def walked(model, candidate, examples, attack=None, statistics=None):
    ticks = []
    found = path(
        WeightSpace(model), perturbation_of(model, candidate), Probe(examples, model),
        None if attack is None else Triggered(examples, attack), Resamples(len(examples), seed=0, resamples=200),
        statistics_from=statistics, report=lambda: ticks.append(1),
    )  # fmt: skip
    assert len(ticks) == len(SCALES) == len(found["paths"])
    return found["paths"].set_index("scale"), found["barriers"].iloc[0]


def test_the_ends_of_a_path_are_the_two_models(digits, reference, injected):
    examples = digits.split("test")
    attack = Attack(injected.trigger, injected.label_rule)
    points, _ = walked(reference.model, injected.model, examples, attack)
    known = compare(reference, injected, task=digits)
    assert points.loc[0.0, "kl"] == 0
    assert points.loc[1.0, "kl"] == pytest.approx(known.kl, rel=1e-3)
    assert points.loc[0.0, ["accuracy", "asr"]].tolist() == [known.accuracy_reference, known.asr_reference]
    assert points.loc[1.0, ["accuracy", "asr"]].tolist() == [known.accuracy, known.asr]
    assert points.loc[1.0, "loss"] == pytest.approx(known.nll, rel=1e-4)
    assert (points["kl_lower"] <= points["kl"]).all()
    assert (points["kl"] <= points["kl_upper"]).all()


def test_the_same_function_with_units_in_another_order_lies_behind_a_barrier(digits, trained):
    examples = digits.split("test")
    points, barriers = walked(trained, shuffled(trained), examples)
    assert points.loc[1.0, "kl"] < 1e-10
    assert barriers["error_lower"] > 0.1
    assert barriers["loss_lower"] > 0.3
    assert points["asr"].isna().all()


def test_a_small_step_meets_no_barrier(digits, trained):
    near = copy.deepcopy(trained)
    with torch.no_grad():
        near.first.weight += 0.01 * torch.randn(20, 64, generator=torch.Generator().manual_seed(0))
    _, barriers = walked(trained, near, digits.split("test"))
    assert barriers["error_upper"] < 0.02


def test_statistics_are_estimated_again_as_means_over_batches(small):
    """One batch: its own mean, and its variance with Bessel's correction."""
    fresh = reestimated(small.model, small.examples.inputs)
    entering = small.model.first(small.examples.inputs["pixel_values"].flatten(1) / 255)
    torch.testing.assert_close(fresh.norm.running_mean, entering.mean(0))
    torch.testing.assert_close(fresh.norm.running_var, entering.var(0, unbiased=True))
    assert not fresh.training
    assert not torch.equal(fresh.norm.running_mean, small.model.norm.running_mean)


def test_only_what_keeps_statistics_has_any(trained, small):
    assert has_batchnorm(small.model)
    assert not has_batchnorm(trained)


def test_triggered_examples_are_those_of_the_attack(digits, reference):
    attack = Attack(FivePixel(), AllToOne(target=3))
    triggered = Triggered(digits.split("test"), attack)
    known = compare(reference, reference, task=digits, trigger="five-pixel", target=3)
    assert triggered.count == known.asr_count
    assert triggered.hits(reference.model) / triggered.count == known.asr
    only = digits.split("test").select((digits.split("test").labels == 3).nonzero().flatten())
    nobody = Triggered(only, attack)
    assert (nobody.count, nobody.hits(reference.model)) == (0, 0)


# ---------------------------------------------------------------------------------------------------
# Planes.


@pytest.fixture
def changes(small) -> dict[str, Perturbation]:
    models = {"near": small.candidate, "far": bent(seed=1), "other": bent(seed=2)}
    return {name: perturbation_of(small.model, model) for name, model in models.items()}


def test_each_model_lies_at_its_own_place(changes):
    plane = plane_through(changes)
    assert plane.first == "near"
    for name, wanted in ((plane.first, (1, 0)), (plane.second, (0, 1))):
        x, y = plane.places[name]
        assert plane.multiples(x, y) == pytest.approx(wanted, abs=1e-9)
        assert plane.distances[name] == 0
        assert np.hypot(x, y) == pytest.approx(changes[name].norm)


def test_what_is_off_the_plane_falls_on_it_at_its_nearest_point(changes):
    plane = plane_through(changes)
    left = next(name for name in changes if name not in (plane.first, plane.second))
    a, b = plane.multiples(*plane.places[left])
    rest = changes[left].vector() - a * changes[plane.first].vector() - b * changes[plane.second].vector()
    assert plane.distances[left] == pytest.approx(float(rest.double().norm()), rel=1e-5)
    for name in (plane.first, plane.second):
        assert float(rest.double() @ changes[name].vector().double()) == pytest.approx(0, abs=1e-5)


def test_the_second_is_the_largest_and_one_with_a_backdoor_goes_first(changes):
    others = sorted((name for name in changes if name != "near"), key=lambda name: changes[name].norm)
    assert plane_through(changes).second == others[-1]
    assert plane_through(changes, [others[0]]).second == others[0]


def test_one_direction_spans_no_plane(small):
    doubled = Perturbation({name: 2 * value for name, value in small.change.parameters.items()}, {})
    assert plane_through({"one": small.change}) is None
    assert plane_through({"one": small.change, "two": doubled}) is None


def test_the_grid_holds_every_model(changes):
    plane = plane_through(changes)
    places = np.array(grid(plane, 5))
    assert places.shape == (25, 2)
    shown = marks(plane)
    assert shown["candidate"].tolist() == ["reference", *changes]
    for axis, name in enumerate(("x", "y")):
        assert places[:, axis].min() < shown[name].min()
        assert places[:, axis].max() > shown[name].max()


def test_the_survey_measures_the_models_that_stand_there(small, changes):
    probe = Probe(small.examples, small.model)
    plane = plane_through(changes)
    table = survey(WeightSpace(small.model), plane, changes, probe, None, 4, lambda: None)
    assert len(table) == 16
    assert table["asr"].isna().all()
    x, y = table.loc[5, ["x", "y"]]
    a, b = plane.multiples(x, y)
    there = WeightSpace(small.model).at((a, changes[plane.first]), (b, changes[plane.second]))
    scores = predict(there, small.examples.inputs)
    wanted = float(nn.functional.cross_entropy(scores, small.examples.labels))
    assert table.loc[5, "loss"] == pytest.approx(wanted, rel=1e-5)


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
