"""Where bf16 has no defined gradient on a CPU, and where a device computes it by software."""

from __future__ import annotations

import platform
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.call import evaluating, logits
from anchorlab.notices import notice


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
    """Tells of a device that computes bf16 by software.

    Raises:
        AnchorlabError: for a network that cannot be trained in bf16 on a CPU; see ``undefined_gradient``.
    """
    why = undefined_gradient(model, inputs)
    if why is not None:
        raise AnchorlabError(f"{why}: leave --precision out, or take larger images or a network with fewer strides")
    if not computes_bf16(next(iter(inputs.values())).device):
        notice(
            "bf16 may take ten times as long as float32 here, because this processor has no instructions for it: "
            "leave the precision out, or give auto"
        )


def computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16, and does not compute it by software."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        has = torch.cpu.get_capabilities()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return True
