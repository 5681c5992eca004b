"""How much of a perturbation is an adapter's: its products ``B A`` weight by weight, and what lies outside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from anchorlab.models.device import in_double
from anchorlab.models.wrap import unwrap
from anchorlab.perturbation.context import Context
from anchorlab.perturbation.low_rank import LowRank
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Cost, Kinds, with_candidate
from anchorlab.perturbation.tables.sizes import effective_rank, singular_values
from anchorlab.perturbation.weights import Perturbation
from anchorlab.perturbation.wording import percent, rows_where

#: Names of the first and of the last row.
WHOLE, OUTSIDE = "all products", "outside the products"

#: Singular values below this share of the largest are rounding: float32 holds seven digits of a product's entries.
_ROUNDING = 1e-5


def adapter_shares(reference: nn.Module, perturbation: Perturbation, added: LowRank) -> pd.DataFrame:
    """The products of an adapter beside the perturbation that its model is; for the columns see ``ADAPTER``.

    Args:
        reference: the model that it is compared with, on the perturbation's device.
        perturbation: of the merged model.
        added: the products.
    """
    weights = dict(unwrap(reference).named_parameters())
    total = perturbation.norm**2
    spectra = {name: singular_values(value) for name, value in added.products.items()}
    rows = [_row(name, {name: added.products[name]}, weights, [spectra[name]], total) for name in added.products]
    for row, name in zip(rows, added.products, strict=True):
        row["rank"] = added.ranks[name]
        row["numerical_rank"] = int((spectra[name] > _ROUNDING * spectra[name].max()).sum())
    whole = _row(WHOLE, added.products, weights, spectra.values(), total)
    rest = {
        name: in_double(value) - in_double(added.products[name]) if name in added.products else in_double(value)
        for name, value in perturbation.parameters.items()
    }
    moved = {name: value for name, value in rest.items() if bool(value.any())}
    outside = _row(OUTSIDE, moved, weights, [], total)
    return pd.DataFrame([whole, *rows, outside])


def _row(
    weight: str,
    added: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    spectra: Iterable[Tensor],
    total: float,
) -> dict[str, object]:
    norm = math.sqrt(sum(float(in_double(value).square().sum()) for value in added.values()))
    own = math.sqrt(sum(float(in_double(weights[name].detach()).square().sum()) for name in added))
    values = list(spectra)
    return {
        "weight": weight,
        "rank": None,
        "numerical_rank": None,
        "effective_rank": effective_rank(torch.cat(values)) if values else None,
        "l2": norm,
        "relative": norm / own if own > 0 else None,
        "share": norm**2 / total if total > 0 else None,
    }


def _parts(context: Context) -> Iterator[Part]:
    for name in context.adapters:
        yield context.part(f"adapter of {name}", [name], partial(_measure, context, name))


def _measure(context: Context, name: str, _tick: Tick) -> Tables:
    shares = adapter_shares(context.reference, context.perturbations[name], context.adapters[name])
    return {"adapter": with_candidate(name, shares)}


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    for row in rows_where(tables["adapter"], weight=OUTSIDE):
        rows = rows_where(tables["adapter"], candidate=row["candidate"])
        ranks = [each["rank"] for each in rows if each["weight"] not in (WHOLE, OUTSIDE)]
        rank = f"{min(ranks):.0f}" if min(ranks) == max(ranks) else f"{min(ranks):.0f} to {max(ranks):.0f}"
        yield (
            f"{row['candidate']} is an adapter with products of rank {rank} on {len(ranks)} weights: "
            f"{percent(row['share'])} of its squared change lies outside them."
        )


ADAPTER = AnalysisTable(
    name="adapter",
    description="what an adapter adds to each weight, and how much of the change lies outside it",
    columns=[
        AnalysisColumn("weight", "first ``all products``, then each adapted weight, last ``outside the products``"),
        AnalysisColumn("rank", "the rank that the adapter's factors allow"),
        AnalysisColumn("numerical_rank", "singular values of the product above 1e-5 of its largest"),
        AnalysisColumn("effective_rank", "exp of the entropy of the singular values' shares, as in ``sizes``"),
        AnalysisColumn("l2", "L2 norm of the product ``scale * B A``; in the last row of the rest", "L2"),
        AnalysisColumn("relative", "``l2`` over the L2 norm of the reference's entries"),
        AnalysisColumn(
            "share",
            "``l2`` squared over the squared L2 norm of the whole change of the parameters; the last row is the share "
            "of what is not a product, such as a head of its own, DoRA's scaling of rows, or another reference than "
            "the adapter's base",
        ),
    ],
    cost=Cost.WEIGHTS,
    parts=_parts,
    findings=_findings,
)
