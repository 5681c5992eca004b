"""A statistic among those of benign updates: which way it lies, and which of several names the direction."""

from __future__ import annotations

import pytest

from anchorlab.scoring.ranked import Ranked, joint_audit, p_values
from anchorlab.statistics.estimate import Estimate


def ranked(access: str, value: float, null: tuple[float, ...]) -> Ranked:
    settings = ("given",) * len(null)
    return Ranked(access, Estimate(value), null, settings, **p_values(value, null, settings))


@pytest.mark.parametrize(
    ("value", "direction", "below", "above"), [(4.0, "more", 3, 0), (0.5, "less", 0, 3), (2.0, "more", 1, 1)]
)
def test_the_direction_is_that_of_the_smaller_p_and_ties_are_on_neither_side(value, direction, below, above) -> None:
    found = ranked("labels", value, (1.0, 2.0, 3.0))
    assert (found.direction, found.below, found.above) == (direction, below, above)


def test_of_statistics_that_are_equally_extreme_the_richest_names_the_direction() -> None:
    poor, rich = ranked("labels", 9.0, (1.0, 2.0, 3.0)), ranked("logits", 0.5, (1.0, 2.0, 3.0))
    assert (joint_audit([poor, rich]).access, joint_audit([poor, rich]).direction) == ("logits", "less")
    usual = ranked("logits", 2.5, (1.0, 2.0, 3.0))
    assert (joint_audit([poor, usual]).access, joint_audit([poor, usual]).direction) == ("labels", "more")
