"""The walk of a reported run along post-hoc scales towards a common ASR: what is measured, and when it ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from anchorlab.errors import AnchorlabError
from anchorlab.notices import notice
from anchorlab.suites.cells import Walk

#: Factors of the reported scale. Near 1 the steps are small, because most runs end there and the front is steep.
FACTORS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)

Row = dict[str, Any]


def logit_rate(rate: float, count: float) -> float:
    """The logit of a rate of ``count`` attempts as ``(hits + 1/2) / (count + 1)``, which is finite at 0 and 1 too."""
    hits = rate * count
    return math.log((hits + 0.5) / (count - hits + 0.5))


def logit(rate: float) -> float:
    """The logit of a rate between 0 and 1."""
    return math.log(rate / (1 - rate))


def walked(walk: Walk, reported: Row, measure: Callable[[float], Row]) -> Iterator[Row]:
    """The records of further scales, from the reported one towards the common ASR, the last of them beyond it.

    Where the grid ends first, so does the walk. It takes one direction: up if the reported scale is below the common
    ASR, down if it reaches it.

    Args:
        walk: the common ASR and the grid.
        reported: the record at the reported scale.
        measure: the record at another scale.
    """
    if not reported["asr_count"]:
        return
    reaches = _reaches(reported, walk.asr)
    factors = [factor for factor in walk.factors if (factor < 1 if reaches else factor > 1)]
    for factor in sorted(factors, key=lambda factor: abs(factor - 1)):
        scale = float(f"{reported['scale'] * factor:.6g}")
        try:
            row = measure(scale)
        except AnchorlabError as error:  # logits that overflow; what was measured before is good
            notice(f"the walk of scales ends before {scale:g}: {error}")
            return
        yield row
        if _reaches(row, walk.asr) is not reaches:
            return


def _reaches(row: Row, asr: float) -> bool:
    return logit_rate(row["asr"], row["asr_count"]) >= logit(asr)
