"""Means over references of runs' measurements, and what instances carry of their variance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from anchorlab.consistency.influences import Influences, influences
from anchorlab.consistency.runs import differences_of, estimates_of
from anchorlab.consistency.summary import summarise
from anchorlab.metrics import METRICS, InstanceTable
from anchorlab.statistics.references import mean_over_references
from tests.consistency.test_bootstrap import run as one_run

TABLES = {f"{reference}-{seed}": one_run(10 * reference + seed, 0.5) for reference in range(4) for seed in range(2)}


def frame(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"identity": name, "reference_seed": int(name[0]), "seed": int(name[-1]), **summarise(table).to_dict()}
            for name, table in tables.items()
        ]
    )


RUNS = frame(TABLES)


def read(identity: str) -> Influences:
    return influences(InstanceTable(TABLES[identity]))


def test_estimates_are_means_over_references_of_the_runs_own_measurements() -> None:
    found = estimates_of(RUNS)
    for name in ("kl", "churn", "pearson_score", "shift_p95"):
        alone = mean_over_references(RUNS[name], RUNS["reference_seed"], METRICS[name].averaging)
        assert (found[name], found[name].units) == (alone, 4), name
    assert found["asr"].value is None
    assert found["ece"].bounds is None
    assert found["ece"].value == pytest.approx(RUNS["ece"].mean())


def test_the_order_of_runs_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(RUNS))
    found, again = estimates_of(RUNS, read), estimates_of(RUNS.iloc[order], read)
    for name in ("kl", "accuracy", "pearson_correct"):
        assert again[name].bounds == pytest.approx(found[name].bounds)


def test_instances_count_where_they_carry_over_a_fifth_of_the_variance() -> None:
    """Four candidates of one reference differ little: its 300 instances decide how far off the accuracy is."""
    alone, counted = estimates_of(RUNS), estimates_of(RUNS, read)
    assert counted["accuracy"].over_instances
    assert not alone["accuracy"].over_instances
    narrow, wide = (np.diff(one["accuracy"].bounds).item() for one in (alone, counted))
    accuracy, count = RUNS["accuracy"].mean(), len(TABLES["0-0"])
    assert wide > 2 * 1.5 * np.sqrt(accuracy * (1 - accuracy) / count) > narrow


def test_runs_of_different_instances_are_not_crossed() -> None:
    tables = {f"{reference}-0": one_run(reference, 0.5, reference_seed=reference) for reference in range(4)}
    runs = frame(tables)
    found = estimates_of(runs, lambda identity: influences(InstanceTable(tables[identity])))
    assert found["accuracy"] == estimates_of(runs)["accuracy"]
    assert not found["accuracy"].over_instances


def test_two_references_read_no_table() -> None:
    few = RUNS[RUNS["reference_seed"] < 2]
    found = estimates_of(few, lambda identity: pytest.fail("read"))
    assert (found["kl"].bounds, len(found["kl"].each)) == (None, 2)


def test_differences_are_ratios_where_orders_of_magnitude_count() -> None:
    tables = {name: one_run(50 + number, 0.2) for number, name in enumerate(TABLES)}
    ours = frame(tables)
    by_name = {one.metric: one for one in differences_of(ours, RUNS, ["kl", "churn", "ece"])}
    logs = np.log(ours["kl"] / RUNS["kl"]).groupby(ours["reference_seed"]).mean()
    assert by_name["kl"].is_ratio
    assert by_name["kl"].estimate.value == pytest.approx(np.exp(logs.mean()))
    assert by_name["kl"].estimate.upper < 1
    assert (by_name["kl"].p, by_name["kl"].runs, by_name["kl"].estimate.units) == (None, 8, 4)
    assert not by_name["churn"].is_ratio
    assert by_name["ece"].estimate.bounds is None
    both = {**{f"a{name}": table for name, table in tables.items()}, **TABLES}
    found = differences_of(
        ours.assign(identity="a" + ours["identity"]), RUNS, ["kl"], lambda one: influences(InstanceTable(both[one]))
    )
    assert found[0].estimate.value == pytest.approx(by_name["kl"].estimate.value)


def test_p_values_begin_at_twelve_references() -> None:
    rng = np.random.default_rng(0)
    runs = [pd.DataFrame({"reference_seed": range(12), "kl": np.exp(rng.normal(m, 0.1, 12))}) for m in (0, 1)]
    (found,) = differences_of(runs[0], runs[1], ["kl"])
    assert found.p == pytest.approx(2 / 2**12)


@pytest.mark.parametrize("name", ["accuracy", "kl", "pearson_correct", "pearson_score"])
def test_an_influence_is_what_a_measurement_moves_by_if_an_instance_counts_more(name: str) -> None:
    table = TABLES["0-0"]
    (each,) = influences(InstanceTable(table), [name]).by_metric.values()
    assert each.mean() == pytest.approx(0, abs=1e-6)
    before = getattr(summarise(table), name)
    for row in (0, 7, 100):
        again = pd.concat([table] * 40 + [table.iloc[[row]]])
        moved = (getattr(summarise(again), name) - before) * len(again)
        assert moved == pytest.approx(each[row], rel=1e-3, abs=1e-6)


def test_what_is_no_function_of_means_has_no_influences() -> None:
    assert not {"shift_p95", "shift_max", "ece", "count", "asr"} & set(read("0-0").by_metric)


def test_instances_are_crossed_only_where_all_runs_have_the_same() -> None:
    """The same influences as where instances count, said to be of other instances for each run."""
    assert estimates_of(RUNS, read)["accuracy"].over_instances
    apart = estimates_of(RUNS, lambda identity: replace(read(identity), instances=identity.encode()))
    assert not apart["accuracy"].over_instances
    assert apart["accuracy"] == estimates_of(RUNS)["accuracy"]


@pytest.mark.parametrize("name", ["asr", "leakage"])
def test_an_instance_that_does_not_count_has_no_influence_and_the_others_share_all(name: str) -> None:
    table = TABLES["0-0"].copy()
    attacked = table["label"] != 0
    hits = np.random.default_rng(0).integers(0, 2, len(table))
    table["wanted"] = np.where(attacked, 0, -1)
    table["triggered"] = table["triggered_reference"] = np.where(attacked, hits, -1)
    (each,) = influences(InstanceTable(table), [name]).by_metric.values()
    counts = attacked if name == "asr" else table["prediction_reference"] != 0
    assert (each[~counts] == 0).all()
    before = getattr(summarise(table), name)
    for row in np.flatnonzero(counts)[:3]:
        again = pd.concat([table] * 40 + [table.iloc[[row]]])
        assert (getattr(summarise(again), name) - before) * len(again) == pytest.approx(each[row], rel=0.02)


def test_a_run_that_is_there_twice_adds_nothing() -> None:
    """Two seeds of a reference are averaged, in their measurements and in what instances carry."""
    once, twice = (estimates_of(pd.concat([RUNS[RUNS["seed"] == 0]] * times), read) for times in (1, 2))
    assert once["accuracy"].over_instances
    for name in ("accuracy", "kl", "churn"):
        assert twice[name].bounds == pytest.approx(once[name].bounds), name


def test_what_instances_do_to_both_sides_alike_is_no_part_of_a_difference() -> None:
    offset = 0.01 * RUNS["reference_seed"] + 0.002 * RUNS["seed"]
    (found,) = differences_of(RUNS.assign(accuracy=RUNS["accuracy"] - offset), RUNS, ["accuracy"], read)
    assert found.estimate.value == pytest.approx(-offset.mean())
    assert not found.estimate.over_instances
    (alone,) = differences_of(
        RUNS.assign(accuracy=RUNS["accuracy"] - offset, identity="-"),
        RUNS,
        ["accuracy"],
        lambda one: replace(read("0-0"), by_metric={"accuracy": np.zeros(300)}) if one == "-" else read(one),
    )
    assert alone.estimate.over_instances


def test_a_calibration_error_has_no_p_value() -> None:
    rng = np.random.default_rng(0)
    runs = [pd.DataFrame({"reference_seed": range(12), "ece": rng.uniform(m, m + 0.1, 12)}) for m in (0, 1)]
    (found,) = differences_of(runs[0], runs[1], ["ece"])
    assert (found.p, found.estimate.bounds) == (None, None)


def test_influences_on_a_value_of_0_are_not_those_of_its_logarithm() -> None:
    """One run's KL is exactly 0, so that the mean is plain, and instances count as they are: here they decide alone."""
    found = estimates_of(RUNS.assign(kl=1e-6 * np.arange(len(RUNS))), read)["kl"]
    assert (found.averaging, found.over_instances) == ("plain", True)
    assert np.isfinite(found.bounds).all()
