"""The logits as a function of the weights, in a form that can be differentiated along a perturbation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from anchorlab.models.call import logits
from anchorlab.perturbation.weights import Perturbation

Weights = dict[str, Tensor]


def differentiable_twice() -> AbstractContextManager[None]:
    """The plain form of attention, because the fused ones have neither forward-mode nor second derivatives."""
    plain: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return plain


def weights_and_tangents(model: nn.Module, perturbation: Perturbation) -> tuple[Weights, Weights]:
    """The model's parameters, and the perturbation of each, by the names that the whole model gives them."""
    weights = {name: value.detach() for name, value in model.named_parameters()}
    differences = dict(zip(weights, perturbation.parameters.values(), strict=True))
    return weights, {name: differences[name].to(value) for name, value in weights.items()}


def logits_of_weights(model: nn.Module, weights: Weights, inputs: Mapping[str, Tensor]) -> Callable[[Weights], Tensor]:
    """The logits of a batch, ``[B, C]``, as a function of parameters; those not given stay at ``weights``."""

    def call(parameters: Weights) -> Tensor:
        return logits(model, inputs, {**weights, **parameters})

    return call
