"""Types of arrays, and what they must not lose."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Truths: TypeAlias = NDArray[np.bool_]


def what_is_lost(values: Any) -> str:
    """What numpy would drop of values that become plain real numbers, in words; empty for nothing."""
    if np.ma.is_masked(values):
        return "masked numbers"
    return "complex numbers" if "complex" in str(getattr(values, "dtype", "")) else ""
