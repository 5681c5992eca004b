"""The variance over references and instances, by hand and against a simulation."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.statistics.references import mean_over_references
from anchorlab.statistics.two_way import InstanceTally


def tally(table):
    found = InstanceTally()
    for each in table:
        found.add(each)
    return found.variance()


def test_parts_are_mean_squares_of_the_two_way_table() -> None:
    """The textbook's sums of squares of a 3 x 4 table."""
    table = np.array([[1.0, 2, 4, 3], [2, 2, 6, 5], [0, 3, 4, 4]])
    R, N = table.shape
    rows, columns, whole = table.mean(axis=1), table.mean(axis=0), table.mean()
    of_columns = R * ((columns - whole) ** 2).sum() / (N - 1)
    of_cells = ((table - rows[:, None] - columns + whole) ** 2).sum() / ((R - 1) * (N - 1))
    found = tally(table)
    assert (found.columns, found.cells) == pytest.approx((of_columns / (R * N), of_cells / (R * N)))
    between = rows.var(ddof=1) / R
    own = found.columns - found.cells
    assert found.share(between) == pytest.approx(own / (between + own))
    variance, freedom = found.variance(between, R)
    assert variance == pytest.approx(between + own)
    parts = between**2 / (R - 1) + found.columns**2 / (N - 1) + found.cells**2 / ((R - 1) * (N - 1))
    assert freedom == pytest.approx(variance**2 / parts)


def test_with_one_reference_or_one_instance_there_is_none() -> None:
    assert tally(np.ones((1, 5))) is None
    assert tally(np.ones((5, 1))) is None


def simulated(rng, references, instances, sd_reference, sd_instance, sd_cell):
    rows, columns = rng.normal(0, sd_reference, (references, 1)), rng.normal(0, sd_instance, (1, instances))
    return rows + columns + rng.normal(0, sd_cell, (references, instances))


def test_the_variance_is_unbiased_in_a_simulation() -> None:
    rng, sds = np.random.default_rng(0), (0.1, 1.0, 2.0)
    tables = [simulated(rng, 6, 150, *sds) for _ in range(600)]
    estimated = [tally(table).variance(table.mean(axis=1).var(ddof=1) / 6, 6)[0] for table in tables]
    true = 0.1**2 / 6 + 1.0**2 / 150 + 2.0**2 / 900
    assert np.mean(estimated) == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize(("sd_reference", "counted"), [(0.05, True), (1.0, False)])
def test_the_interval_covers_the_mean_of_other_references_and_instances(sd_reference, counted) -> None:
    rng, held, used = np.random.default_rng(1), 0, 0
    for _ in range(600):
        table = simulated(rng, 6, 150, sd_reference, 1.0, 1.0)
        found = mean_over_references(table.mean(axis=1), range(6), instances=tally(table))
        held += found.lower <= 0 <= found.upper
        used += found.over_instances
    assert 0.92 < held / 600 < 0.98
    assert (used > 500) is counted
