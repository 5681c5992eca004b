"""Linear probing: the last layer alone is trained further, and the features stay as they are.

Min, Qin, Shen and Cheng 2023, Towards Stable Backdoor Purification through Feature Shift Tuning, NeurIPS (arXiv
2310.01875), one of the forms that FST is compared with, and a control: what it leaves of a backdoor lies in the
features. It starts from the suspicious layer, as their code does. AdamW in the shared loop; they take SGD, and restore
the layer's norm after each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.hooks import last_layer
from anchorlab.repairs.base import Repair
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LinearProbing(Schedule, Repair):
    """Trains the last layer alone."""

    cites: ClassVar[tuple[str, ...]] = ("min2023towards",)
    needs: ClassVar[str] = "a linear layer that gives the logits"

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        last_layer(model, inputs)

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model).requires_grad_(False)
        last_layer(repaired, data.train.inputs).requires_grad_()
        tune(repaired, data, self, context, name="linear probing")
        return repaired.requires_grad_()
