"""Paths and barriers, on networks whose function is known, and what is said of them."""

from __future__ import annotations

import copy

import pandas as pd
import pytest
import torch
from torch import nn

from anchorlab.attacks.attack import Attack
from anchorlab.consistency.compare import compare
from anchorlab.models.reestimation import has_batchnorm, reestimated
from anchorlab.perturbation.probe import Probe, Triggered
from anchorlab.perturbation.tables.paths import PATHS, SCALES, path
from anchorlab.perturbation.weights import WeightSpace, perturbation_of
from anchorlab.statistics.resampling import Resamples
from tests.perturbation.findings import findings, interval
from tests.zoo import Hidden


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
    tables = path(
        WeightSpace(model), perturbation_of(model, candidate), Probe(examples, model),
        None if attack is None else Triggered(examples, attack), Resamples(len(examples), seed=0, resamples=200),
        statistics_from=statistics, report=lambda: ticks.append(1),
    )  # fmt: skip
    assert len(ticks) == len(SCALES) == len(tables["paths"])
    return tables["paths"].set_index("scale"), tables["barriers"].iloc[0]


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


def test_a_table_says_whether_its_statistics_were_estimated_again(small):
    for statistics, kind in ((None, "stored"), (small.examples.inputs, "re-estimated")):
        points, barriers = walked(small.model, small.candidate, small.examples, statistics=statistics)
        assert set(points["buffers"]) == {kind}
        assert barriers["buffers"] == kind


def test_a_path_goes_from_half_a_step_back_to_half_beyond_and_holds_both_ends():
    assert SCALES.tolist() == [eighths / 8 for eighths in range(-4, 13)]


def test_the_prediction_is_the_square_of_the_scale_where_parameters_alone_move():
    """The KL of y was not predicted; z moves buffers too."""
    rows = [(name, kind, scale) for name in "xyz" for kind in ("stored", "re-estimated") for scale in (-0.5, 1, 1.5)]
    tables = {
        "paths": pd.DataFrame(rows, columns=["candidate", "buffers", "scale"]),
        "quadratic": pd.DataFrame({"candidate": ["x", "z"], "kl_quadratic": [4.0, 8.0]}),
        "behaviour": pd.DataFrame({"candidate": ["x", "z"], "part": ["all", "buffers"]}),
    }
    found = PATHS.complete(tables)
    assert found["kl_quadratic"].dropna().tolist() == [1, 4, 9]
    known = found[found["kl_quadratic"].notna()]
    assert set(known["candidate"]) == {"x"}
    assert set(known["buffers"]) == {"stored"}
    for name in ("paths", "quadratic"):
        without = PATHS.complete({**tables, name: tables[name].iloc[:0]})
        assert "kl_quadratic" not in without
        assert len(without) == (0 if name == "paths" else len(rows))


def test_only_what_keeps_statistics_has_any(trained, small):
    assert has_batchnorm(small.model)
    assert not has_batchnorm(trained)


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"),
    [
        (0.0, 0.019, "In the reference's basin"),
        (0.021, 0.5, "Not in it"),
        (0.01, 0.03, "Undecided"),
        (0.0, 0.02, "Undecided"),
    ],
)
def test_the_whole_interval_decides_on_the_basin(lower, upper, verdict):
    row = {"candidate": "x", "buffers": "stored", **interval("error", 0.015, lower, upper), **interval("loss", 1, 0, 2)}
    (sentence,) = findings(barriers=[row])
    assert sentence.startswith(verdict)
    assert f"x (barrier of the error 0.015 [{lower:.3g}, {upper:.3g}], of the loss 1 [0, 2])" in sentence


def test_re_estimated_statistics_have_a_sentence_of_their_own():
    rows = [
        {"candidate": "x", "buffers": kind, **interval("error", 0.5, 0.4, 0.6), **interval("loss", 1, 0, 2)}
        for kind in ("stored", "re-estimated")
    ]
    first, second = findings(barriers=rows)
    assert first.startswith("Not in it")
    assert second.startswith("With BatchNorm's statistics re-estimated at each point: not in it")
