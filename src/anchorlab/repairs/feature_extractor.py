"""Tuning of the feature extractor: the last layer is drawn anew and stays, and all that lies before it is trained.

Min, Qin, Shen and Cheng 2023, Towards Stable Backdoor Purification through Feature Shift Tuning, NeurIPS (arXiv
2310.01875), there FE-tuning. The features must move to fit the new layer. It gets the norm of the suspicious one, as
their code gives it after the first step; a smaller layer would ask for larger features. AdamW in the shared loop; they
take SGD.
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
from anchorlab.repairs.fresh_layer import drawn_anew, restore_norm
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeatureExtractor(Schedule, Repair):
    """Trains all weights but the last layer, which is new."""

    cites: ClassVar[tuple[str, ...]] = ("min2023towards",)
    needs: ClassVar[str] = "a linear layer that gives the logits"

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        check_own_weights(model, [last_layer(model, inputs)])

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        norm = last_layer(model, data.train.inputs).weight.detach().norm()
        repaired = copied(model)
        layer = drawn_anew(repaired, data.train.inputs, context)
        restore_norm(layer, norm)
        layer.requires_grad_(False)
        name = "tuning of the feature extractor"
        tune(track_statistics(repaired), data, self, context, name=name, suspicious=model)
        return repaired.requires_grad_().eval()
