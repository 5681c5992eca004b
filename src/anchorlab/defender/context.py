"""What a defender has: clean examples of its own, and the seed and device that it works with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from anchorlab.data import Kind, Split
from anchorlab.seeding import derive, generator

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class DefenderData:
    """All data that a defender has. It holds neither trigger nor target, and no test data.

    Attributes:
        train: the examples to learn from, on the device.
        validation: the examples to choose stopping, depth and thresholds on, held back from learning, on the device.
        classes: number of classes.
        kind: whether the examples are images or texts.
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
    """The means of a defence besides model and data.

    Attributes:
        accelerator: the device and the backward pass.
        seed: seed of all draws.
        report: called with steps done, steps in all, and figures to show.
        trusted: an earlier version of the model that the defender trusts, on the device; None if there is none.
        notes: what a defence has to say about its result, in sentences without a full stop.
    """

    accelerator: Accelerator
    seed: int
    report: Callable[[int, int, dict[str, float]], None] = lambda _done, _total, _figures: None
    trusted: nn.Module | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """The device of model and data."""
        device: torch.device = self.accelerator.device
        return device

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator for one purpose."""
        return generator(self.seed, "defence", *purpose)

    def derive(self, *purpose: str | int) -> int:
        """A seed for one purpose."""
        return derive(self.seed, "defence", *purpose)
