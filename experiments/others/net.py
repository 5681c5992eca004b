"""The networks that ART poisons in badnets.py, for ``--module experiments/others/net.py:small`` or ``:tiny``.

Two convolutions, as in ART's examples on MNIST. A BatchNorm follows each, because BAN and RNP work on BatchNorm. The
second network halves its images first and has fewer channels, so that repairs with searches are quick on it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from anchorlab import wrap


class SmallCNN(nn.Module):
    """Grey images of 28 by 28 pixels, float32 from 0 to 1, to ten logits.

    Args:
        norm: makes the layer that follows a convolution, from its number of channels.
    """

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.bn1 = norm(16)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.bn2 = norm(32)
        self.hidden = nn.Linear(32 * 4 * 4, 64)
        self.linear = nn.Linear(64, 10)

    def features(self, images: Tensor) -> Tensor:
        """What enters the last layer, ``[B, 64]``."""
        maps = torch.max_pool2d(self.bn1(self.conv1(images)).relu(), 2)
        maps = torch.max_pool2d(self.bn2(self.conv2(maps)).relu(), 2)
        return torch.relu(self.hidden(maps.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, 10]``."""
        logits: Tensor = self.linear(self.features(images))
        return logits


class TinyCNN(nn.Module):
    """Grey images of 28 by 28 pixels, float32 from 0 to 1, to ten logits; it sees them at half their size.

    Args:
        norm: makes the layer that follows a convolution, from its number of channels.
    """

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.bn1 = norm(8)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.bn2 = norm(16)
        self.linear = nn.Linear(16 * 2 * 2, 10)

    def features(self, images: Tensor) -> Tensor:
        """What enters the last layer, ``[B, 64]``."""
        maps = functional.max_pool2d(images, 2)
        maps = torch.max_pool2d(self.bn1(self.conv1(maps)).relu(), 2)
        return torch.max_pool2d(self.bn2(self.conv2(maps)).relu(), 2).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, 10]``."""
        logits: Tensor = self.linear(self.features(images))
        return logits


def small() -> nn.Module:
    """The larger network for anchorlab, which gives it pixels divided by 255."""
    return wrap(SmallCNN(), mean=[0.0], std=[1.0])


def tiny() -> nn.Module:
    """The smaller network for anchorlab, likewise."""
    return wrap(TinyCNN(), mean=[0.0], std=[1.0])
