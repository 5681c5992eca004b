"""Where bf16 has no defined gradient on a CPU."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.call import evaluating, logits


def undefined_gradient(model: nn.Module, inputs: Mapping[str, Tensor]) -> str | None:
    """Why training in bf16 would go wrong on a CPU; None if it would not, or if the inputs lie on another device.

    Where the stride of a convolution is longer than a side of the map that it reads, PyTorch (seen in 2.13) leaves
    parts of the weight's gradient in bf16 as the memory happened to be. The same run then ends differently each time,
    or diverges in its first step. Images of 8 pixels in a network with five strides are such a case.

    Args:
        model: on the device of the inputs.
        inputs: of at least one example; only the first is used.
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions or next(iter(inputs.values())).device.type != "cpu":
        return None
    found: list[str] = []

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1:
            sides, strides = args[0].shape[-2:], module.stride
            if any(side < stride for side, stride in zip(sides, strides, strict=True)):
                found.append(
                    f"a convolution with stride {strides[0]} reads a map of {sides[0]} x {sides[1]}, and PyTorch "
                    "leaves its gradient in bf16 undefined on a CPU"
                )

    handles = [module.register_forward_pre_hook(note) for module in convolutions]
    try:
        with torch.no_grad(), evaluating(model):
            logits(model, {name: value[:1] for name, value in inputs.items()})
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def check_bf16(model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
    """Raises AnchorlabError for a network that cannot be trained in bf16 on a CPU; see ``undefined_gradient``."""
    why = undefined_gradient(model, inputs)
    if why is not None:
        raise AnchorlabError(f"{why}: leave --precision out, or take larger images or a network with fewer strides")
