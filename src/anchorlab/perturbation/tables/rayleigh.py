"""Curvature of the clean loss along each perturbation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Split
from anchorlab.data.inputs import rows
from anchorlab.models.call import in_batches
from anchorlab.models.device import exact_arithmetic
from anchorlab.perturbation.context import Context
from anchorlab.perturbation.derivatives import differentiable_twice, logits_of_weights, weights_and_tangents
from anchorlab.perturbation.intervals import bounded
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Cost, Kinds, with_candidate
from anchorlab.perturbation.tables.spectrum import BATCH, TOKENS
from anchorlab.perturbation.weights import Perturbation
from anchorlab.perturbation.wording import interval, rows_where

Floats = NDArray[np.float64]


def second_derivative(model: nn.Module, perturbation: Perturbation, examples: Split) -> Floats:
    """``d' H_i d`` for each example's loss: its second derivative along the perturbation, ``[N]``.

    By reverse mode alone, twice along the perturbation and once for the examples' weights, because forward mode over
    forward mode gives wrong second derivatives of LayerNorm (seen with PyTorch 2.13).

    Args:
        model: the reference, in evaluation mode.
        perturbation: ``d``; its buffers do not count.
        examples: on the model's device.
    """
    weights, tangents = weights_and_tangents(model, perturbation)
    result = torch.empty(len(examples), dtype=torch.float64)
    with exact_arithmetic(examples.labels.device), differentiable_twice():
        for indices, width in in_batches(examples.inputs, BATCH, TOKENS // 4):
            labels = examples.labels[indices]
            scale = torch.zeros((), device=labels.device, requires_grad=True)
            share = torch.ones(len(labels), device=labels.device, requires_grad=True)
            moved = {name: value + scale * tangents[name] for name, value in weights.items()}
            outputs = logits_of_weights(model, weights, rows(examples.inputs, indices, width))(moved)
            losses = functional.cross_entropy(outputs, labels, reduction="none")
            (slope,) = torch.autograd.grad((share * losses).sum(), scale, create_graph=True)
            (second,) = torch.autograd.grad(slope, scale, create_graph=True)
            (of_each,) = torch.autograd.grad(second, share)
            result[indices.cpu() if isinstance(indices, Tensor) else indices] = of_each.cpu().double()
    return result.numpy()


def _parts(context: Context) -> Iterator[Part]:
    for name in context.moving:
        yield context.part(f"curvature along {name}", [name], partial(_measure, context, name))


def _measure(context: Context, name: str, _tick: Tick) -> Tables:
    few = context.first(context.settings.curvature_examples)
    perturbation = context.perturbations[name]
    second = second_derivative(context.model, perturbation, few)
    resamples = context.resamples_of(len(few))
    row = {
        **bounded("rayleigh", resamples.estimate(second / perturbation.norm**2)),
        **bounded("loss_quadratic", resamples.estimate(second / 2)),
    }
    return {"rayleigh": with_candidate(name, pd.DataFrame([row]))}


def _with_ratios(tables: Tables) -> pd.DataFrame:
    """The curvatures with their ratios to the largest and the mean eigenvalue."""
    along, spectrum = tables["rayleigh"], tables["spectrum"]
    if not len(along):
        return along
    values = dict(zip(spectrum["quantity"], spectrum["value"], strict=True)) if len(spectrum) else {}
    largest, mean = (values.get(name, math.nan) for name in ("eigenvalue 1", "mean eigenvalue"))
    return along.assign(to_largest=along["rayleigh"] / largest, to_mean=along["rayleigh"] / mean)


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    values = [f"{row['candidate']} {interval(row, 'rayleigh')}" for row in rows_where(tables["rayleigh"])]
    if values:
        yield f"The curvature along each change (Rayleigh quotient): {', '.join(values)}."


RAYLEIGH = AnalysisTable(
    name="rayleigh",
    description="curvature of the clean loss along each perturbation",
    columns=[
        AnalysisColumn("rayleigh", "``d' H d / d' d``", has_interval=True),
        AnalysisColumn("loss_quadratic", "``d' H d / 2``, nats", "loss, quadratic", has_interval=True),
        AnalysisColumn("to_largest", "``rayleigh`` over the largest eigenvalue", "/ largest eigenvalue"),
        AnalysisColumn("to_mean", "``rayleigh`` over the mean eigenvalue", "/ mean eigenvalue"),
    ],
    cost=Cost.SECOND_DERIVATIVE,
    parts=_parts,
    complete=_with_ratios,
    findings=_findings,
)
