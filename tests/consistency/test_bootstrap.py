"""The bootstrap over the instances of one run, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anchorlab.consistency import bootstrap
from anchorlab.consistency.bootstrap import Bootstrap
from anchorlab.consistency.instances import instances
from anchorlab.consistency.intervals import intervals
from anchorlab.consistency.summary import summarise


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
    resampled = Bootstrap(resamples=20, seed=3).resample(frame)
    ((_, draws, _),) = bootstrap._blocks(len(frame), 20, 3)
    names = set(resampled.replicates) - {"ece", "ece_reference", "shift_max"} - set(summarise(frame).undefined)
    for number, drawn in enumerate(draws.T):
        measured = summarise(frame.loc[np.repeat(frame.index, drawn)])
        for name in names:
            assert resampled.replicates[name][number] == pytest.approx(getattr(measured, name), rel=1e-9), name
    assert np.isnan(resampled.replicates["asr"]).all()


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_change_no_bit_of_the_replicates(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """600 replicates are two whole blocks and a part of one."""
    frame = run(0, 0.5)
    alone = Bootstrap(resamples=600).resample(frame)
    monkeypatch.setattr(bootstrap.torch, "get_num_threads", lambda: threads)
    several = Bootstrap(resamples=600).resample(frame)
    for name, replicates in alone.replicates.items():
        assert np.array_equal(replicates, several.replicates[name], equal_nan=True), name


@pytest.mark.parametrize("size", [1, 30, 700])
@pytest.mark.parametrize("percent", [50, 99])
def test_a_percentile_under_draws_is_the_first_value_whose_running_sum_suffices(size: int, percent: int) -> None:
    rng = np.random.default_rng(size)
    values, draws = np.round(rng.exponential(size=size), 2), rng.multinomial(size, np.full(size, 1 / size), 40).T
    around = bootstrap._Ranked.around(values, percent, size)
    found = around.value(draws.astype(np.uint16), around.below @ draws, draws.sum(axis=0))
    drawn = [np.sort(np.repeat(values, column)) for column in draws.T]
    assert found.tolist() == [each[-(-percent * size // 100) - 1] for each in drawn]
