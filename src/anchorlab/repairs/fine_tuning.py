"""Fine-tuning: the model is trained further on the defender's clean examples.

The oldest repair, studied by Liu, Dolan-Gavitt and Garg 2018 (Fine-Pruning, arXiv 1805.12185), who found that it often
fails, because clean examples give the backdoored weights no reason to change.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import track_statistics
from anchorlab.repairs.base import Repair
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FineTuning(Schedule, Repair):
    """Trains all weights on clean examples."""

    cites: ClassVar[tuple[str, ...]] = ("liu2018fine",)

    batchnorm: Literal["frozen", "tracked"] = Field(
        default="tracked", description="keep BatchNorm's statistics, or let the batches move them"
    )

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model)
        if self.batchnorm == "tracked":
            track_statistics(repaired)
        tune(repaired, data, self, context, name="fine-tuning")
        return repaired.eval()
