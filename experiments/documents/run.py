"""How often a 95% interval of a mean per token holds the mean over all such documents: over documents, and over tokens.

    python experiments/documents/run.py

A document's mean is log-normal with a given standard deviation of its logarithm; its tokens have twice its mean as
standard deviation and are correlated along the document (AR(1), .5), as divergences are. Lengths are log-normal around
200 tokens (standard deviation .5 of the logarithm), ``unrelated`` to the means or ``related``: long documents then have
smaller means, by the power -.3 of the length. A document's sum is drawn as such, from the gamma distribution of its
mean and variance, so that a cell of 4,000 simulations takes a second.

A row of coverage.csv is a cell:

- ``coverage`` of ``ratio_of_sums``, anchorlab's own, and ``width``, the median width over the median mean;
- ``coverage_tokens`` and ``width_tokens`` of the interval that takes all tokens as independent, as llama.cpp's ± does;
- ``spread``: the median standard deviation of the logarithms of the documents' means, as users see it.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import zlib
from pathlib import Path

import numpy as np
from scipy.stats import norm

from anchorlab.statistics.documents import ratio_of_sums

HERE = Path(__file__).parent
DOCUMENTS = (12, 20, 50, 100, 400)
DEVIATIONS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
LENGTHS = ("unrelated", "related")

#: Tokens of a document, and the standard deviation of their logarithm.
TOKENS, SPREAD = 200, 0.5
#: Of a token: its standard deviation over the document's mean, and its correlation with the one before.
OWN, ALONG = 2.0, 0.5
#: Power of the length by which a document's mean falls.
POWER = -0.3


def cell(documents: int, deviation: float, lengths: str, simulations: int) -> dict[str, object]:
    """One row."""
    draw = np.random.default_rng(zlib.crc32(f"{documents} {deviation} {lengths}".encode()))
    shape, power = (simulations, documents), POWER if lengths == "related" else 0.0
    n = np.maximum(2, np.exp(np.log(TOKENS) + draw.normal(0, SPREAD, shape)).round())
    means = np.exp(draw.normal(-(deviation**2) / 2, deviation, shape)) * (n / TOKENS) ** power
    # The variance of the mean of n tokens that are correlated along the document.
    relative = OWN**2 / n * (1 + ALONG) / (1 - ALONG)
    sums = means * n * draw.gamma(1 / relative, relative)
    squares = (means**2 * n * (1 + OWN**2)).sum(axis=1)  # the expectation of the tokens' squares
    truth = np.exp(SPREAD**2 * ((1 + power) ** 2 - 1) / 2) if power else 1.0
    found = [ratio_of_sums(*each) for each in zip(sums, n, strict=True)]
    N, mean = n.sum(axis=1), sums.sum(axis=1) / n.sum(axis=1)
    half = norm.ppf(0.975) * np.sqrt((squares / N - mean**2) / (N - 1))
    bounds = np.array([each.bounds for each in found])
    held = (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
    return {
        "documents": documents,
        "deviation": deviation,
        "lengths": lengths,
        "simulations": simulations,
        "coverage": round(float(held.mean()), 4),
        "coverage_tokens": round(float((np.abs(mean - truth) <= half).mean()), 4),
        "width": round(float(np.median(np.ptp(bounds, axis=1)) / np.median(mean)), 4),
        "width_tokens": round(float(np.median(2 * half) / np.median(mean)), 4),
        "spread": round(float(np.median(np.log(sums / n).std(axis=1, ddof=1))), 4),
    }


def main() -> None:
    """Writes coverage.csv."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=HERE / "coverage.csv")
    options = parser.parse_args()
    cells = itertools.product(DOCUMENTS, DEVIATIONS, LENGTHS)
    rows = [cell(*each, options.simulations) for each in cells]
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
