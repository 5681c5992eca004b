"""A repair: what removes a backdoor, from the model and some clean examples."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.repairs import DefenderContext, DefenderData, Repair, Schedule, logits, tune


@dataclass(frozen=True, kw_only=True)
class Smoothing(Schedule, Repair):
    """Fine-tunes with smoothed labels."""

    smoothing: float = Field(default=0.1, ge=0, lt=1, description="share of the probability that all classes get")

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """A tuned copy; the model and the data stay as they are."""
        repaired = copy.deepcopy(model)

        def loss(tuned: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            return functional.cross_entropy(logits(tuned, inputs), labels, label_smoothing=self.smoothing)

        tune(repaired, data, self, context, name="smoothing", loss=loss)
        return repaired.eval()
