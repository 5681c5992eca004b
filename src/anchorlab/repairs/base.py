"""What a repair is, and all that it may see: a model, and the defender's clean examples. One short file each."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData


class Repair:
    """Base of all repairs: hyper-parameters in the subclass's fields, a frozen pydantic dataclass."""

    #: What kind of model it repairs.
    modality: ClassVar[Modality] = "any"
    #: Least number of the defender's examples; 0 for a repair that needs none.
    min_examples: ClassVar[int] = 16
    #: True for a repair that needs an earlier version of the model that the defender trusts.
    needs_trusted: ClassVar[bool] = False

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """A repaired copy, on the device and in evaluation mode.

        Args:
            model: the suspicious model, on the device, in evaluation mode, every parameter trainable; not changed.
            data: all that the defender has.
            context: device, seed, progress.

        Raises:
            AnchorlabError: if the model is not of the kind that this repairs, or the data do not suffice.
        """
        raise NotImplementedError
