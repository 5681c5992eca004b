"""FT-init: fine-tuning from a last layer that is drawn anew.

Min, Qin, Shen and Cheng 2023, Towards Stable Backdoor Purification through Feature Shift Tuning, NeurIPS (arXiv
2310.01875), one of the forms that FST is compared with: the last layer is drawn at random, and all weights are trained
on clean examples. Their code restores the norm of the suspicious layer after each step; that is ``fst`` with
``strength=0`` here. AdamW in the shared loop; they take SGD.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import track_statistics
from anchorlab.models.hooks import check_own_weights, last_layer
from anchorlab.repairs.base import Repair
from anchorlab.repairs.fresh_layer import drawn_anew
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FTInit(Schedule, Repair):
    """Trains all weights with a new last layer."""

    cites: ClassVar[tuple[str, ...]] = ("min2023towards",)
    needs: ClassVar[str] = "a linear layer that gives the logits"

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        check_own_weights(model, [last_layer(model, inputs)])

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model)
        drawn_anew(repaired, data.train.inputs, context)
        tune(track_statistics(repaired), data, self, context, name="FT-init", suspicious=model)
        return repaired.eval()
