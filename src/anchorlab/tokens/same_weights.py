"""Whether two networks have the same weights: side by side, or by a hash where one is gone already."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def weights_alike(first: nn.Module, second: nn.Module) -> bool:
    """Whether all weights of two networks are equal."""
    one, other = _weights(first), _weights(second)
    return one.keys() == other.keys() and all(
        value.shape == other[name].shape and torch.equal(value, other[name].to(value.device))
        for name, value in one.items()
    )


def weights_digest(net: nn.Module) -> str:
    """A hash of all weights of a network."""
    digest = hashlib.sha256()
    for name, value in _weights(net).items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """The weights by name; quantised ones, under names of their own, as the numbers that they stand for."""
    plain = (Tensor, nn.Parameter)
    return dict(
        (name, value) if type(value) in plain else (f"{name} quantised", value.dequantize())
        for name, value in net.state_dict().items()
    )
