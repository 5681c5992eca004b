"""How large a change of weights is, for the whole model and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pandas as pd
import torch
from torch import Tensor, nn

from anchorlab.models.wrap import unwrap
from anchorlab.perturbation.weights import Perturbation

#: Name of the row of the whole model.
WHOLE = "all parameters"
#: Name of the row of the buffers.
BUFFERS = "buffers"


def sizes(reference: nn.Module, perturbation: Perturbation) -> pd.DataFrame:
    """The sizes of a perturbation: first of all parameters, then of each layer, last of the buffers if there are any.

    A layer is a module that holds parameters itself; weights shared by several count once, with the first. Columns:

        layer
        parameters      number of entries
        l2, linf        norms of the change
        relative        l2 over that of the reference's entries; None where those are all 0
        rms             l2 over the square root of the number of entries
        changed         share of the entries that differ at all
        effective_rank  exp of the entropy of the singular values' shares (Roy and Vetterli 2007, EUSIPCO), of the
                        layer's matrices, each ``[outputs, all else]``, and of all of them together as blocks of one
                        matrix; None where no matrix has changed

    Args:
        reference: the clean model.
        perturbation: of a candidate, on the reference's device.
    """
    before = dict(unwrap(reference).named_parameters())
    spectra = {name: singular_values(change) for name, change in perturbation.parameters.items() if change.dim() > 1}
    rows = [_row(WHOLE, perturbation.parameters, before, spectra.values())]
    for layer in dict.fromkeys(_layer(name) for name in perturbation.parameters):
        inside = {name: change for name, change in perturbation.parameters.items() if _layer(name) == layer}
        rows.append(_row(layer, inside, before, [spectra[name] for name in inside if name in spectra]))
    if perturbation.buffers:
        rows.append(_row(BUFFERS, perturbation.buffers, dict(unwrap(reference).named_buffers()), []))
    return pd.DataFrame(rows)


def singular_values(change: Tensor) -> Tensor:
    """Singular values of a change as a matrix ``[outputs, all else]``, float64."""
    values: Tensor = torch.linalg.svdvals(change.detach().flatten(1).double())
    return values.cpu()


def effective_rank(values: Tensor) -> float | None:
    """The exponential of the entropy of singular values as shares of their sum; None if all are 0."""
    total = values.sum()
    if total <= 0:
        return None
    shares = values[values > 0] / total
    return math.exp(float(-(shares * shares.log()).sum()))


def _row(
    layer: str, changes: Mapping[str, Tensor], before: Mapping[str, Tensor], spectra: Iterable[Tensor]
) -> dict[str, object]:
    flat = [change.detach().double() for change in changes.values()]
    count = sum(change.numel() for change in flat)
    l2 = math.sqrt(sum(float(change.square().sum()) for change in flat))
    norm = math.sqrt(sum(float(before[name].detach().double().square().sum()) for name in changes))
    every = list(spectra)
    return {
        "layer": layer,
        "parameters": count,
        "l2": l2,
        "linf": max((float(change.abs().max()) for change in flat if change.numel()), default=0.0),
        "relative": l2 / norm if norm > 0 else None,
        "rms": l2 / math.sqrt(count) if count else 0.0,
        "changed": sum(int(change.count_nonzero()) for change in flat) / max(count, 1),
        "effective_rank": effective_rank(torch.cat(every)) if every else None,
    }


def _layer(name: str) -> str:
    """The module that holds a parameter."""
    return name.rpartition(".")[0] or name
