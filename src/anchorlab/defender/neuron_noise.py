"""The worst noise on channels: each BatchNorm's weights and biases change within a box so that the loss rises.

Wu and Wang 2021 (arXiv 2110.14430) use it to find channels to prune, Xu et al. 2024 (arXiv 2405.19928) to tune against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data.batches import moved
from anchorlab.models.call import logits

#: For each BatchNorm the noise of its weights and that of its biases, each ``[C]``.
Noise = list[tuple[Tensor, Tensor]]


def worst_noise(
    loss: Callable[[Noise], Tensor], sizes: Sequence[int], radius: float, draw: torch.Generator, device: torch.device
) -> Noise:
    """One step of sign ascent to the edge of the box, from a random start within it.

    Args:
        loss: a differentiable scalar of the noise.
        sizes: number of channels of each BatchNorm.
        radius: largest absolute value of a noise.
        draw: a CPU generator for the start.
        device: where the noise lies.
    """
    drawn = torch.cat([torch.rand(2, size, generator=draw) for size in sizes], dim=1)
    # One copy for all layers.
    uniform = moved(drawn, device).split_with_sizes(list(sizes), dim=1)
    start = [((2 * pair - 1) * radius).requires_grad_() for pair in uniform]
    rise = loss([(pair[0], pair[1]) for pair in start])
    slopes = torch.autograd.grad(rise, start, allow_unused=True, materialize_grads=True)
    edge = [
        (pair.detach() + radius * slope.sign()).clamp(-radius, radius)
        for pair, slope in zip(start, slopes, strict=True)
    ]
    return [(pair[0], pair[1]) for pair in edge]


def noisy(weights: Mapping[str, Tensor], names: Sequence[str], noise: Noise) -> dict[str, Tensor]:
    """Weights and biases of BatchNorm times ``1 + noise``, by their names; differentiable.

    Args:
        weights: the model's parameters, by name.
        names: the layers of BatchNorm.
        noise: of each of them.
    """
    changed = {}
    for name, (d, e) in zip(names, noise, strict=True):
        for which, values in (("weight", d), ("bias", e)):
            own = weights[f"{name}.{which}"]
            changed[f"{name}.{which}"] = (own * (1 + values)).to(own.dtype)  # noise is float32
    return changed


def noised_loss(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    names: Sequence[str],
    noise: Noise,
    inputs: Mapping[str, Tensor],
    labels: Tensor,
) -> Tensor:
    """The mean cross-entropy under noise on BatchNorm's weights and biases; its statistics stay as they are."""
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    changed = {**weights, **statistics, **noisy(weights, names, noise)}
    return functional.cross_entropy(logits(model, inputs, changed), labels)
