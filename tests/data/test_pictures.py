"""Pictures survive as PNG files."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.data.pictures import from_png, to_png

SIDES = st.integers(1, 9)


@given(st.sampled_from([1, 3]), SIDES, SIDES, st.integers(0, 1000))
def test_grey_and_colour_come_back_unchanged(channels, height, width, seed):
    shape = (channels, height, width)
    picture = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    assert torch.equal(from_png(to_png(picture)), picture)


def test_other_channels_are_averaged_to_grey():
    picture = torch.tensor([[[10]], [[20]]], dtype=torch.uint8)
    assert from_png(to_png(picture)).tolist() == [[[15]]]
