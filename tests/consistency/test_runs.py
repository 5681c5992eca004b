"""Intervals and tests over runs, against scipy, by hand, and by simulation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anchorlab.consistency import bootstrap
from anchorlab.consistency import runs as runs_module
from anchorlab.consistency.bootstrap import Bootstrap
from anchorlab.consistency.instances import instances
from anchorlab.consistency.runs import (
    DEFAULT_METRICS,
    Difference,
    differences_of,
    estimates_of,
)
from anchorlab.consistency.summary import summarise
from anchorlab.metrics import METRICS, InstanceTable
from anchorlab.statistics.estimate import Estimate


def run(seed: int, scale: float, count: int = 300, reference_seed: int = 99) -> pd.DataFrame:
    """A candidate that moves the same reference's logits at random."""
    fixed, own = np.random.default_rng(reference_seed), np.random.default_rng(seed)
    reference, labels = fixed.normal(size=(count, 4)) * 2, fixed.integers(0, 4, count)
    return instances(reference, reference + scale * own.normal(size=(count, 4)), labels)


def estimates(runs: list[pd.DataFrame], resamples: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """The estimates of runs that are resampled for this alone."""
    bootstrap = Bootstrap(resamples=resamples, seed=seed)
    return estimates_of([bootstrap.resample(frame) for frame in runs])


def differences(
    a: list[pd.DataFrame],
    b: list[pd.DataFrame],
    metrics: Sequence[str] = DEFAULT_METRICS,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Difference]:
    """The differences of runs that are resampled for this alone."""
    bootstrap = Bootstrap(resamples=resamples, seed=seed)
    sides = [[bootstrap.resample(frame, metrics) for frame in side] for side in (a, b)]
    return differences_of(*sides, metrics=metrics)


def test_the_estimate_is_the_mean_over_runs_of_each_measurement() -> None:
    runs = [run(seed, 0.5) for seed in range(4)]
    found = estimates(runs)
    for name in ("kl", "churn", "pearson_score", "ece", "shift_p95", "js"):
        assert found[name].value == pytest.approx(np.mean([getattr(summarise(one), name) for one in runs])), name
    assert found["asr"].value is None
    assert found["kl"] == estimates(runs)["kl"]


def test_one_run_is_resampled_by_its_instances_as_scipy_does() -> None:
    frame = run(0, 0.5)
    found = estimates([frame])["kl"]
    by_scipy = stats.bootstrap(
        (frame["kl"].to_numpy(),), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(0)
    ).confidence_interval
    width = by_scipy.high - by_scipy.low
    assert found.lower == pytest.approx(by_scipy.low, abs=0.1 * width)
    assert found.upper == pytest.approx(by_scipy.high, abs=0.1 * width)


def test_runs_that_differ_widen_the_interval() -> None:
    alike, unlike = [run(seed, 0.5) for seed in range(6)], [run(seed, 0.2 + 0.2 * seed) for seed in range(6)]

    def width(runs: list[pd.DataFrame]) -> float:
        found = estimates(runs)["kl"]
        assert found.lower is not None
        assert found.upper is not None
        return found.upper - found.lower

    assert width(unlike) > 3 * width(alike)


def test_differences_are_paired_and_ratios_where_orders_of_magnitude_count() -> None:
    a, b = [run(seed, 0.2) for seed in range(6)], [run(seed, 0.6) for seed in range(6)]
    by_name = {found.metric: found for found in differences(a, b, metrics=["kl", "churn"])}
    logs = [np.log(one["kl"].mean() / other["kl"].mean()) for one, other in zip(a, b, strict=True)]
    assert by_name["kl"].is_ratio
    assert by_name["kl"].value == pytest.approx(np.exp(np.mean(logs)))
    assert by_name["kl"].upper is not None
    assert by_name["kl"].upper < 1
    assert by_name["kl"].p == pytest.approx(2 / 2**6)
    assert not by_name["churn"].is_ratio
    (same,) = differences(a, a, metrics=["churn"])
    assert (same.value, same.lower, same.upper) == (0, 0, 0)


def test_a_replicate_is_what_is_measured_of_the_instances_that_it_draws() -> None:
    """Of all measurements but the calibration errors, whose bins are those of all instances."""
    frame = run(0, 0.5)
    resampled = Bootstrap(resamples=20, seed=3).resample(frame)
    ((_, draws, _),) = bootstrap._blocks(len(frame), 20, 3)
    names = set(resampled.replicates) - {"ece", "ece_reference", "shift_max"} - set(summarise(frame).undefined)
    for number, drawn in enumerate(draws.T):
        measured = summarise(frame.loc[np.repeat(frame.index, drawn)])
        for name in names:
            assert resampled.replicates[name][number] == pytest.approx(getattr(measured, name), rel=1e-9), name
    assert np.isnan(resampled.replicates["asr"]).all()


def test_runs_resampled_once_for_all_comparisons_give_the_numbers_of_each_comparison_by_itself() -> None:
    """Three methods on two references, resampled by one object between runs of other instances."""
    shared = Bootstrap(resamples=600, seed=5)
    methods = [[run(seed, scale, reference_seed=seed % 2) for seed in range(6)] for scale in (0.2, 0.4, 0.8)]
    resampled = []
    for runs in methods:
        shared.resample(run(0, 0.5, count=50))
        resampled.append([shared.resample(one) for one in runs])
    for runs, again in zip(methods, resampled, strict=True):
        assert estimates_of(again) == estimates(runs, resamples=600, seed=5)
    for a, b in itertools.permutations(range(3), 2):
        ours = differences_of(resampled[a], resampled[b], metrics=list(METRICS))
        assert ours == differences(methods[a], methods[b], metrics=list(METRICS), resamples=600, seed=5)
        few = differences(methods[a], methods[b], metrics=["kl", "churn"], resamples=600, seed=5)
        for one in few:
            assert numbers(one) == pytest.approx(numbers(ours[list(METRICS).index(one.metric)]), rel=1e-12)


def numbers(one: Difference) -> list[float | None]:
    return [one.value, one.lower, one.upper, one.p]


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_change_no_bit_of_the_replicates(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """600 replicates are two whole blocks and a part of one."""
    frame = run(0, 0.5)
    alone = Bootstrap(resamples=600).resample(frame)
    monkeypatch.setattr(bootstrap.torch, "get_num_threads", lambda: threads)
    several = Bootstrap(resamples=600).resample(frame)
    for name, replicates in alone.replicates.items():
        assert np.array_equal(replicates, several.replicates[name], equal_nan=True), name


def test_the_references_measurements_are_computed_once_for_all_its_runs() -> None:
    shared = Bootstrap(resamples=20)
    a, b, other = (shared.resample(run(seed, 0.5, reference_seed=which)) for seed, which in ((0, 1), (1, 1), (1, 2)))
    for name in ("accuracy_reference", "nll_reference", "brier_reference", "ece_reference"):
        assert a.replicates[name] is b.replicates[name]
        assert not np.array_equal(b.replicates[name], other.replicates[name])
    assert not np.array_equal(a.replicates["nll"], b.replicates["nll"])


def test_runs_that_were_not_drawn_alike_are_refused() -> None:
    frame = run(0, 0.5)
    ours = Bootstrap(resamples=20).resample(frame)
    for other in (
        Bootstrap(resamples=20, seed=1).resample(frame),
        Bootstrap(resamples=21).resample(frame),
        Bootstrap(resamples=20).resample(run(0, 0.5, count=299)),
    ):
        with pytest.raises(ValueError, match="runs need to be of the same instances"):
            estimates_of([ours, other])
        with pytest.raises(ValueError, match="runs need to be of the same instances"):
            differences_of([ours], [other])
    with pytest.raises(ValueError, match="runs need to be of the same instances"):
        estimates([])


@pytest.mark.parametrize("count", [1, 128, 129, 257, 1260])
def test_the_sum_over_runs_in_parts_is_numpys_to_the_last_bit(count: int) -> None:
    rng = np.random.default_rng(count)
    each, picks = np.exp(3 * rng.normal(size=(7, count))), rng.integers(0, 4, (7, count)).astype(float)
    ends = np.cumsum([0, *runs_module._leaves(count)])
    parts = [
        runs_module._weighted_sum(each[:, first:last], picks[:, first:last]) for first, last in itertools.pairwise(ends)
    ]
    assert ends[-1] == count
    assert np.array_equal(runs_module._joined(parts, count), (each * picks).sum(axis=1))


def test_runs_that_come_one_by_one_give_the_estimates_of_a_list() -> None:
    shared = Bootstrap(resamples=50)
    tables = [run(seed, 0.5) for seed in range(3)]
    one_by_one = (resampled for resampled, _ in shared.each(tables, InstanceTable))
    assert estimates_of(one_by_one, 3) == estimates(tables, resamples=50)


@pytest.mark.parametrize("size", [1, 30, 700])
@pytest.mark.parametrize("percent", [50, 99])
def test_a_percentile_under_draws_is_the_first_value_whose_running_sum_suffices(size: int, percent: int) -> None:
    rng = np.random.default_rng(size)
    values, draws = np.round(rng.exponential(size=size), 2), rng.multinomial(size, np.full(size, 1 / size), 40).T
    around = bootstrap._Ranked.around(values, percent, size)
    found = around.value(draws.astype(np.uint16), around.below @ draws, draws.sum(axis=0))
    drawn = [np.sort(np.repeat(values, column)) for column in draws.T]
    assert found.tolist() == [each[-(-percent * size // 100) - 1] for each in drawn]
