"""The simulation of coverage in small: intervals hold what they say, and two references have none."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "experiments/coverage/run.py"
spec = importlib.util.spec_from_file_location("coverage_run", RUN)
assert spec is not None
assert spec.loader is not None
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)

MANY, FEW = (10_000, "redrawn"), (872, "redrawn")


@pytest.mark.parametrize("kind", ["geometric", "ratio", "plain", "churn", "asr"])
@pytest.mark.parametrize(("design", "instances"), [((3, 1), MANY), ((6, 1), FEW), ((6, 2), MANY)])
def test_intervals_over_references_hold_what_they_say(kind, design, instances) -> None:
    found = run.simulated(run.KINDS[kind], run.Cell(design, 0.3, 0.5, instances), 500, seed=1)
    assert found["intervals"] == 1
    assert 0.91 < found["coverage"] < 0.985  # three standard errors about .93 to .97


def test_more_seeds_on_two_references_give_no_interval() -> None:
    found = run.simulated(run.geometric, run.Cell((2, 6), 0.3, 0.5, MANY), 20, seed=1)
    assert (found["intervals"], found["coverage"]) == (0, "")


def test_an_auroc_over_models_by_reference_holds_it() -> None:
    found = run.simulated(run.auroc, run.Cell((12, 2), 0.0, 0.8, MANY), 400, seed=1)
    assert found["coverage"] > 0.92


def test_an_arithmetic_mean_of_references_that_differ_by_powers_does_not() -> None:
    found = run.simulated(run.plain, run.Cell((6, 1), 1.0, 0.5, MANY), 400, seed=1)
    assert found["coverage"] < 0.9
