"""How far a value lies from the others, by the median and the median absolute deviation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Makes the median absolute deviation of a normal distribution its standard deviation.
_NORMAL = 1.4826


def deviations(values: ArrayLike) -> NDArray[np.float64]:
    """``(x - median) / (1.4826 MAD)``, float64 ``[N]``; where the MAD is 0, 0 at the median and infinite elsewhere."""
    x = np.asarray(values, dtype=np.float64)
    apart = x - np.median(x)
    spread = _NORMAL * np.median(np.abs(apart))
    if spread > 0:
        return np.asarray(apart / spread, dtype=np.float64)
    return np.where(apart == 0, 0.0, np.copysign(np.inf, apart))
