"""Every strength that was tried, and the axis that holds them."""

import dataclasses

import pandas as pd
import pytest

from anchorlab.reports.suite.fronts import front, lowest_shown
from anchorlab.reports.suite.summary import summarise
from tests.reports.conftest import METHODS


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
