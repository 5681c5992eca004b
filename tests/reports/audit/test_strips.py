"""Where the marks of the small pictures lie."""

from __future__ import annotations

import math

import pytest

from anchorlab.reports.audit.record import AccessRecord, AuditRecord, PowerRecord
from anchorlab.reports.audit.strips import curve_of, strip, strip_of


def changed(record: AuditRecord, value: float, null: list[float]) -> AccessRecord:
    access = record.accesses[-1]
    return access.model_copy(
        update={"statistic": (value, None, None), "null": null, "null_settings": ["short"] * len(null)}
    )


def test_values_of_one_size_lie_on_a_linear_axis_from_zero(record: AuditRecord) -> None:
    strip = strip_of(changed(record, 2.0, [1.0, 4.0]))
    assert strip.ticks[0].at == 0
    assert strip.ticks[0].text == "0"
    (_, places) = strip.rows[0]
    assert places == pytest.approx([strip.candidate / 2, 2 * strip.candidate], abs=0.01)


def test_values_of_many_sizes_lie_on_a_logarithmic_axis(record: AuditRecord) -> None:
    strip = strip_of(changed(record, 0.01, [1.0, 100.0]))
    (_, places) = strip.rows[0]
    assert round(places[1] - places[0], 2) == round(places[0] - strip.candidate, 2)
    assert [tick.text for tick in strip.ticks] == ["0.01", "0.1", "1", "10", "100"]


def test_everything_lies_in_the_picture(record: AuditRecord) -> None:
    for access in record.accesses:
        strip = strip_of(access)
        places = [place for _, of in strip.rows for place in of] + [strip.candidate, *(strip.interval or ())]
        assert all(0 <= place <= 100 for place in places)
        assert len(strip.rows) == 2


def test_where_nothing_moved_all_lies_at_zero(record: AuditRecord) -> None:
    strip = strip_of(changed(record, 0.0, [0.0, 0.0]))
    assert strip.candidate == 0


@pytest.mark.parametrize("bounds", [(0.5, math.inf), (-math.inf, 2.0), (math.inf, math.inf)])
def test_an_interval_without_an_end_is_not_drawn(bounds: tuple[float, float]) -> None:
    """As that of a ratio of perplexities, whose exponential overflows."""
    found = strip("ratio", 1.0, bounds, [1.0, 2.0], ["short"] * 2)
    assert found == strip("ratio", 1.0, None, [1.0, 2.0], ["short"] * 2)


def test_the_power_curve_goes_from_one_query_to_all() -> None:
    curve = curve_of(PowerRecord(queries=[1, 10, 100], power=[0.0, 0.5, 1.0]))
    assert curve.pieces == [(0, 100, 50, 50), (50, 50, 100, 0)]
    assert [tick.text for tick in curve.ticks] == ["1", "10", "100"]
