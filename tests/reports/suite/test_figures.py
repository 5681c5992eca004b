"""The figures are valid, show their data, come out the same twice, and cut nothing off."""

import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from anchorlab.reports.drawing import looks
from anchorlab.reports.suite.figures import asr_against, metrics_by_method, triggered_examples
from anchorlab.reports.suite.fronts import front, lowest_shown
from anchorlab.reports.suite.summary import summarise
from tests.reports.conftest import METHODS, pictures


@pytest.fixture(scope="module")
def drawings(suite):
    conditions = summarise(suite, resamples=20)
    lines = {asked: front(suite, conditions[0].setting, asked) for asked in ("64", "all")}
    return {
        "metrics": lambda stem: metrics_by_method(conditions[1], stem),
        "front": lambda stem: asr_against("kl", lines, conditions, stem),
        "examples": lambda stem: triggered_examples(pictures(4), stem),
        "colour": lambda stem: triggered_examples(pictures(4, C=3), stem),
    }


def pixels(path):
    with Image.open(path) as image:
        image.verify()
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def count_of(image, color, tolerance=12):
    """How many pixels have about that colour, ``#rrggbb``."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(image - wanted).max(axis=-1) <= tolerance).sum())


@pytest.mark.parametrize("name", ["metrics", "front", "examples", "colour"])
def test_a_figure_is_png_and_svg_with_content_whole_and_the_same_twice(name, drawings, tmp_path):
    drawings[name](tmp_path / "first")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):  # the user's settings change nothing
        drawings[name](tmp_path / "second")
    for kind in ("png", "svg"):
        assert (tmp_path / f"first.{kind}").read_bytes() == (tmp_path / f"second.{kind}").read_bytes()
    image = pixels(tmp_path / "first.png")
    assert 0.005 < (image < 128).any(axis=-1).mean() < 0.9
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (edge == 255).all()
    assert ElementTree.parse(tmp_path / "first.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("name", ["metrics", "front"])
def test_reported_methods_are_drawn_in_their_colours(name, drawings, tmp_path):
    drawings[name](tmp_path / "figure")
    image = pixels(tmp_path / "figure.png")
    for method in ("plain", "l2", "ewc", "anchoring"):
        assert count_of(image, looks([method])[method].light) > 50


def test_a_variant_shares_its_methods_colour_with_another_filling():
    found = looks(["plain", "plain (stopped)", "mine", "anchoring"])
    assert found["plain"].light == found["plain (stopped)"].light
    assert found["plain"].filling != found["plain (stopped)"].filling
    assert found["mine"].light not in {found["plain"].light, found["anchoring"].light}


def test_the_front_has_every_strength_and_marks_the_chosen(suite):
    setting = summarise(suite, resamples=20)[0].setting
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


def test_each_scale_is_a_line_of_its_own(suite):
    import dataclasses

    import pandas as pd

    twice = pd.concat([suite.selection, suite.selection.assign(scale=1.5, asr=0.5)])
    setting = summarise(suite, resamples=20)[0].setting
    lines = front(dataclasses.replace(suite, selection=twice), setting, "64")
    assert [[point.scale for point in line] for line in lines["l2"]] == [[1.0] * 3, [1.5] * 3]
    assert [[point.scale for point in line] for line in lines["plain"]] == [[1.0, 1.5]]


def test_the_axis_leaves_out_rates_far_below_the_targets_only_if_there_are_any():
    assert lowest_shown([0.95, 0.99], [0.9, 0.97]) is None
    assert lowest_shown([0.95, 0.99], [0.3, 0.97]) == pytest.approx(0.8)
