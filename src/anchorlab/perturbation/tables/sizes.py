"""How large each perturbation is, for the whole model and layer by layer."""

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
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Cost, Kinds, with_candidate
from anchorlab.perturbation.weights import Perturbation
from anchorlab.perturbation.wording import percent, rows_where

#: Name of the row of the whole model.
WHOLE = "all parameters"
#: Name of the row of the buffers.
BUFFERS = "buffers"


def sizes(reference: nn.Module, perturbation: Perturbation) -> pd.DataFrame:
    """The sizes of a perturbation: first of all parameters, then of each layer, last of the buffers if there are any.

    A layer is a module that holds parameters itself; weights shared by several count once, with the first. For the
    columns see ``SIZES``.

    Args:
        reference: the clean model.
        perturbation: of a candidate, on the reference's device.
    """
    differences = perturbation.parameters
    weights = dict(unwrap(reference).named_parameters())
    spectra = {name: singular_values(value) for name, value in differences.items() if value.dim() > 1}
    rows = [_row(WHOLE, differences, weights, spectra.values())]
    for layer in dict.fromkeys(_layer(name) for name in differences):
        inside = {name: value for name, value in differences.items() if _layer(name) == layer}
        rows.append(_row(layer, inside, weights, [spectra[name] for name in inside if name in spectra]))
    if perturbation.buffers:
        rows.append(_row(BUFFERS, perturbation.buffers, dict(unwrap(reference).named_buffers()), []))
    return pd.DataFrame(rows)


def singular_values(difference: Tensor) -> Tensor:
    """Singular values of a parameter's difference as a matrix ``[outputs, all else]``, float64, on the CPU."""
    values: Tensor = torch.linalg.svdvals(in_double(difference.detach().flatten(1)))
    return values.cpu()


def effective_rank(values: Tensor) -> float | None:
    """The exponential of the entropy of singular values as shares of their sum; None if all are 0."""
    total = values.sum()
    if total <= 0:
        return None
    shares = values[values > 0] / total
    return math.exp(float(-(shares * shares.log()).sum()))


def _row(
    layer: str, differences: Mapping[str, Tensor], weights: Mapping[str, Tensor], spectra: Iterable[Tensor]
) -> dict[str, object]:
    flat = [in_double(difference.detach()) for difference in differences.values()]
    count = sum(difference.numel() for difference in flat)
    l2 = math.sqrt(sum(float(difference.square().sum()) for difference in flat))
    norm = math.sqrt(sum(float(in_double(weights[name].detach()).square().sum()) for name in differences))
    values = list(spectra)
    return {
        "layer": layer,
        "parameters": count,
        "l2": l2,
        "linf": max((float(difference.abs().max()) for difference in flat if difference.numel()), default=0.0),
        "relative": l2 / norm if norm > 0 else None,
        "rms": l2 / math.sqrt(count) if count else 0.0,
        "changed": sum(int(difference.count_nonzero()) for difference in flat) / max(count, 1),
        "effective_rank": effective_rank(torch.cat(values)) if values else None,
    }


def _layer(name: str) -> str:
    """The module that holds a parameter."""
    return name.rpartition(".")[0] or name


def _parts(context: Context) -> Iterator[Part]:
    for name in context.candidates:
        yield context.part(f"sizes of {name}", [name], partial(_measure, context, name))


def _measure(context: Context, name: str, _tick: Tick) -> Tables:
    return {"sizes": with_candidate(name, sizes(context.reference, context.perturbations[name]))}


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    whole = sorted(rows_where(tables["sizes"], layer=WHOLE), key=lambda row: row["relative"])
    if whole:
        shares = [f"{row['candidate']} {percent(row['relative'])}" for row in whole]
        yield f"The parameters' change, as a share of the reference's L2 norm: {', '.join(shares)}."


SIZES = AnalysisTable(
    name="sizes",
    description="how large each perturbation is, for the whole model and for each layer",
    columns=[
        AnalysisColumn("layer", "first ``all parameters``, then each layer, last ``buffers`` if there are any"),
        AnalysisColumn("parameters", "number of entries"),
        AnalysisColumn("l2", "L2 norm of the perturbation", "L2"),
        AnalysisColumn("linf", "largest absolute entry of the perturbation", "L∞"),
        AnalysisColumn("relative", "``l2`` over the L2 norm of the reference's entries; undefined where that is 0"),
        AnalysisColumn("rms", "``l2`` over the square root of the number of entries", "RMS"),
        AnalysisColumn("changed", "share of the entries that differ at all"),
        AnalysisColumn(
            "effective_rank",
            "exp of the entropy of the singular values' shares (Roy and Vetterli 2007, EUSIPCO), of the layer's "
            "matrices, each ``[outputs, all else]``, as blocks of one matrix; undefined where no matrix differs",
        ),
    ],
    cost=Cost.WEIGHTS,
    parts=_parts,
    findings=_findings,
)
