"""Patches: they paint their own pixels and no other, and fit within the image."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anchorlab.errors import AnchorlabError
from anchorlab.triggers import FivePixel, Picture, Square
from tests.triggers.table import OPAQUE, half_up, images_of, png, random_rgba, triggered


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("trigger", "pixels"),
    [
        (FivePixel(), {(4, 5), (4, 7), (5, 6), (6, 5), (6, 7)}),
        (FivePixel(margin=0, value=200), {(5, 6), (5, 8), (6, 7), (7, 6), (7, 8)}),
        (Square(size=2, margin=0), {(6, 7), (6, 8), (7, 7), (7, 8)}),
        (Square(size=1, margin=3, value=0), {(4, 5)}),
    ],
    ids=repr,
)
def test_a_pattern_paints_its_own_pixels_and_no_other(trigger, pixels, channels) -> None:
    """On images of 8 rows and 9 columns, pixels as (row, column)."""
    images = images_of(4, channels, 8, 9)
    expected = images.clone()
    for row, column in pixels:
        expected[:, :, row, column] = trigger.value
    assert torch.equal(triggered(trigger, images), expected)


@pytest.mark.parametrize(
    "trigger",
    [FivePixel(), Square(), Picture(data=png(OPAQUE)), Picture(data=png(OPAQUE), margin=0)],
    ids=repr,
)
def test_an_opaque_patch_applied_twice_is_the_patch_applied_once(trigger) -> None:
    once = triggered(trigger, images_of(3, 3, 8, 8))
    assert torch.equal(triggered(trigger, once), once)


def composited(image: list[list[int]], colours: list[list[int]], alphas: list[list[int]], margin: int) -> list:
    """One channel of an image under a picture, by fractions, in the lower right."""
    result = [list(row) for row in image]
    top, left = len(image) - margin - len(alphas), len(image[0]) - margin - len(alphas[0])
    for i, row in enumerate(alphas):
        for j, alpha in enumerate(row):
            under, opacity = result[top + i][left + j], Fraction(alpha, 255)
            result[top + i][left + j] = half_up((1 - opacity) * under + opacity * colours[i][j])
    return result


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    margin=st.integers(0, 2),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_picture_is_composited_by_fractions_at_every_pixel(height, width, margin, channels, seed) -> None:
    rgba = random_rgba(height, width, seed)
    images = images_of(2, channels, 6, 7, seed)
    red, green, blue, alpha = (rgba[..., channel].tolist() for channel in range(4))
    grey = [
        [half_up(Fraction(299 * r + 587 * g + 114 * b, 1000)) for r, g, b in zip(*rows, strict=True)]
        for rows in zip(red, green, blue, strict=True)
    ]
    planes = [grey] if channels == 1 else [red, green, blue]
    expected = [
        [composited(plane, colours, alpha, margin) for plane, colours in zip(image, planes, strict=True)]
        for image in images.tolist()
    ]
    assert triggered(Picture(data=png(rgba), margin=margin), images).tolist() == expected


@pytest.mark.parametrize(
    ("trigger", "needed"),
    [
        (FivePixel(), "4×4"),
        (Square(size=4, margin=0), "4×4"),
        (Square(size=1, margin=9), "10×10"),
        (Picture(data=png(random_rgba(2, 5)), margin=1), "3×6"),
    ],
    ids=repr,
)
def test_larger_than_the_image(trigger, needed) -> None:
    sentence = f"needs {needed} pixels, its margin included, but the images have 3×5: choose a smaller"
    with pytest.raises(AnchorlabError, match=sentence):
        trigger.check_shape((3, 3, 5))
    with pytest.raises(AnchorlabError, match=sentence):
        triggered(trigger, images_of(2, 3, 3, 5))


def test_as_large_as_the_image_fits_if_something_of_it_is_left() -> None:
    trigger = FivePixel(margin=0)
    trigger.check_shape((1, 3, 3))
    images = images_of(2, 1, 3, 3)
    assert not torch.equal(triggered(trigger, images), images)


def test_nothing_of_the_image_left_is_refused() -> None:
    with pytest.raises(AnchorlabError, match=r"covers the images of 3×3 pixels .*: choose a smaller one$"):
        Square(size=3, margin=0).check_shape((1, 3, 3))
    Square(size=3, margin=0).check_shape((1, 3, 4))


def test_channels_that_are_neither_grey_nor_rgb() -> None:
    with pytest.raises(AnchorlabError, match="needs images of 1 or 3 channels, but they have 4"):
        FivePixel().check_shape((4, 8, 8))
