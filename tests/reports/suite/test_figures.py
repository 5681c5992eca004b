"""The figures are valid, show their data, come out the same twice, and cut nothing off."""

import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from anchorlab.reports.drawing import looks
from anchorlab.reports.suite.figures import metrics_by_method, triggered_examples
from anchorlab.reports.suite.front_figures import asr_against
from anchorlab.reports.suite.fronts import front
from anchorlab.reports.suite.summary import summarise
from tests.reports.conftest import pictures


@pytest.fixture(scope="module")
def drawings(suite):
    conditions = summarise(suite)
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metrics", "front"])
def test_reported_methods_are_drawn_in_their_colours(name, drawings, tmp_path):
    drawings[name](tmp_path / "figure")
    image = pixels(tmp_path / "figure.png")
    for method in ("plain", "l2", "ewc", "anchoring"):
        assert count_of(image, looks([method])[method].light) > 50
