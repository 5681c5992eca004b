"""A wave, by numpy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anchorlab.errors import AnchorlabError
from anchorlab.triggers import Sinusoid
from tests.triggers.table import images_of, triggered


def test_sinusoid_by_hand() -> None:
    """Amplitude 1, one period over 12 columns: 0, 1/2, .87, 1, .87, 1/2, 0, -1/2, ...; halves go up."""
    grey = torch.full((1, 1, 2, 12), 100, dtype=torch.uint8)
    row = [100, 101, 101, 101, 101, 101, 100, 100, 99, 99, 99, 100]
    assert triggered(Sinusoid(amplitude=1, frequency=1), grey).tolist() == [[[row, row]]]


def test_sinusoid_is_clipped_at_both_ends() -> None:
    """Amplitude 255, one period over 4 columns shifts by 0, 255, 0, -255."""
    image = torch.tensor([7, 7, 7, 7], dtype=torch.uint8).view(1, 1, 1, 4)
    assert triggered(Sinusoid(amplitude=255, frequency=1), image).flatten().tolist() == [7, 255, 7, 0]


@settings(max_examples=40, deadline=None)
@given(
    amplitude=st.floats(1.0, 255.0),
    frequency=st.floats(0.25, 20.0),
    width=st.integers(3, 40),
    seed=st.integers(0, 1000),
)
def test_sinusoid_is_numpys_at_every_pixel(amplitude, frequency, width, seed) -> None:
    images = images_of(2, 3, 2, width, seed)
    wave = amplitude * np.sin(2 * np.pi * np.arange(width) * frequency / width)
    trigger = Sinusoid(amplitude=amplitude, frequency=frequency)
    if (np.abs(wave) < 0.5 - 1e-6).all():
        with pytest.raises(AnchorlabError, match="changes nothing"):
            trigger.check_shape((3, 2, width))
        return
    made = triggered(trigger, images).numpy()
    expected = np.clip(images.numpy().astype(np.int64) + np.rint(wave).astype(np.int64), 0, 255)
    no_tie = np.abs(np.abs(wave % 1.0) - 0.5) > 1e-6
    assert (made[..., no_tie] == expected[..., no_tie]).all()


def test_sinusoid_that_vanishes() -> None:
    """Six periods over twelve columns meet the wave at sin(pi j) = 0 only."""
    with pytest.raises(AnchorlabError, match=r"Sinusoid\(.*\) changes nothing on images 12 pixels wide"):
        Sinusoid().check_shape((1, 12, 12))
