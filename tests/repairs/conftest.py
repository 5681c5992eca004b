"""A small convolutional network, inputs for it, and labels that it gets right."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anchorlab.data import Split
from anchorlab.models.call import predict


class Small(nn.Module):
    """Two convolutions with BatchNorm, and a linear layer: grey images of 8 by 8 to three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.second_norm = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 3)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first_norm(self.first(pixel_values.float() / 255)))
        return self.last(torch.relu(self.second_norm(self.second(hidden))).mean(dim=(2, 3)))


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randint(0, 256, (20, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()}


@pytest.fixture
def known(small, inputs) -> Split:
    """What the model says, as if it were true."""
    return Split(inputs, predict(small, inputs).argmax(1))
