"""A small convolutional network, inputs for it, and labels that it gets right."""

from __future__ import annotations

import pytest
import torch

from anchorlab.data import Split
from anchorlab.models.call import predict
from tests.zoo import Small


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
