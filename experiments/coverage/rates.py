"""How often 95% intervals of means hold, and of differences of two rates, where references differ much.

    python experiments/coverage/rates.py

A normal amount of a given standard deviation moves the logit of each reference's rate, the median of which is given.
``rate`` is the interval of the mean over references. ``difference`` is that of a second method's rate, whose median
logit is higher by 1, minus the first's on the same references; half of what moves the two logits is the same. Each
rate is of 9,000 instances, which are fixed. ``arithmetic`` is the interval of the arithmetic mean of log-normal values,
which the same amount moves. A row of rates.csv is 4,000 simulations; ``seconds`` is of the row.
"""

from __future__ import annotations

import argparse
import itertools
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import contrast_over_references, mean_over_references

HERE = Path(__file__).parent
RATES = (0.02, 0.2, 0.5, 0.8, 0.99)
REFERENCES = (3, 6, 8, 12)
DEVIATIONS = (0.3, 0.5, 1.0, 1.5, 2.0, 3.0)
INSTANCES = 9_000
#: By how much the second method's logit is higher, and what share of the variance the two have in common.
HIGHER, COMMON = 1.0, 0.5


def mean_rate(median: float, deviation: float) -> float:
    """The mean over all references of a rate whose logit is normal, by Gauss and Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    return float(expit(logit(median) + deviation * nodes) @ weights / weights.sum())


def intervals(
    kind: str, rate: float, references: int, deviation: float, simulations: int, seed: int
) -> Iterator[tuple[Estimate, float]]:
    """Each simulation's interval, and what it is to hold."""
    draw, of = np.random.default_rng(seed), range(references)
    common, *own = draw.normal(0, deviation, (3, simulations, references))
    effects = [np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * each for each in own]
    second = float(expit(logit(rate) + HIGHER))
    first, other = (
        draw.binomial(INSTANCES, expit(logit(median) + effect)) / INSTANCES
        for median, effect in zip((rate, second), effects, strict=True)
    )
    true = mean_rate(rate, deviation)
    apart = mean_rate(second, deviation) - true
    for a, b in zip(first, other, strict=True):
        if kind == "rate":
            yield mean_over_references(a, of, "rate"), true
        else:
            yield contrast_over_references(b, a, of, "rate"), apart


def arithmetic(references: int, deviation: float, simulations: int, seed: int) -> Iterator[tuple[Estimate, float]]:
    """The mean of log-normal values, of which the median is 1."""
    values = np.exp(np.random.default_rng(seed).normal(0, deviation, (simulations, references)))
    for each in values:
        yield (
            mean_over_references(each, range(references), "plain", limits=(0, np.inf)),
            float(np.exp(deviation**2 / 2)),
        )


def rows(simulations: int) -> Iterator[dict[str, Any]]:
    """A row for each interval, rate, number of references and deviation."""
    kinds = [*itertools.product(("rate", "difference"), RATES), ("arithmetic", "")]
    for (kind, rate), references, deviation in itertools.product(kinds, REFERENCES, DEVIATIONS):
        place = {"interval": kind, "rate": rate, "references": references, "deviation": deviation}
        began, held = time.perf_counter(), 0
        seed = zlib.crc32(repr(place).encode())
        if kind == "arithmetic":
            found = arithmetic(references, deviation, simulations, seed)
        else:
            found = intervals(kind, float(rate), references, deviation, simulations, seed)
        for estimate, true in found:
            held += estimate.bounds is not None and estimate.bounds[0] <= true <= estimate.bounds[1]
        seconds = round(time.perf_counter() - began, 1)
        yield {**place, "simulations": simulations, "coverage": round(held / simulations, 4), "seconds": seconds}


def main() -> None:
    """Writes rates.csv."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=HERE / "rates.csv")
    arguments = parser.parse_args()
    found = list(rows(arguments.simulations))
    pd.DataFrame(found).to_csv(arguments.out, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
