"""How far a change of weights moves the function: by one Jacobian-vector product, and as EWC's diagonal sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from anchorlab.consistency.metrics import Softmax
from anchorlab.data import Split
from anchorlab.data.inputs import rows
from anchorlab.models.call import in_batches, logits
from anchorlab.models.device import exact_arithmetic
from anchorlab.models.example_gradients import example_gradients
from anchorlab.perturbation.weights import Perturbation

Floats = NDArray[np.float64]
Weights = dict[str, Tensor]

#: Examples whose gradients are held at once.
_GRADIENTS_AT_ONCE = 32


def differentiable_twice() -> AbstractContextManager[None]:
    """The plain form of attention, for the fused ones have neither forward-mode nor second derivatives."""
    plain: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return plain


def tangents(model: nn.Module, perturbation: Perturbation) -> tuple[Weights, Weights]:
    """The model's parameters and the change of each, by the names that the whole model gives them."""
    held = {name: value.detach() for name, value in model.named_parameters()}
    changes = dict(zip(held, perturbation.parameters.values(), strict=True))
    return held, {name: changes[name].to(value) for name, value in held.items()}


def along(model: nn.Module, weights: Weights, inputs: Mapping[str, Tensor]) -> Callable[[Weights], Tensor]:
    """The logits of a batch as a function of the parameters."""

    def call(parameters: Weights) -> Tensor:
        return logits(model, inputs, {**weights, **parameters})

    return call


@torch.no_grad()
def linear_shift(model: nn.Module, perturbation: Perturbation, examples: Split) -> Floats:
    """``J d``: the shift of the logits to first order in the parameters' change, float64 ``[N, C]``.

    Args:
        model: the reference, in evaluation mode.
        perturbation: the change ``d``; its buffers do not count.
        examples: on the model's device.
    """
    weights, changes = tangents(model, perturbation)
    pieces, order = [], []
    with exact_arithmetic(examples.labels.device), differentiable_twice():
        for at, width in in_batches(examples.inputs):
            call = along(model, weights, rows(examples.inputs, at, width))
            pieces.append(jvp(call, (weights,), (changes,))[1].double().cpu())
            order.append(torch.arange(len(examples))[at.cpu() if isinstance(at, Tensor) else at])
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
    """What EWC sees of the same: ``sum_i g_i^2 d_i^2 / 2`` for each example, ``[N]``.

    ``g`` is the gradient of the log-probability of a label drawn from the model's own answer, so that the mean of
    ``g_i^2`` is the diagonal of the true Fisher information (Kirkpatrick et al. 2017, PNAS).

    Args:
        model: the reference, in evaluation mode, every parameter trainable.
        perturbation: the change.
        examples: on the model's device.
        generator: draws the labels, on the CPU.
    """
    changes = [change.reshape(1, -1) for change in perturbation.parameters.values()]
    found = torch.zeros(len(examples), dtype=torch.float64)
    with exact_arithmetic(examples.labels.device):
        for start in range(0, len(examples), _GRADIENTS_AT_ONCE):
            inputs = {name: value[start : start + _GRADIENTS_AT_ONCE] for name, value in examples.inputs.items()}
            with torch.no_grad():
                p = logits(model, inputs).softmax(1).cpu()
            labels = torch.multinomial(p, 1, generator=generator).flatten().to(examples.labels.device)
            for at, gradients in example_gradients(model, inputs, labels):
                each = [
                    (gradient.reshape(len(gradient), -1) * change).double().square().sum(1)
                    for gradient, change in zip(gradients, changes, strict=True)
                ]
                found[start:][at] = torch.stack(each).sum(0).cpu() / 2
    return found.numpy()
