"""Grids of strengths. Nothing here imports torch."""

from __future__ import annotations

import itertools
import math


def is_geometric(grid: list[float]) -> bool:
    """Whether a grid of two values or more rises, each value about the same multiple of the one before."""
    ratio = grid[1] / grid[0] if grid[0] > 0 else 0.0
    return ratio > 1 and all(math.isclose(b / a, ratio, rel_tol=0.2) for a, b in itertools.pairwise(grid))
