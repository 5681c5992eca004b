"""Runs paired by reference and seed, with Student's interval over references.

Runs on one reference are not independent, so the unit is the reference. One or two references give no interval: then
the least and the greatest value of any run stand in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.statistics.counted import several
from anchorlab.statistics.numbers import significant

#: Fewer pairs than this distinguish nothing where there is no interval.
ENOUGH_RUNS = 3


@dataclass(frozen=True)
class Paired:
    """A measurement of one method's runs against the same runs of another.

    Attributes:
        value: mean over references of ``a - b``; if ``is_ratio``, the geometric mean of ``a / b``.
        bounds: 95% interval by Student's t over references; None with fewer than three.
        least: the least value of any pair.
        most: the greatest.
        runs: number of pairs.
        references: number of references.
        is_ratio: whether it is a ratio.
    """

    value: float
    bounds: tuple[float, float] | None
    least: float
    most: float
    runs: int
    references: int
    is_ratio: bool

    @property
    def side(self) -> int:
        """-1 if a is lower, 1 if it is higher, 0 where the two are not distinguishable.

        The interval decides; without one, all of three pairs or more have to agree.
        """
        if self.bounds is None and self.runs < ENOUGH_RUNS:
            return 0
        low, high = self.bounds or (self.least, self.most)
        middle = 1.0 if self.is_ratio else 0.0
        return -1 if high < middle else int(low > middle)

    def turned(self) -> Paired:
        """The difference with its sign turned: ``b - a``."""
        bounds = None if self.bounds is None else (-self.bounds[1], -self.bounds[0])
        return replace(self, value=-self.value, bounds=bounds, least=-self.most, most=-self.least)

    @property
    def counts(self) -> str:
        """The number of pairs and references in words."""
        return f"{several(self.runs, 'run')} on {several(self.references, 'reference')}"


def write_ratio(value: float) -> str:
    """A ratio with two digits; with more where these would say 1 of a ratio that is not: ``0.998``."""
    texts = [significant(value, digits) for digits in (2, 3, 4)]
    return next((text for text in texts if float(text) != 1.0), texts[0])


def capitalised(sentence: str) -> str:
    """The sentence with a capital at its beginning."""
    return sentence[:1].upper() + sentence[1:]


def pair(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str) -> Paired | None:
    """A measurement of runs against their partners, which have the same reference and seed.

    Args:
        ours: a row for each run, with ``reference_seed``, ``seed`` and the measurement.
        theirs: the other method's runs.
        metric: name of the measurement; it is compared as its record says, by difference or by ratio.

    Returns:
        None if there is no pair, or the measurement is undefined in one, or a ratio of one.
    """
    keys = ["reference_seed", "seed"]
    if metric not in ours or metric not in theirs:
        return None
    pairs = ours[[*keys, metric]].merge(theirs[[*keys, metric]], on=keys, suffixes=("", "_other"))
    a, b = (pairs[name].astype(float).to_numpy() for name in (metric, f"{metric}_other"))
    is_ratio = METRICS[metric].compared_as == "ratio"
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.log(a) - np.log(b) if is_ratio else a - b
    if not len(each) or not np.isfinite(each).all():
        return None
    found = METRICS[metric].contrast(a, b, pairs["reference_seed"])
    assert found.value is not None
    ends = np.array([each.min(), each.max()])
    least, most = (np.exp(ends) if is_ratio else ends).tolist()
    return Paired(found.value, found.bounds, least, most, len(each), found.units or 0, is_ratio)
