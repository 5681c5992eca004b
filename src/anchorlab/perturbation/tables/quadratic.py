"""How far a perturbation moves the function to second order: by one Jacobian-vector product, and by EWC's diagonal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import jvp

from anchorlab.data import Split
from anchorlab.data.inputs import rows
from anchorlab.metrics.numerics import Softmax
from anchorlab.models.call import in_batches, logits
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.models.example_gradients import example_gradients
from anchorlab.perturbation.context import Context
from anchorlab.perturbation.derivatives import differentiable_twice, logits_of_weights, weights_and_tangents
from anchorlab.perturbation.intervals import bounded, ratio
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Kinds, with_candidate
from anchorlab.perturbation.tables.sizes import WHOLE
from anchorlab.perturbation.weights import Perturbation
from anchorlab.perturbation.wording import interval, rows_where, sentence
from anchorlab.seeding import generator

Floats = NDArray[np.float64]

#: Examples whose gradients are held at once.
_GRADIENTS_AT_ONCE = 32

#: Factor within which the quadratic picture is said to hold.
_WITHIN = 2.0


@torch.no_grad()
def linear_shift(model: nn.Module, perturbation: Perturbation, examples: Split) -> Floats:
    """``J d``: the shift of the logits to first order in the perturbation of the parameters, float64 ``[N, C]``.

    Args:
        model: the reference, in evaluation mode.
        perturbation: ``d``; its buffers do not count.
        examples: on the model's device.
    """
    weights, tangents = weights_and_tangents(model, perturbation)
    pieces, order = [], []
    with exact_arithmetic(examples.labels.device), differentiable_twice():
        for indices, width in in_batches(examples.inputs):
            call = logits_of_weights(model, weights, rows(examples.inputs, indices, width))
            pieces.append(jvp(call, (weights,), (tangents,))[1].cpu().double())
            order.append(torch.arange(len(examples))[indices.cpu() if isinstance(indices, Tensor) else indices])
    shift = torch.empty(len(examples), pieces[0].shape[1], dtype=torch.float64)
    shift[torch.cat(order)] = torch.cat(pieces)
    return shift.numpy()


def quadratic_kl(reference_logits: Floats, shift: Floats) -> Floats:
    """``Var_{c ~ p}(d_c) / 2``: the KL divergence to second order in a shift of the logits, nats, ``[N]``.

    With ``d = J delta`` its mean is ``delta' F delta / 2``, F being the Fisher information, which for softmax and
    cross-entropy is also the Gauss-Newton matrix (Martens 2020, arXiv 1412.1193).

    Args:
        reference_logits: ``[N, C]``.
        shift: ``[N, C]``.
    """
    p = Softmax(np.asarray(reference_logits, dtype=np.float64)).probability
    centred = shift - (p * shift).sum(axis=1, keepdims=True)
    return np.asarray((p * centred**2).sum(axis=1) / 2, dtype=np.float64)


def diagonal_kl(model: nn.Module, perturbation: Perturbation, examples: Split, *, generator: torch.Generator) -> Floats:
    """What EWC's diagonal sees of the same: ``sum_i g_i^2 d_i^2 / 2`` for each example, ``[N]``.

    ``g`` is the gradient of the log-probability of a label drawn from the model's own answer, so that the mean of
    ``g_i^2`` is the diagonal of the true Fisher information (Kirkpatrick et al. 2017, PNAS).

    Args:
        model: the reference, in evaluation mode, every parameter trainable.
        perturbation: ``d``.
        examples: on the model's device.
        generator: draws the labels, on the CPU.
    """
    flat = [difference.reshape(1, -1) for difference in perturbation.parameters.values()]
    result = torch.zeros(len(examples), dtype=torch.float64)
    with exact_arithmetic(examples.labels.device):
        for start in range(0, len(examples), _GRADIENTS_AT_ONCE):
            inputs = {name: value[start : start + _GRADIENTS_AT_ONCE] for name, value in examples.inputs.items()}
            with torch.no_grad():
                p = logits(model, inputs).softmax(1).cpu()
            labels = torch.multinomial(p, 1, generator=generator).flatten().to(examples.labels.device)
            for indices, gradients in example_gradients(model, inputs, labels):
                squares = [
                    in_double(gradient.reshape(len(gradient), -1) * difference).square().sum(1)
                    for gradient, difference in zip(gradients, flat, strict=True)
                ]
                result[start:][indices] = torch.stack(squares).sum(0).cpu() / 2
    return result.numpy()


def _parts(context: Context) -> Iterator[Part]:
    for name in context.moving:
        yield context.part(f"quadratic picture of {name}", [name], partial(_measure, context, name))


def _measure(context: Context, name: str, _tick: Tick) -> Tables:
    perturbation = context.perturbations[name]
    measured = context.probe.behaviour(context.space.at((1.0, perturbation.weights_alone())))
    shift = linear_shift(context.model, perturbation, context.clean)
    quadratic = quadratic_kl(context.probe.logits.astype(np.float64), shift)
    few = context.first(context.settings.diagonal_examples)
    diagonal = diagonal_kl(context.model, perturbation, few, generator=generator(context.seed, "diagonal"))
    estimate = context.resamples.estimate
    row = {
        **bounded("kl", estimate(measured.kl)),
        **bounded("kl_quadratic", estimate(quadratic)),
        **bounded("kl_ratio", estimate(np.stack([quadratic, measured.kl], axis=1), ratio)),
        **bounded("logit_distance", estimate(measured.logit_distance)),
        **bounded("logit_distance_linear", estimate((shift**2).mean(axis=1))),
        **bounded("ewc", context.resamples_of(len(few)).estimate(diagonal)),
        "fisher_norm": math.sqrt(2 * float(quadratic.mean())),
    }
    return {"quadratic": with_candidate(name, pd.DataFrame([row]))}


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    yield from _holds(tables["quadratic"])
    yield from _reach(tables["paths"])
    yield from _ranking(tables["sizes"], tables["quadratic"])


def _holds(quadratic: pd.DataFrame) -> Iterator[str]:
    """Whether the predicted KL is within a factor of the measured one, by the interval of their ratio."""
    within: list[str] = []
    beyond: list[str] = []
    undecided: list[str] = []
    for row in rows_where(quadratic):
        if pd.isna(row["kl_ratio"]):
            continue
        lower, upper = row["kl_ratio_lower"], row["kl_ratio_upper"]
        if lower >= 1 / _WITHIN and upper <= _WITHIN:
            verdict = within
        elif upper < 1 / _WITHIN or lower > _WITHIN:
            verdict = beyond
        else:
            verdict = undecided
        verdict.append(f"{row['candidate']} ({interval(row, 'kl_ratio')})")
    what = "the quadratic picture's KL over the measured one"
    for words, names in (
        (f"{what} is within a factor of {_WITHIN:g}", within),
        (f"{what} is off by more than a factor of {_WITHIN:g}", beyond),
        (f"whether {what} is within a factor of {_WITHIN:g} is undecided", undecided),
    ):
        if names:
            yield sentence(f"{words} for {', '.join(names)}.")


def _reach(paths: pd.DataFrame) -> Iterator[str]:
    """How far along each path the quadratic prediction stays within the factor, by the interval of the measured KL."""
    if "kl_quadratic" not in paths:
        return
    ends = []
    predicted = paths[(paths["scale"] > 0) & paths["kl_quadratic"].notna()].sort_values("scale")
    for name, path in predicted.groupby("candidate", sort=False):
        holds = (path["kl_quadratic"] <= _WITHIN * path["kl_upper"]) & (
            path["kl_quadratic"] >= path["kl_lower"] / _WITHIN
        )
        scales = path["scale"][holds.cumprod().astype(bool)]
        ends.append(f"{name} {scales.iloc[-1]:g}" if len(scales) else f"{name} below {path['scale'].iloc[0]:g}")
    if ends:
        yield (
            f"Along the straight path (0 the reference, 1 the candidate) the quadratic prediction of KL stays within a "
            f"factor of {_WITHIN:g} of the measured interval up to: {', '.join(ends)}."
        )


def _ranking(sizes: pd.DataFrame, quadratic: pd.DataFrame) -> Iterator[str]:
    """Which sizes order the candidates as KL does, over the pairs whose intervals of KL do not overlap."""
    if len(quadratic) < 2:
        return
    lengths = {row["candidate"]: row["l2"] for row in rows_where(sizes, layer=WHOLE)}
    table = quadratic.assign(l2=quadratic["candidate"].map(lengths)).set_index("candidate")
    resolved = [
        (first, second)
        for first, second in combinations(table.index, 2)
        if table["kl_lower"][first] > table["kl_upper"][second] or table["kl_lower"][second] > table["kl_upper"][first]
    ]
    if not resolved:
        yield "No two candidates' KL are told apart by their intervals, so that no ranking is checked."
        return
    same = {
        words: sum((table[name][a] > table[name][b]) == (table["kl"][a] > table["kl"][b]) for a, b in resolved)
        for words, name in (("the Fisher norm", "fisher_norm"), ("EWC's diagonal", "ewc"), ("the L2 norm", "l2"))
    }
    counts = ", ".join(f"{words} orders {count}" for words, count in same.items())
    pairs = "the one pair" if len(resolved) == 1 else f"the {len(resolved)} pairs"
    yield f"Of {pairs} whose KL (of the weights alone) is told apart by intervals, {counts} as KL does."


QUADRATIC = AnalysisTable(
    name="quadratic",
    description="the effect on the function to second order, beside the measured one",
    columns=[
        AnalysisColumn("kl", "measured KL divergence of the weights alone, nats", "KL", has_interval=True),
        AnalysisColumn("kl_quadratic", "``E Var_p(J d) / 2``, nats", "KL, quadratic", has_interval=True),
        AnalysisColumn("kl_ratio", "``kl_quadratic`` over ``kl``", "quadratic / measured", has_interval=True),
        AnalysisColumn("logit_distance", "mean squared shift of a logit, by the weights alone", has_interval=True),
        AnalysisColumn("logit_distance_linear", "``E |J d|^2 / C``", "logit distance, linear", has_interval=True),
        AnalysisColumn("ewc", "``sum_i F_ii d_i^2 / 2``, nats", "EWC's diagonal", has_interval=True),
        AnalysisColumn("fisher_norm", "the root of ``d' F d``"),
    ],
    parts=_parts,
    findings=_findings,
)
