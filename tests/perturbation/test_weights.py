"""What counts as the perturbation of a model, and models at points of weight space."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.wrap import wrap
from anchorlab.perturbation.weights import Perturbation, WeightSpace, cosines, perturbation_of, products
from tests.perturbation.conftest import bent
from tests.zoo import Bent, Tied


def test_the_perturbation_is_the_difference_and_integer_buffers_are_named(small):
    after = dict(small.candidate.named_parameters())
    for name, value in small.model.named_parameters():
        assert torch.equal(small.perturbation.parameters[name], after[name] - value)
    assert small.perturbation.left_out == ("norm.num_batches_tracked",)
    assert list(small.perturbation.buffers) == ["norm.running_mean", "norm.running_var"]
    assert not small.perturbation.moves_buffers
    assert small.perturbation.norm == pytest.approx(float(small.perturbation.vector().double().norm()), rel=1e-12)


def test_shared_weights_count_once_and_move_together():
    model = Tied()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.first.weight += 1
    perturbation = perturbation_of(model, other)
    assert list(perturbation.parameters) == ["first.weight"]
    assert perturbation.norm == pytest.approx(3, rel=1e-6)
    moved = WeightSpace(model).at((2.0, perturbation))
    assert torch.equal(moved.second.weight, model.first.weight + 2 * perturbation.parameters["first.weight"])


def test_the_norm_is_of_the_parameters_and_not_of_buffers():
    assert Perturbation({"a": torch.tensor([3.0]), "b": torch.tensor([[-4.0]])}, {"c": torch.tensor([12.0])}).norm == 5


def wider() -> nn.Module:
    model = bent()
    model.last = nn.Linear(5, 4)
    return model


def broken() -> nn.Module:
    model = bent()
    with torch.no_grad():
        model.first.weight[0, 0] = float("nan")
    return model


@pytest.mark.parametrize(
    ("candidate", "complaint"),
    [
        (bent(), "theirs is identical to the reference, so there is nothing to analyse"),
        (wider(), r"another architecture .*last.weight: \[3, 5\] in the reference, \[4, 5\] in it"),
        (Tied(), r"another architecture .*first.weight: \[5, 4\] in the reference, \[3, 3\] in it"),
        (broken(), "the parameter first.weight of theirs or of the reference holds a value that is not finite"),
    ],
    ids=["identical", "other classes", "another architecture", "not finite"],
)
def test_what_cannot_be_subtracted_is_refused(candidate, complaint):
    with pytest.raises(AnchorlabError, match=complaint):
        perturbation_of(bent(), candidate, name="theirs")


def test_other_preprocessing_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    one, other = (wrap(copy.deepcopy(net), mean=[mean], std=[1.0]) for mean in (0.4, 0.5))
    with pytest.raises(AnchorlabError, match="normalises or resizes images differently from the reference"):
        perturbation_of(one, other)


def test_a_point_is_the_reference_plus_multiples_and_models_stay_as_they_are(small):
    other = bent(seed=1)
    second = perturbation_of(small.model, other)
    held = {name: value.clone() for name, value in small.model.state_dict().items()}
    space = WeightSpace(small.model)
    inputs = small.examples.inputs
    torch.testing.assert_close(
        predict(space.at((1.0, small.perturbation)), inputs), predict(small.candidate, inputs), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(predict(space.at((1.0, second)), inputs), predict(other, inputs), rtol=0, atol=1e-5)
    both = space.at((0.5, small.perturbation), (-0.25, second))
    for name, value in both.named_parameters():
        wanted = held[name] + 0.5 * small.perturbation.parameters[name] - 0.25 * second.parameters[name]
        torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-7)
    assert all(torch.equal(value, held[name]) for name, value in space.at().state_dict().items())
    assert all(torch.equal(value, held[name]) for name, value in small.model.state_dict().items())


def test_a_variance_beyond_the_models_does_not_fall_below_zero():
    model, other = bent(), bent(seed=1)
    with torch.no_grad():
        other.norm.running_var.fill_(10.0)
    far = WeightSpace(model).at((-0.5, perturbation_of(model, other)))
    assert isinstance(far, Bent)
    assert bool((far.norm.running_var == 0).all())


@given(st.lists(st.lists(st.floats(-10, 10), min_size=6, max_size=6), min_size=2, max_size=4))
def test_inner_products_and_cosines_are_those_of_numpy(rows):
    table = np.array(rows, dtype=np.float32)
    perturbations = [
        Perturbation({"a": torch.from_numpy(row[:4].reshape(2, 2)), "b": torch.from_numpy(row[4:])}, {})
        for row in table
    ]
    wanted = table.astype(float) @ table.astype(float).T
    np.testing.assert_allclose(products(perturbations), wanted, rtol=1e-12, atol=1e-12)
    norms = np.linalg.norm(table.astype(float), axis=1)
    known = np.outer(norms, norms) > 0
    found = cosines(perturbations).numpy()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found[known], (wanted / np.outer(norms, norms))[known], rtol=1e-9, atol=1e-9)
    assert np.isnan(found[~known]).all()


def test_rounding_takes_no_cosine_beyond_one():
    """Of multiples of one perturbation, whose cosines are 1 and -1: a rounding would lift half of these above it."""
    draw = torch.Generator().manual_seed(0)
    for _ in range(100):
        one = torch.randn(7, generator=draw)
        found = cosines([Perturbation({"a": factor * one}, {}) for factor in (1.0, 3.0, -0.7)])
        assert found.abs().max() <= 1
        assert found.abs().min() == pytest.approx(1, abs=1e-6)
