"""What theory says that a shift of the logits can at most do, beside what it did, instance by instance.

With ``d`` the shift of an instance's logits, ``c`` its deviation from its mean over classes and ``r = max d - min d``:

    KL(p || p*) <= r^2 / 8 <= |c|^2 / 4        Hoeffding's lemma, KL being a Bregman divergence of logsumexp
    (KL(p || p*) + KL(p* || p)) / 2 <= |c|^2 / 4
    JS <= r^2 / 32                             by the midpoint softmax(s + d / 2)
    TV <= tanh(r / 4)
    |p - p*| <= |c| / 2                        the softmax is 1/2-Lipschitz (Nair 2025, arXiv 2510.23012)
    |change of the loss| <= r
    the prediction stays if r < margin         margin: largest logit less the second largest, of the reference

None needs the shift to be small; docs/theory.md has the proofs. A violation would mean that the numerics are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anchorlab.errors import AnchorlabError
from anchorlab.metrics import Pair
from anchorlab.perturbation.context import Context
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Kinds, with_candidate
from anchorlab.perturbation.wording import digits, rows_where

Floats = NDArray[np.float64]

#: Relative and absolute error of float64 arithmetic that does not count as a violation.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12


@dataclass(frozen=True)
class Bound:
    """One bound: its name, its formula in words, and measured and largest possible values, float64 ``[N]``."""

    name: str
    formula: str
    measured: Floats
    bound: Floats


def bounds_of(pair: Pair, labels: NDArray[np.int64]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``bounds`` and ``instances`` of one candidate: see ``BOUNDS`` and ``INSTANCES``.

    Args:
        pair: the reference's and the candidate's logits.
        labels: true labels, int64 ``[N]``.

    Raises:
        AnchorlabError: if a bound is violated.
    """
    values = instances_of(pair)
    spread = values["range"].to_numpy()
    centred = values["centred"].to_numpy()
    margin = values["margin"].to_numpy()
    loss_change = np.abs(pair.q.log_of(labels) - pair.p.log_of(labels))
    churned = values["churned"].to_numpy().astype(float)
    bounds = [
        Bound("KL by range", "KL <= r^2/8", pair.kl, spread**2 / 8),
        Bound("KL by norm", "KL <= |c|^2/4", pair.kl, centred**2 / 4),
        Bound("symmetric KL", "(KL + KL reversed)/2 <= |c|^2/4", (pair.kl + pair.kl_reverse) / 2, centred**2 / 4),
        Bound("Jensen-Shannon", "JS <= r^2/32", pair.js, spread**2 / 32),
        Bound("total variation", "TV <= tanh(r/4)", pair.total_variation(), np.tanh(spread / 4)),
        Bound("probability distance", "|p - p*| <= |c|/2", pair.probability_distance(), centred / 2),
        Bound("loss", "|change of the loss| <= r", loss_change, spread),
        Bound("flip by range", "a flip needs r >= margin", churned, (spread >= margin * (1 - _RELATIVE)).astype(float)),
        Bound(
            "flip by norm",
            "a flip needs sqrt(2) |c| >= margin",
            churned,
            (np.sqrt(2) * centred >= margin * (1 - _RELATIVE)).astype(float),
        ),
    ]
    return pd.DataFrame([_row(bound) for bound in bounds]), values


def instances_of(pair: Pair) -> pd.DataFrame:
    """The values behind the bounds, a row an instance."""
    highest = np.sort(pair.reference, axis=1)
    return pd.DataFrame(
        {
            "kl": pair.kl,
            "range": pair.shift.max(axis=1) - pair.shift.min(axis=1),
            "centred": np.linalg.norm(pair.centred, axis=1),
            "total_variation": pair.total_variation(),
            "margin": highest[:, -1] - highest[:, -2],
            "churned": pair.p.prediction != pair.q.prediction,
        }
    )


def _row(bound: Bound) -> dict[str, object]:
    over = bound.measured > bound.bound * (1 + _RELATIVE) + _ABSOLUTE
    if over.any():
        worst = int(np.argmax(bound.measured - bound.bound))
        raise AnchorlabError(
            f"the bound {bound.formula} is violated by {int(over.sum())} of {len(over)} instances, the worst being "
            f"number {worst} with {bound.measured[worst]:.17g} against {bound.bound[worst]:.17g}: it is a theorem, so "
            "that the arithmetic must be wrong; please report it with the two models"
        )
    is_rate = bound.name.startswith("flip")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(bound.bound > 0, bound.measured / bound.bound, np.nan)
    ratios = ratios[np.isfinite(ratios)]
    undefined = is_rate or not len(ratios)
    return {
        "bound": bound.name,
        "formula": bound.formula,
        "measured": float(bound.measured.mean()),
        "bound_mean": float(bound.bound.mean()),
        "largest_ratio": float("nan") if undefined else float(ratios.max()),
        "median_ratio": float("nan") if undefined else float(np.median(ratios)),
        "violations": int(over.sum()),
    }


def _parts(context: Context) -> Iterator[Part]:
    for name in context.candidates:
        yield context.part(f"bounds of {name}", [name], partial(_measure, context, name))


def _measure(context: Context, name: str, _tick: Tick) -> Tables:
    pair = context.probe.pair(context.space.at((1.0, context.perturbations[name])))
    bounds, instances = bounds_of(pair, context.probe.labels)
    return {"bounds": with_candidate(name, bounds), "instances": with_candidate(name, instances)}


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    pairs = [
        f"{row['candidate']} {digits(row['measured'])} of {digits(row['bound_mean'])}"
        for row in rows_where(tables["bounds"], bound="KL by range")
    ]
    if pairs:
        yield (
            f"No bound is violated by any instance; mean KL, of what the range of the shift allows: {', '.join(pairs)}."
        )


BOUNDS = AnalysisTable(
    name="bounds",
    description="bounds of theory beside what was measured, instance by instance",
    columns=[
        AnalysisColumn("bound", "its name"),
        AnalysisColumn("formula", "in words"),
        AnalysisColumn("measured", "mean over instances of what is bounded"),
        AnalysisColumn("bound_mean", "mean over instances of the bound", "mean bound"),
        AnalysisColumn(
            "largest_ratio", "largest ratio of measured to bound over instances; undefined for the rate of flips"
        ),
        AnalysisColumn("median_ratio", "median of the same ratios"),
        AnalysisColumn("violations", "instances that violate the bound: 0, because one would be an error"),
    ],
    parts=_parts,
    findings=_findings,
)

INSTANCES = AnalysisTable(
    name="instances",
    description="the values behind the bounds",
    columns=[
        AnalysisColumn("kl", "KL divergence from the reference, nats", "KL"),
        AnalysisColumn("range", "``max d - min d``, of the logit shift ``d``"),
        AnalysisColumn("centred", "``|d - mean d|``"),
        AnalysisColumn("total_variation", "distance of the probabilities"),
        AnalysisColumn("margin", "of the reference: largest logit less the second largest"),
        AnalysisColumn("churned", "whether the prediction differs"),
    ],
    in_page=False,
)
