"""The last layer drawn anew, for repairs that give up the suspicious classifier and keep the features."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from anchorlab.defender.context import DefenderContext
from anchorlab.models.hooks import check_own_weights, last_layer


@torch.no_grad()
def drawn_anew(model: nn.Module, inputs: Mapping[str, Tensor], context: DefenderContext) -> nn.Linear:
    """Draws weight and bias of a model's last layer anew, uniform within ``1 / sqrt(d)``, d being its inputs.

    Args:
        model: the model, on the device; changed in place.
        inputs: at least one example, to find the layer by.
        context: gives the draw.

    Returns:
        The layer.

    Raises:
        AnchorlabError: if the model has no linear layer that gives its logits, or the layer computes its weight from
            other parameters.
    """
    layer, draw = last_layer(model, inputs), context.generator("last layer")
    check_own_weights(model, [layer])
    bound = 1 / math.sqrt(layer.in_features)
    for values in (layer.weight, layer.bias):
        if values is not None:
            values.copy_((2 * torch.rand(values.shape, generator=draw) - 1) * bound)
    return layer


@torch.no_grad()
def restore_norm(layer: nn.Linear, norm: Tensor) -> None:
    """Scales the weight of a layer to an L2 norm."""
    layer.weight.mul_(norm / layer.weight.norm().clamp(min=1e-12))
