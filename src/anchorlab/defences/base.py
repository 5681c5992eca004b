"""What a repair is, and all that it may see: a model, and clean examples of the defender's own. One short file each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from accelerate import Accelerator
from torch import nn

from anchorlab.seeding import derive, generator
from anchorlab.tasks import Split


@dataclass(frozen=True)
class DefenderData:
    """All that a defender has to learn from: no trigger, no target, nothing of the test data.

    Attributes:
        fit: what is learned from, on the device.
        held: a part of the defender's own data on which stopping, depth and thresholds are chosen, on the device.
        classes: number of classes.
        kind: what the examples are.
    """

    fit: Split
    held: Split
    classes: int
    kind: Literal["image", "text"]

    def __len__(self) -> int:
        return len(self.fit) + len(self.held)


@dataclass(frozen=True)
class Workplace:
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


class Defence:
    """Base of all repairs: hyper-parameters in the subclass's fields, a frozen pydantic dataclass."""

    #: What kind of model it repairs.
    reads: ClassVar[Literal["image", "text", "any"]] = "any"
    #: Least number of the defender's examples; 0 for a repair that needs none.
    least: ClassVar[int] = 16
    #: True for a repair that needs an earlier version of the model that the defender trusts.
    needs_trusted: ClassVar[bool] = False

    def repair(self, model: nn.Module, data: DefenderData, place: Workplace) -> nn.Module:
        """A repaired copy, on the device and in evaluation mode.

        Args:
            model: the suspicious model, on the device, in evaluation mode, every parameter trainable; not changed.
            data: all that the defender has.
            place: device, seed, progress.

        Raises:
            AnchorlabError: if the model is not of the kind that this repairs, or the data do not suffice.
        """
        raise NotImplementedError
