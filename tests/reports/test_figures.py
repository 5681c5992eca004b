"""The figures are valid, of the size asked for, show their data, and come out the same twice."""

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from anchorlab.errors import AnchorlabError
from anchorlab.reports.figures import (
    asr_against_kl,
    logit_shift_histogram,
    looks,
    metrics_by_method,
    triggered_examples,
)
from tests.reports.conftest import TYPICAL, make_results


@pytest.fixture
def results():
    """Eight methods, three seeds, one number of anchors: fewer panels to draw."""
    return make_results()


def shifts():
    rng = np.random.default_rng(0)
    return {
        "plain": np.exp(rng.normal(0, 1, 300)),
        "anchoring": np.exp(rng.normal(-3, 1, 300)) * (rng.random(300) > 0.1),
    }


def examples(C=1):
    clean = torch.randint(0, 200, (4, C, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    triggered = clean.clone()
    triggered[:, :, -2:, -2:] += 50
    return clean, triggered, torch.arange(4), ["zero", "one", "a class with a long name", "three"]


DRAWINGS = {
    "metrics": (lambda path: metrics_by_method(make_results(), path), (10, 0.9 + 0.5 + 0.3 * 8)),
    "trade": (lambda path: asr_against_kl(make_results((64, 640)), path), (2.2 + 3.6 * 2, 3.8)),
    "shifts": (lambda path: logit_shift_histogram(shifts(), path), (7.5, 3.8)),
    "examples": (lambda path: triggered_examples(*examples(), path), (1.1 + 1.1 * 4, 3.8)),
}


def pixels(path):
    with Image.open(path) as image:
        image.verify()
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def count_of(image, color, tolerance=12):
    """How many pixels have about that colour, ``#rrggbb``."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(image - wanted).max(axis=-1) <= tolerance).sum())


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_is_a_png_of_its_size_with_content_and_the_same_twice(name, tmp_path):
    draw, (width, height) = DRAWINGS[name]
    draw(tmp_path / "first.png")
    draw(tmp_path / "second.png")
    image = pixels(tmp_path / "first.png")
    assert image.shape == (int(height * 150), int(width * 150), 3)
    assert 0.005 < (image < 128).any(axis=-1).mean() < 0.9
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


@pytest.mark.parametrize("name", DRAWINGS)
def test_nothing_is_cut_off_at_the_edge(name, tmp_path):
    DRAWINGS[name][0](tmp_path / "figure.png")
    image = pixels(tmp_path / "figure.png")
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (edge == 255).all()


def test_the_users_settings_change_nothing(tmp_path):
    DRAWINGS["metrics"][0](tmp_path / "plain.png")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        DRAWINGS["metrics"][0](tmp_path / "styled.png")
        assert matplotlib.rcParams["font.size"] == 20
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


@pytest.mark.parametrize("draw", [metrics_by_method, asr_against_kl])
def test_every_method_is_drawn_in_its_colour(draw, results, tmp_path):
    draw(results, tmp_path / "figure.png")
    image = pixels(tmp_path / "figure.png")
    for look in looks(list(TYPICAL)).values():
        assert count_of(image, look["color"]) > 50
    assert count_of(image, looks(["scratch"])["scratch"]["color"]) == 0


def test_an_undefined_or_zero_value_does_not_stop_a_figure(results, tmp_path):
    results.loc[results["method"] == "ewc", ["kl", "logit_distance"]] = 0.0
    results.loc[results["method"] == "l2", "asr"] = None
    results.loc[(results["method"] == "surgery") & (results["seed"] == 1), "pearson_correct"] = None
    metrics_by_method(results, tmp_path / "metrics.png")
    asr_against_kl(results, tmp_path / "trade.png")
    trade = pixels(tmp_path / "trade.png")
    for method, drawn in (("ewc", False), ("l2", False), ("surgery", True)):
        in_panels = trade[:, : int(trade.shape[1] * 0.75)]
        assert (count_of(in_panels, looks([method])[method]["color"]) > 0) == drawn


@pytest.mark.parametrize("kept", [["benign"], ["ewc"]])
def test_a_single_run_of_a_single_method_is_drawn(kept, results, tmp_path):
    once = results[results["method"].isin(kept) & (results["seed"] == 0)]
    for draw in (metrics_by_method, asr_against_kl):
        draw(once, tmp_path / "figure.png")
        assert count_of(pixels(tmp_path / "figure.png"), looks(kept)[kept[0]]["color"]) > 20


def test_everything_undefined_or_zero_still_gives_a_figure(results, tmp_path):
    results[["asr", "pearson_correct"]] = None
    results[["kl", "logit_distance"]] = 0.0
    for draw in (metrics_by_method, asr_against_kl):
        draw(results, tmp_path / "figure.png")
        assert pixels(tmp_path / "figure.png").min() < 128


@pytest.mark.parametrize("values", [np.zeros(5), np.full(5, 0.3), np.array([0.0, 1e-9, 5.0])])
def test_shifts_may_be_zero_or_all_the_same(values, tmp_path):
    logit_shift_histogram({"anchoring": values}, tmp_path / "figure.png")
    assert count_of(pixels(tmp_path / "figure.png"), looks(["anchoring"])["anchoring"]["color"]) > 20


@pytest.mark.parametrize("C", [1, 3])
def test_examples_show_the_pixels_themselves_and_the_difference_at_full_scale(C, tmp_path):
    clean, triggered, labels, classes = examples(C)
    clean[:], triggered[:] = 80, 80
    triggered[:, :, -2:, -2:] = 130
    triggered_examples(clean, triggered, labels, classes, tmp_path / "figure.png")
    image = pixels(tmp_path / "figure.png")
    top, middle, bottom = (image[int(570 * share)] for share in (0.17, 0.5, 0.83))
    assert (top == 80).all(axis=-1).mean() > 0.6
    assert (middle == 80).all(axis=-1).mean() > 0.6
    assert (bottom == 0).all(axis=-1).mean() > 0.6
    assert count_of(image, "#828282", tolerance=0) > 4 * 2 * 2 * 100


def test_a_method_keeps_its_look_whatever_else_is_drawn():
    alone = looks(["anchoring"])["anchoring"]
    assert looks(["plain", "l2", "anchoring"])["anchoring"] == alone
    assert looks(["mine"])["mine"] == looks(["plain", "mine"])["mine"]


def test_methods_are_told_apart_and_variants_share_the_colour_of_their_method():
    found = looks([*TYPICAL, "scratch", "distillation", "plain (centred)"])
    assert len({tuple(look.values()) for look in found.values()}) == len(found)
    assert found["plain"]["color"] == found["plain (stopped)"]["color"] == found["plain (centred)"]["color"]
    names = [name for name in found if "(" not in name]
    assert len({found[name]["color"] for name in names}) == len(names)


def test_a_place_that_cannot_be_written_is_explained(results, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AnchorlabError, match="cannot write"):
        metrics_by_method(results, tmp_path / "file" / "figure.png")
