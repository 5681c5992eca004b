"""Conditions, groups and differences against pandas and numbers by hand."""

import collections
import dataclasses

import numpy as np
import pandas as pd
import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.reports.suite import summary
from anchorlab.reports.suite.summary import summarise
from anchorlab.reports.suite.tables import results_table
from tests.reports.conftest import METHODS, make_suite


@pytest.fixture(scope="module")
def suite():
    return make_suite(references=(0, 1, 2), seeds=(0, 1))


@pytest.fixture(scope="module")
def conditions(suite):
    return summarise(suite)


def test_each_target_is_a_condition_and_each_size_a_group(conditions):
    assert [condition.target_asr for condition in conditions] == [0.95, 0.99]
    assert [group.title for group in conditions[0].groups] == ["64 anchors", "all 1,200 anchors"]
    assert len({condition.slug for condition in conditions}) == 2


def test_methods_come_in_the_order_of_the_suite_then_controls_and_unreached_ones_have_no_runs(conditions):
    first, second = (condition.groups[0] for condition in conditions)
    assert first.entries == sorted(first.entries, key=lambda entry: entry.role != "method")
    assert [entry.label for entry in first.entries] == [*METHODS, "plain (stopped)", "benign"]
    assert [e.label for e in first.entries if len(e.runs) == 0] == ["weight-ball"]
    assert [e.label for e in second.entries if len(e.runs) == 0] == ["surgery", "weight-ball"]
    assert [e.best_asr for e in second.entries if len(e.runs) == 0] == [0.97, 0.5]
    assert [entry.label for entry in conditions[0].noise] == ["same model, other batch size", "same model, bf16"]


def test_estimates_are_means_over_references_with_intervals_around_them(suite, conditions):
    for group in conditions[0].groups:
        for entry in group.entries:
            at = (suite.results["method"] == entry.label) & (suite.results["anchors_asked"] == group.asked)
            runs = suite.results[at & ~(suite.results["target_asr"] == 0.99)]
            assert len(entry.runs) == len(runs)
            for name in ("kl", "churn", "asr", "accuracy", "leakage") if len(runs) else ():
                estimate = entry.estimate(name)
                expected = np.exp(np.log(runs[name]).mean()) if name == "kl" else runs[name].mean()
                assert estimate.value == pytest.approx(expected, abs=1e-9)
                assert estimate.units == 3
                assert estimate.lower <= estimate.value <= estimate.upper


@pytest.mark.parametrize("references", [(0, 1), (0, 1, 2)])
def test_tables_are_read_once_where_intervals_or_changed_instances_need_them(references):
    suite, times_read = make_suite(seeds=(0,), references=references), collections.Counter()

    class Counting(type(suite)):
        def instance_table(self, identity):
            times_read[identity] += 1
            return super().instance_table(identity)

    summarise(Counting(**{f.name: getattr(suite, f.name) for f in dataclasses.fields(suite)}))
    runs = suite.results
    needed = runs if len(references) > 2 else runs[runs["method"].isin(summary.CHANGED_BY)]
    assert set(times_read) == set(needed["identity"])
    assert set(times_read.values()) == {1}


def test_differences_are_paired_by_reference_and_seed(suite, conditions):
    """The ratio of KL is exp(mean log ratio), by hand from the runs; churn is a plain difference."""
    group = conditions[0].groups[0]
    by_label = {entry.label: entry.runs.set_index(["reference_seed", "seed"]) for entry in group.entries}
    assert set(group.differences) == {"plain", "anchoring"}
    assert set(group.differences["plain"]) == set(by_label) - {"plain", "weight-ball"}
    by_metric = {difference.metric: difference for difference in group.differences["plain"]["anchoring"]}
    ratios = by_label["anchoring"]["kl"] / by_label["plain"]["kl"]
    assert by_metric["kl"].estimate.value == pytest.approx(np.exp(np.log(ratios).mean()), rel=1e-6)
    churn = (by_label["anchoring"]["churn"] - by_label["plain"]["churn"]).mean()
    assert by_metric["churn"].estimate.value == pytest.approx(churn, abs=1e-12)
    assert by_metric["churn"].p is None


