"""A square."""

from __future__ import annotations

import torch

from anchorlab.triggers import Square
from tests.triggers.table import triggered


def test_a_square_by_hand() -> None:
    black = torch.zeros(1, 1, 3, 4, dtype=torch.uint8)
    made = triggered(Square(size=2, margin=0, value=7), black)
    assert made.tolist() == [[[[0, 0, 0, 0], [0, 0, 7, 7], [0, 0, 7, 7]]]]
    assert Square(size=2).rgba().shape == (4, 2, 2)
