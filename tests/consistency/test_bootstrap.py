"""The bootstrap over the instances of one run, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anchorlab.consistency import bootstrap
from anchorlab.consistency.bootstrap import replicates
from anchorlab.consistency.instances import instances
from anchorlab.consistency.intervals import _between, intervals
from anchorlab.consistency.summary import summarise
from anchorlab.metrics import METRICS, InstanceTable


def run(seed: int, scale: float, count: int = 300, reference_seed: int = 99) -> pd.DataFrame:
    """A candidate that moves the same reference's logits at random."""
    fixed, own = np.random.default_rng(reference_seed), np.random.default_rng(seed)
    reference, labels = fixed.normal(size=(count, 4)) * 2, fixed.integers(0, 4, count)
    return instances(reference, reference + scale * own.normal(size=(count, 4)), labels)


def test_one_run_is_resampled_by_its_instances_as_scipy_does() -> None:
    frame = run(0, 0.5)
    lower, upper = intervals(frame)["kl"]
    by_scipy = stats.bootstrap(
        (frame["kl"].to_numpy(),), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(0)
    ).confidence_interval
    width = by_scipy.high - by_scipy.low
    assert lower == pytest.approx(by_scipy.low, abs=0.1 * width)
    assert upper == pytest.approx(by_scipy.high, abs=0.1 * width)


def test_a_calibration_error_has_no_interval() -> None:
    assert not {"ece", "ece_reference"} & set(intervals(run(0, 0.5), resamples=50))


def test_a_replicate_is_what_is_measured_of_the_instances_that_it_draws() -> None:
    frame = run(0, 0.5)
    found = replicates(InstanceTable(frame), METRICS, resamples=20, seed=3)
    assert {"kl", "accuracy", "pearson_correct"} <= set(found)
    assert not {"asr", "ece", "shift_max", "shift_p95"} & set(found)  # undefined, or no function of weighted sums
    ((_, draws),) = bootstrap._blocks(len(frame), 20, 3)
    for number, drawn in enumerate(draws.T):
        measured = summarise(frame.loc[np.repeat(frame.index, drawn)])
        for name, each in found.items():
            assert each[number] == pytest.approx(getattr(measured, name), rel=1e-9), name


def test_a_correlation_that_is_undefined_has_no_replicates() -> None:
    logits, labels = np.eye(3)[[0, 1, 2, 0]] * 4, np.array([0, 1, 2, 0])
    frame = instances(logits, logits[::-1], labels)
    assert summarise(frame).pearson_correct is None  # the reference is right everywhere
    assert set(replicates(InstanceTable(frame), ["pearson_correct", "kl"], resamples=5)) == {"kl"}


def test_a_group_has_the_instances_with_one_remainder() -> None:
    assert bootstrap._grouped([1, 2, 3, 4, 5, 6, 7], 3).tolist() == [1 + 4 + 7, 2 + 5, 3 + 6]


def test_the_order_of_instances_that_repeat_does_not_widen_the_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """As classes in turn do: groups of one remainder would each have one value alone, and be 40 times as variable."""
    monkeypatch.setattr(bootstrap, "GROUPS", 100)
    frame = pd.concat([run(0, 0.5, count=100)] * 40, ignore_index=True)
    found = replicates(InstanceTable(frame), ["kl"])["kl"]
    assert found.std() == pytest.approx(frame["kl"].std() / np.sqrt(len(frame)), rel=0.25)
    again = replicates(InstanceTable(frame), ["kl"])["kl"]
    assert np.array_equal(found, again)
    assert not np.array_equal(found, replicates(InstanceTable(frame), ["kl"], seed=1)["kl"])


def test_a_measurement_that_is_undefined_in_most_replicates_has_no_interval() -> None:
    values = np.arange(10.0)
    values[:5] = np.nan
    assert _between(values) == pytest.approx(tuple(np.quantile([5, 6, 7, 8, 9], [0.025, 0.975])))
    values[5] = np.inf
    assert _between(values) is None


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_change_no_bit_of_the_replicates(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """600 replicates are two whole blocks and a part of one."""
    frame = run(0, 0.5)
    alone = replicates(InstanceTable(frame), METRICS, resamples=600)
    monkeypatch.setattr(bootstrap.torch, "get_num_threads", lambda: threads)
    several = replicates(InstanceTable(frame), METRICS, resamples=600)
    for name, each in alone.items():
        assert np.array_equal(each, several[name], equal_nan=True), name
