"""What an adapter adds to the weights of its base: a product ``B A`` for each adapted weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anchorlab.models.lora import products, ranks


@dataclass(frozen=True, eq=False)
class LowRank:
    """The products of an adapter.

    Attributes:
        products: name of each adapted weight to ``scale * B A``, float32, of the weight's shape.
        ranks: the same names to the rank that the adapter's factors allow.
    """

    products: Mapping[str, Tensor]
    ranks: Mapping[str, int]

    @classmethod
    def of(cls, model: nn.Module, device: torch.device) -> LowRank:
        """Of an adapted classifier, on a device."""
        with torch.no_grad():
            added = {name: value.detach().to(device) for name, value in products(model).items()}
        return cls(added, ranks(model))
