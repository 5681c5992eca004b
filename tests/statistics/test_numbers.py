"""Numbers as reports write them."""

from __future__ import annotations

import pytest

from anchorlab.statistics.numbers import significant


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.018, "0.0180"),
        (8.4249, "8.42"),
        (-8.4249, "-8.42"),
        (0.000123456, "0.000123"),
        (0.0000123456, "1.23e-5"),
        (123456, "123456"),
        (1234567, "1.23e6"),
        (9.999, "10.0"),
        (0, "0"),
    ],
)
def test_three_digits_count_and_very_large_or_small_numbers_have_a_power_of_ten(value: float, written: str) -> None:
    assert significant(value) == written
