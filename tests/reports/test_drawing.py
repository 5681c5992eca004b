"""Methods and their variants have the same look everywhere."""

import warnings
from xml.etree import ElementTree

import pytest

from anchorlab.reports.drawing import looks, numbered_ids, shorten, written_figure
from tests.hostile import HOSTILE


def test_a_variant_shares_its_methods_colour_with_another_filling():
    by_method = looks(["plain", "plain (stopped)", "mine", "anchoring"])
    assert by_method["plain"].light == by_method["plain (stopped)"].light
    assert by_method["plain"].filling != by_method["plain (stopped)"].filling
    assert by_method["mine"].light not in {by_method["plain"].light, by_method["anchoring"].light}


@pytest.mark.parametrize(
    ("text", "drawn"),
    [("plain", "plain"), ("a much longer name", "a much …"), ("$x$", r"\$x\$"), ("_x", " _x"), ("a\nb", r"a\nb")],
)
def test_a_label_is_one_short_line_and_no_formula(text, drawn):
    assert shorten(text, 8) == drawn


def test_any_labels_can_be_drawn_and_make_a_picture_without_scripts(tmp_path):
    assert len(looks(HOSTILE)) == len(HOSTILE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with written_figure(tmp_path / "figure", 6, 20) as figure:
            axis = figure.subplots()
            for number, text in enumerate(HOSTILE):
                axis.plot([0, 1], [number, number], label=shorten(text, 40))
            axis.set_yticks(range(len(HOSTILE)), [shorten(text, 40) for text in HOSTILE])
            axis.set_title(shorten(HOSTILE[11], 40))
            legend = figure.legend()
    assert len(legend.get_texts()) == len(HOSTILE)
    elements = list(ElementTree.parse(tmp_path / "figure.svg").iter())
    assert not [element for element in elements if element.tag.endswith("}script")]
    assert not [name for element in elements for name in element.keys() if name.startswith("on")]  # noqa: SIM118


def test_ids_of_an_svg_file_are_numbered_and_words_stay():
    svg = b'<g><clipPath id="pfb91039d58"/><path clip-path="url(#pfb91039d58)"/><use href="#m0123456789"/>'
    svg += b'<def id="m0123456789"/><text fill="#e4e4e4">id="pfb91039d58"</text></g>'
    wanted = svg.replace(b"pfb91039d58", b"p1", 2).replace(b"m0123456789", b"m2")
    assert numbered_ids(svg) == wanted
    assert numbered_ids(svg.replace(b"pfb91039d58", b"pe6d2f88443", 2)) == wanted
