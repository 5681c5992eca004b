"""How far values lie apart: the mean absolute difference."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations


def mean_absolute_difference(values: Iterable[float]) -> float | None:
    """The mean of ``abs(a - b)`` over all pairs of values; None for fewer than two.

    It is what two of them, drawn without putting back, differ by on average (Gini's mean difference).

    >>> mean_absolute_difference([0.0, 0.5, 1.0])
    0.6666666666666666
    """
    differences = [abs(first - second) for first, second in combinations(values, 2)]
    return sum(differences) / len(differences) if differences else None
