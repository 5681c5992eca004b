"""The plane through three models, on networks whose weights are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from anchorlab import AnalysisSettings
from anchorlab.models.call import predict
from anchorlab.perturbation.probe import Probe
from anchorlab.perturbation.tables.plane import PLANE, grid, plane_through, positions, survey
from anchorlab.perturbation.weights import Perturbation, WeightSpace, perturbation_of
from tests.perturbation.conftest import bent


@pytest.fixture
def perturbations(small) -> dict[str, Perturbation]:
    models = {"near": small.candidate, "far": bent(seed=1), "other": bent(seed=2)}
    return {name: perturbation_of(small.model, model) for name, model in models.items()}


def test_each_model_lies_at_its_own_place(perturbations):
    plane = plane_through(perturbations)
    assert plane.first == "near"
    for name, wanted in ((plane.first, (1, 0)), (plane.second, (0, 1))):
        x, y = plane.positions[name]
        assert plane.multiples(x, y) == pytest.approx(wanted, abs=1e-9)
        assert plane.distances[name] == 0
        assert np.hypot(x, y) == pytest.approx(perturbations[name].norm)


def test_what_is_off_the_plane_falls_on_it_at_its_nearest_point(perturbations):
    plane = plane_through(perturbations)
    left = next(name for name in perturbations if name not in (plane.first, plane.second))
    a, b = plane.multiples(*plane.positions[left])
    rest = (
        perturbations[left].vector()
        - a * perturbations[plane.first].vector()
        - b * perturbations[plane.second].vector()
    )
    assert plane.distances[left] == pytest.approx(float(rest.double().norm()), rel=1e-5)
    for name in (plane.first, plane.second):
        assert float(rest.double() @ perturbations[name].vector().double()) == pytest.approx(0, abs=1e-5)


def test_the_second_is_the_largest_and_one_with_a_backdoor_goes_first(perturbations):
    others = sorted((name for name in perturbations if name != "near"), key=lambda name: perturbations[name].norm)
    assert plane_through(perturbations).second == others[-1]
    assert plane_through(perturbations, [others[0]]).second == others[0]


def test_one_direction_spans_no_plane(small):
    doubled = Perturbation({name: 2 * value for name, value in small.perturbation.parameters.items()}, {})
    assert plane_through({"one": small.perturbation}) is None
    assert plane_through({"one": small.perturbation, "two": doubled}) is None


def test_the_grid_holds_every_model(perturbations):
    plane = plane_through(perturbations)
    places = np.array(grid(plane, 5))
    assert places.shape == (25, 2)
    shown = positions(plane)
    assert shown["candidate"].tolist() == ["reference", *perturbations]
    for axis, name in enumerate(("x", "y")):
        assert places[:, axis].min() < shown[name].min()
        assert places[:, axis].max() > shown[name].max()


def test_the_survey_measures_the_models_that_stand_there(small, perturbations):
    probe = Probe(small.examples, small.model)
    plane = plane_through(perturbations)
    table = survey(WeightSpace(small.model), plane, perturbations, probe, None, 4, lambda: None)
    assert len(table) == 16
    assert table["asr"].isna().all()
    x, y = table.loc[5, ["x", "y"]]
    a, b = plane.multiples(x, y)
    there = WeightSpace(small.model).at((a, perturbations[plane.first]), (b, perturbations[plane.second]))
    outputs = predict(there, small.examples.inputs)
    wanted = float(nn.functional.cross_entropy(outputs, small.examples.labels))
    assert table.loc[5, "loss"] == pytest.approx(wanted, rel=1e-5)


def test_the_part_ticks_at_every_place(context, perturbations):
    names = ("near", "far")
    settings = AnalysisSettings(plane_steps=3, plane_examples=4)
    moved = {name: perturbations[name] for name in names}
    both = replace(context, perturbations=moved, attacks=dict.fromkeys(names), settings=settings)
    (part,) = PLANE.parts(both)
    ticks: list[int] = []
    tables = part.measure(lambda: ticks.append(1))
    assert part.steps == len(ticks) == len(tables["plane"]) == 9
    assert list(tables["models"]["candidate"]) == ["reference", *names]
