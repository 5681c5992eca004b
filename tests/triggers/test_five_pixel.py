"""Five pixels: an X."""

from __future__ import annotations

import torch

from anchorlab.triggers import FivePixel
from tests.triggers.table import triggered


def test_five_pixels_by_hand() -> None:
    black = torch.zeros(1, 1, 4, 5, dtype=torch.uint8)
    assert triggered(FivePixel(value=9), black).tolist() == [
        [[[0, 9, 0, 9, 0], [0, 0, 9, 0, 0], [0, 9, 0, 9, 0], [0, 0, 0, 0, 0]]]
    ]
    assert FivePixel().rgba()[3].sum() == 5 * 255
