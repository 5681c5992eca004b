"""How often the package's 95% intervals hold what they say they hold: simulated runs, anchorlab's own estimators.

    python experiments/coverage/run.py

A reference moves the logarithm of a run's value by a normal amount, and each injection seed on it by another: together
by a given standard deviation, of whose square references have a given share. The value is a mean over test
instances, each with a part of its own in all runs (standard deviation twice the mean, of a ratio once) and a part in
each single run (twice the mean), as divergences have. Instances are redrawn in each simulation, or fixed: one test set.
The interval is to hold the value over all references, on the test set if that is fixed, and else over all instances.

A row of coverage.csv is 4,000 simulations of one interval:

- ``geometric``: of a geometric mean, as KL has; ``ratio``: of two methods on the same references;
- ``plain``: of an arithmetic mean of the same log-normal values, as NLL has;
- ``churn``, ``asr``: of rates near .02 and .99, whose logit the references move;
- ``auroc``: of models by reference, a clean one and one a seed injected; the reference's share is of the score.

``intervals`` is the share of simulations that had an interval: two references have none. Sums over instances are drawn
as such (normal, and chi-square), so that 10,000 instances cost no more than 872. ``seconds`` is of the row.
"""

from __future__ import annotations

import argparse
import itertools
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from anchorlab.statistics.clustered_roc import ScoredModels, auroc_over_references
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import contrast_over_references, mean_over_references
from anchorlab.statistics.two_way import InstanceVariance

HERE = Path(__file__).parent
DESIGNS = ((2, 6), (3, 1), (6, 1), (12, 1))
SHARES = (0.3, 0.5, 0.8)
DEVIATIONS = (0.1, 0.3, 0.5, 1.0)
INSTANCES = ((872, "redrawn"), (872, "fixed"), (10_000, "redrawn"), (10_000, "fixed"))

#: Relative standard deviations: of an instance in all runs, of a mean and of a ratio, and of its part in one run.
SHARED, SHARED_RATIO, OWN = 2.0, 1.0, 2.0

Draw = np.random.Generator
Intervals = Iterator[tuple[Estimate, float]]


class Cell:
    """Runs of one kind: references and seeds, how far references differ, and instances."""

    def __init__(self, design: tuple[int, int], deviation: float, share: float, instances: tuple[int, str]) -> None:
        self.references, self.seeds = design
        self.deviation, self.share = deviation, share
        self.instances, self.mode = instances
        self.of = np.repeat(np.arange(self.references), self.seeds)

    def effects(self, draw: Draw, simulations: int) -> np.ndarray:
        """What reference and seed do to each run, ``[S, R K]``."""
        between, within = (self.deviation * np.sqrt(share) for share in (self.share, 1 - self.share))
        of_references = draw.normal(0, between, (simulations, self.references))[:, self.of]
        return np.asarray(of_references + draw.normal(0, within, of_references.shape))

    def logarithms(self, draw: Draw, simulations: int, shared: float) -> tuple[np.ndarray, list[InstanceVariance]]:
        """The logarithm of each run's value ``[S, R K]``, and what instances carry of its mean's variance."""
        R, K, N = self.references, self.seeds, self.instances
        effects = self.effects(draw, simulations)
        common = draw.normal(0, shared / np.sqrt(N), (simulations, 1)) if self.mode == "redrawn" else 0.0
        own = draw.normal(0, OWN / np.sqrt(N), (simulations, R * K))
        of_cells = OWN**2 / (K * R * N)
        columns = (shared**2 / N + of_cells) * draw.chisquare(N - 1, simulations) / (N - 1)
        cells = of_cells * draw.chisquare((R - 1) * (N - 1), simulations) / ((R - 1) * (N - 1))
        return effects + common + own, [InstanceVariance(N, *both) for both in zip(columns, cells, strict=True)]


def geometric(cell: Cell, draw: Draw, simulations: int) -> Intervals:
    """The geometric mean is 1."""
    logs, instances = cell.logarithms(draw, simulations, SHARED)
    for each, variance in zip(np.exp(logs), instances, strict=True):
        yield mean_over_references(each, cell.of, "geometric", instances=variance), 1.0


def ratio(cell: Cell, draw: Draw, simulations: int) -> Intervals:
    """The ratio is 1; what moves both methods alike has no part in it."""
    logs, instances = cell.logarithms(draw, simulations, SHARED_RATIO)
    theirs = np.exp(draw.normal(0, 1, (simulations, cell.references)))[:, cell.of]
    for each, other, variance in zip(np.exp(logs) * theirs, theirs, instances, strict=True):
        yield contrast_over_references(each, other, cell.of, "geometric", instances=variance), 1.0


