"""Deviations by the median absolute deviation are those of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from anchorlab.statistics.deviations import deviations


@pytest.mark.parametrize("values", [[1.0, 2, 3, 4, 100], [5.0, 5, 5, 6], [0.1, -0.3, 7.0]])
def test_deviations_are_those_of_scipy(values):
    spread = median_abs_deviation(values, scale=1 / 1.4826)
    found = deviations(values)
    if spread > 0:
        np.testing.assert_allclose(found, (np.array(values) - np.median(values)) / spread)
    else:
        assert found.tolist() == [0, 0, 0, np.inf]
