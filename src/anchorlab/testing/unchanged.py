"""Whether code of a third party left alone what it was lent: models, tensors, data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData

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


def tensors_of(data: DefenderData) -> dict[str, Tensor]:
    """The tensors of a defender's data, by name."""
    parts: dict[str, Split] = {"train": data.train, "validation": data.validation}
    named = {f"{part}.{name}": value for part, split in parts.items() for name, value in split.inputs.items()}
    return {**named, **{f"{part}.labels": split.labels for part, split in parts.items()}}
