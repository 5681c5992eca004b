"""What a defender has: clean examples of its own, and the seed and device that it works with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from anchorlab.data import Kind, Split
from anchorlab.seeding import derive, generator


@dataclass(frozen=True)
class DefenderData:
    """All that a defender has to learn from: no trigger, no target, nothing of the test data.

    Attributes:
        train: what is learned from, on the device.
        validation: what stopping, depth and thresholds are chosen on, held back from learning, on the device.
        classes: number of classes.
        kind: what the examples are.
    """

    train: Split
    validation: Split
    classes: int
    kind: Kind

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    @property
    def fit(self) -> Split:
        """The former name of ``train``."""
        warnings.warn("DefenderData.fit is now called train", DeprecationWarning, stacklevel=2)
        return self.train

    @property
    def held(self) -> Split:
        """The former name of ``validation``."""
        warnings.warn("DefenderData.held is now called validation", DeprecationWarning, stacklevel=2)
        return self.validation


@dataclass(frozen=True)
class DefenderContext:
    """What a defence works with besides model and data.

    Attributes:
        accelerator: device, backward pass.
        seed: of all draws.
        report: called with steps done, steps in all, and figures to show.
        trusted: an earlier version of the model that the defender trusts, on the device; None for none.
    """

    accelerator: Accelerator
    seed: int
    report: Callable[[int, int, dict[str, float]], None] = lambda _done, _total, _figures: None
    trusted: nn.Module | None = None

    @property
    def device(self) -> torch.device:
        """Where model and data are."""
        device: torch.device = self.accelerator.device
        return device

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator for one purpose."""
        return generator(self.seed, "defence", *purpose)

    def derive(self, *purpose: str | int) -> int:
        """A seed for one purpose."""
        return derive(self.seed, "defence", *purpose)
