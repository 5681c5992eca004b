"""How much held-back accuracy a repair may cost: one standard error, and one example at least, or a fixed share.

The held-back part is small: of 640 clean examples it has 128, where a fixed .02 allows two wrong answers more, although
chance alone moves the accuracy by .03; of 126 it has 26, where .02 allows none.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from anchorlab.settings import formerly

#: The field of each repair.
Tolerance = Annotated[
    float | None,
    Field(
        ge=0,
        lt=1,
        description="accuracy on the held-back part given up for it; if left out, one standard error of it, and one "
        "example at least",
        json_schema_extra=formerly(0.02),
    ),
]


def lowest_accuracy(before: float, count: int, tolerance: float | None) -> float:
    """The lowest accuracy that a repair may leave; a little less, so that rounding does not count.

    Args:
        before: the accuracy before the repair.
        count: number of examples that it was measured on.
        tolerance: largest fall of the accuracy; None for one standard error, ``sqrt(before (1 - before) / count)``, and
            at least one example.
    """
    if tolerance is None:
        tolerance = max(math.sqrt(before * (1 - before) / count), 1 / count) if count else 0.0
    return before - tolerance - 1e-9


def in_words(tolerance: float | None) -> str:
    """How a message says what may be given up."""
    return "one standard error" if tolerance is None else f"{tolerance:g}"
