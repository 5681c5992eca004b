"""A metric: a distance of two models' answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.metrics import Metric, Pair


def hellinger(pair: Pair, labels: NDArray[Any]) -> NDArray[np.float64]:
    """Hellinger distance of both models' probabilities ``[N, C]``, for each of the N instances."""
    del labels
    roots = np.sqrt(pair.p.probability) - np.sqrt(pair.q.probability)
    return np.asarray(np.sqrt((roots**2).sum(axis=1) / 2), dtype=np.float64)


HELLINGER = Metric(
    "hellinger",
    title="Hellinger",
    definition="Mean Hellinger distance of the probabilities.",
    each=hellinger,
    formula="`sqrt(sum_c (sqrt(p_c) - sqrt(p*_c))² / 2)`",
    limits="0 to 1",
)