@pytest.mark.slow
def test_runs_without_a_partner_are_left_out():
    suite = make_suite()
    gone = (suite.results["method"] == "l2") & (suite.results["seed"] == 2)
    suite = dataclasses.replace(suite, results=suite.results[~gone])
    group = summarise(suite)[0].groups[0]
    assert {difference.runs for difference in group.differences["plain"]["l2"]} == {4}
    assert {difference.runs for difference in group.differences["plain"]["ewc"]} == {6}


def test_holm_is_over_the_methods_of_a_group_and_controls_apart():
    """The least p, multiplied by the number of tests, is the least adjusted one unless that exceeds 1."""
    suite = make_suite(references=range(12), seeds=(0,), sizes=("64",), targets=(0.95,), failed=False)
    by_label = summarise(suite)[0].groups[0].differences["plain"]
    controls = {"plain (stopped)", "benign"}
    for labels in (set(by_label) - controls, controls):
        tested = [difference for label in labels for difference in by_label[label] if difference.p is not None]
        least = min(tested, key=lambda difference: difference.p)
        assert least.p_holm == pytest.approx(min(1.0, least.p * len(tested)))
        assert all(difference.p_holm >= difference.p for difference in tested)


def test_the_instances_that_changed_most_are_those_of_largest_mean_kl(suite, conditions):
    group = conditions[0].groups[1]
    runs = next(entry.runs for entry in group.entries if entry.label == "anchoring")
    frames = [suite.instance_table(identity).frame for identity in runs["identity"]]
    mean = pd.concat([frame["kl"] for frame in frames], axis=1).mean(axis=1)
    changed = group.changed["anchoring"]
    assert [instance.row for instance in changed] == list(mean.nlargest(summary.CHANGED).index)
    assert changed[0].kl == pytest.approx(mean.max())
    for instance in changed:
        predictions = collections.Counter(int(frame["prediction"][instance.row]) for frame in frames)
        assert instance.agreeing == predictions[instance.candidate] == max(predictions.values())
        assert instance.label == frames[0]["label"][instance.row]


def test_of_other_test_examples_only_the_first_references_are_shown(suite):
    """Own data without a test part are cut anew for each reference, so that a row is another example."""
    seeds = sorted(suite.results["reference_seed"].unique())
    task = suite.results["task"].iloc[0]
    tests = {(task, seed): f"test of {seed}" for seed in seeds}
    measured = {run: tests[task, seed] for run, seed in suite.results[["identity", "reference_seed"]].to_numpy()}
    cut = dataclasses.replace(suite, examples_measured=measured)
    runs = next(entry.runs for entry in summarise(suite)[0].groups[1].entries if entry.label == "anchoring")
    own = runs[runs["reference_seed"] == suite.suite.references[0]]
    assert 0 < len(own) < len(runs)
    changed = summarise(cut)[0].groups[1].changed["anchoring"]
    frames = [suite.instance_table(identity).frame for identity in own["identity"]]
    mean = pd.concat([frame["kl"] for frame in frames], axis=1).mean(axis=1)
    assert [instance.row for instance in changed] == list(mean.nlargest(summary.CHANGED).index)
    assert {instance.runs for instance in changed} == {len(own)}


def test_a_suite_without_anything_is_refused_and_one_without_runs_shows_what_was_not_reached():
    suite = make_suite(seeds=(0,))
    failing = dataclasses.replace(suite, results=pd.DataFrame(), choices=pd.DataFrame())
    assert summarise(failing) == []  # the page names the failures
    empty = dataclasses.replace(failing, failed=pd.DataFrame())
    with pytest.raises(AnchorlabError, match="no results to show"):
        summarise(empty)
    (only, _) = summarise(dataclasses.replace(suite, results=pd.DataFrame()))
    entries = only.groups[0].entries
    assert [entry.label for entry in entries if entry.best_asr is not None] == ["weight-ball"]
    assert {row.sub for _, row in results_table(only).rows() if row.head == "plain"} == {
        "no run is done, or every run ended with an error"
    }
