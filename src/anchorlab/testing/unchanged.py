"""Whether code of a third party left alone what it was lent: models, tensors, data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData

#: Where a module keeps the hooks that run in its passes.
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")

#: Name to a copy.
Copies = dict[str, Tensor]


def copies(tensors: Mapping[str, Tensor]) -> Copies:
    """Copies of tensors, by name."""
    return {name: value.detach().clone() for name, value in tensors.items()}


def changed(before: Copies, now: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors that are not what they were, bit for bit, or that came or went."""
    names = [name for name, value in before.items() if name not in now or not _same(value, now[name])]
    return names + [name for name in now if name not in before]


def _same(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.is_floating_point():
        return torch.equal(first.nan_to_num(), second.detach().nan_to_num())
    return torch.equal(first, second.detach())


def state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, also those that no state dict has."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def whole(model: nn.Module) -> dict[str, Tensor]:
    """The state, and how the model is set, by names that say it: modes, ``requires_grad``, how many hooks there are."""
    settings: dict[str, bool | int] = {}
    for name, parameter in model.named_parameters():
        settings[f"requires_grad of {name}"] = parameter.requires_grad
    for name, module in model.named_modules():
        settings[f"training mode of {name or 'the whole'}"] = module.training
        settings[f"hooks of {name or 'the whole'}"] = sum(len(getattr(module, kind)) for kind in _HOOKS)
    return {**state(model), **{name: torch.tensor(value) for name, value in settings.items()}}


def tensors_of(data: DefenderData) -> dict[str, Tensor]:
    """The tensors of a defender's data, by name."""
    parts: dict[str, Split] = {"train": data.train, "validation": data.validation}
    named = {f"{part}.{name}": value for part, split in parts.items() for name, value in split.inputs.items()}
    return {**named, **{f"{part}.labels": split.labels for part, split in parts.items()}}
