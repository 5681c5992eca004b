"""Every strength that was tried, and the axis that holds them."""

import dataclasses
import math

import pandas as pd
import pytest

from anchorlab.reports.suite.fronts import front, lowest_shown, walks
from anchorlab.reports.suite.summary import summarise
from tests.reports.conftest import METHODS, make_suite


def test_the_front_has_every_strength_and_marks_the_chosen(suite):
    setting = summarise(suite)[0].setting
    lines = front(suite, setting, "64")
    assert set(lines) == set(METHODS)
    (points,) = lines["anchoring"]
    assert [point.strength for point in points] == [0.5, 2.0, 8.0]
    assert [point.chosen_for for point in points] == [(), (0.95, 0.99), ()]
    assert [point.chosen_for for (line,) in [lines["weight-ball"]] for point in line] == [(), (), ()]
    (plain,) = lines["plain"][0]
    assert (plain.strength, plain.chosen_for) == (None, (0.95, 0.99))
    at = (suite.selection["method"] == "anchoring") & (suite.selection["anchors_asked"] == "64")
    assert [point.asr for point in points] == pytest.approx(list(suite.selection[at]["asr"]))


@pytest.mark.slow
def test_each_scale_is_a_line_of_its_own(suite):
    twice = pd.concat([suite.selection, suite.selection.assign(scale=1.5, asr=0.5)])
    setting = summarise(suite)[0].setting
    lines = front(dataclasses.replace(suite, selection=twice), setting, "64")
    assert [[point.scale for point in line] for line in lines["l2"]] == [[1.0] * 3, [1.5] * 3]
    assert [[point.scale for point in line] for line in lines["plain"]] == [[1.0, 1.5]]


def test_the_axis_leaves_out_rates_far_below_the_targets_only_if_there_are_any():
    assert lowest_shown([0.95, 0.99], [0.9, 0.97]) is None
    assert lowest_shown([0.95, 0.99], [0.3, 0.97]) == pytest.approx(0.8)


@pytest.fixture(scope="module")
def walked():
    """Each run of three references at three scales, the middle one reported; the last reference's runs failed."""
    made = make_suite(sizes=("64",), targets=(0.95,), seeds=(0,), references=(0, 1, 2))
    runs = made.results[made.results["role"] == "method"]
    at = [runs.assign(scale=scale, reported=scale == 1.0, common_asr=0.99) for scale in (1.1, 0.9, 1.0)]
    scales = pd.concat(at, ignore_index=True)
    scales.loc[scales["reference_seed"] == 2, "asr"] = 0.1
    return dataclasses.replace(made, scales=scales)


def test_a_walk_is_a_line_of_scales_for_each_run_that_works(walked):
    setting = summarise(walked)[0].setting
    lines = walks(walked, setting, "64")
    assert [[point.scale for point in run] for run in lines["plain"]] == [[0.9, 1.0, 1.1]] * 2
    assert lines["plain"][0][0].metrics["kl"] == pytest.approx(float(walked.scales["kl"].iloc[0]))
    assert walks(walked, setting, "all") == {}
    assert walks(dataclasses.replace(walked, scales=pd.DataFrame()), setting, "64") == {}


def test_so_many_walks_that_none_can_be_followed_are_left_out(walked):
    setting = summarise(walked)[0].setting
    many = [walked.scales.assign(identity=walked.scales["identity"] + str(number)) for number in range(10)]
    assert walks(dataclasses.replace(walked, scales=pd.concat(many)), setting, "64") == {}


def test_a_measurement_that_no_run_has_is_undefined_along_the_walk(walked):
    """Leakage is, where every trigger attacks all classes."""
    setting = summarise(walked)[0].setting
    none = walked.scales.assign(leakage=pd.Series([None] * len(walked.scales), dtype=object))
    line = walks(dataclasses.replace(walked, scales=none), setting, "64")["plain"][0]
    assert all(math.isnan(point.metrics["leakage"]) for point in line)