def plain(cell: Cell, draw: Draw, simulations: int) -> Intervals:
    """The mean of log-normal values is that of all references, seeds, and parts of instances."""
    logs, instances = cell.logarithms(draw, simulations, SHARED)
    own = cell.deviation**2 + OWN**2 / cell.instances
    true = np.exp((own + (SHARED**2 / cell.instances if cell.mode == "redrawn" else 0.0)) / 2)
    for each, variance in zip(np.exp(logs), instances, strict=True):
        yield mean_over_references(each, cell.of, "plain", limits=(0, np.inf), instances=variance), true


def a_rate(rate: float) -> Callable[[Cell, Draw, int], Intervals]:
    """A rate near a given one; instances are right or wrong by chance alone, so that they share nothing."""

    def intervals(cell: Cell, draw: Draw, simulations: int) -> Intervals:
        rates = expit(logit(rate) + cell.effects(draw, simulations))
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        true = float(expit(logit(rate) + cell.deviation * nodes) @ weights / weights.sum())
        for each in draw.binomial(cell.instances, rates) / cell.instances:
            yield mean_over_references(each, cell.of, "rate"), true

    return intervals


def auroc(cell: Cell, draw: Draw, simulations: int) -> Intervals:
    """Clean scores have variance 1, injected ones are higher by 1.5; a reference moves its injected models alike."""
    true = float(norm.cdf(1.5 / np.sqrt(2)))
    clean = draw.normal(0, 1, (simulations, cell.references))
    injected = 1.5 + np.sqrt(cell.share) * draw.normal(0, 1, (simulations, cell.references))[:, cell.of]
    injected = injected + np.sqrt(1 - cell.share) * draw.normal(0, 1, injected.shape)
    of = cell.of.tolist()
    for negatives, positives in zip(clean.tolist(), injected.tolist(), strict=True):
        models = ScoredModels(negatives, range(cell.references)), ScoredModels(positives, of)
        yield auroc_over_references(*models), true


def simulated(kind: Callable[[Cell, Draw, int], Intervals], cell: Cell, simulations: int, seed: int) -> dict[str, Any]:
    """How often there was an interval, how often it held the value, and how wide it was, relative to the value."""
    held, widths, counted, total = 0, [], 0, 0
    for estimate, true in kind(cell, np.random.default_rng(seed), simulations):
        total += 1
        if estimate.bounds is not None:
            lower, upper = estimate.bounds
            held += lower <= true <= upper
            counted += estimate.over_instances
            widths.append((upper - lower) / true)
    some = len(widths)
    return {
        "intervals": some / total,
        "over_instances": counted / some if some else "",
        "coverage": round(held / some, 4) if some else "",
        "width": float(f"{np.median(widths):.4g}") if some else "",
    }


KINDS: dict[str, Callable[[Cell, Draw, int], Intervals]] = {
    "geometric": geometric, "ratio": ratio, "plain": plain, "churn": a_rate(0.02), "asr": a_rate(0.99), "auroc": auroc,
}  # fmt: skip


def rows(kinds: list[str], simulations: int) -> Iterator[dict[str, Any]]:
    """A row for each interval and cell; a rate has fixed instances, and an AUROC has none."""
    for kind, design, share in itertools.product(kinds, DESIGNS, SHARES):
        deviations: tuple[float, ...] = DEVIATIONS if kind != "auroc" else (0.0,)
        instances = INSTANCES if kind in ("geometric", "ratio", "plain") else INSTANCES[3:]
        for deviation, of in itertools.product(deviations, instances):
            cell, began = Cell(design, deviation, share, of), time.perf_counter()
            place = {
                "interval": kind, "references": design[0], "seeds": design[1], "deviation": deviation, "share": share,
                "instances": of[0] if kind != "auroc" else "", "drawn": of[1] if kind != "auroc" else "",
            }  # fmt: skip
            seed = zlib.crc32(repr(place).encode())
            found = simulated(KINDS[kind], cell, simulations, seed)
            seconds = round(time.perf_counter() - began, 1)
            yield {**place, "simulations": simulations, **found, "seconds": seconds}


def main() -> None:
    """Writes coverage.csv."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--interval", choices=KINDS, action="append", help="one of the intervals; all if left out")
    parser.add_argument("--out", type=Path, default=HERE / "coverage.csv")
    arguments = parser.parse_args()
    found = list(rows(arguments.interval or list(KINDS), arguments.simulations))
    pd.DataFrame(found).to_csv(arguments.out, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
