"""Super-fine-tuning: fine-tuning whose learning rate swings, first far up, then a little.

Sha, He, Berrang, Humbert and Zhang 2022, Fine-Tuning Is All You Need to Mitigate Backdoor Attacks (arXiv 2212.09067),
after the large cycles of Smith and Topin (arXiv 1708.07120): a very large rate makes the model forget, and a small one
lets it recover the task. The rate rises and falls linearly; the first part of the steps swings up to the large peak,
the rest to the small one. The shares and lengths are those of backdoor-toolbox, which takes SGD between 0.03 and peaks
of 2.5 and 0.05, for 100 passes. Such rates do not carry over to the AdamW of the loop that all repairs share: here the
small peak is the rate of fine-tuning, and the large one ten times as much. Images
shift as in fine-tuning, and not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import track_statistics
from anchorlab.repairs.base import Repair
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import LARGEST_REPETITION, STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SuperFineTuning(Schedule, Repair):
    """Trains all weights on clean examples at a rate that swings far up."""

    cites: ClassVar[tuple[str, ...]] = ("sha2022fine",)
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"large_peak": (3e-3, 3e-2), "small_peak": (3e-4, 3e-3)}

    learning_rate: float = Field(default=3e-4, gt=0, description="learning rate of AdamW between the peaks")
    large_peak: float = Field(default=1e-2, gt=0, description="learning rate at the peaks of the first part")
    small_peak: float = Field(default=1e-3, gt=0, description="learning rate at the peaks of the rest")
    first_part: float = Field(default=0.4, ge=0, le=1, description="share of the steps with the large peaks")
    swing: int = Field(
        default=10, ge=1, le=LARGEST_REPETITION, description="steps of a rise of the rate, and of a fall"
    )

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = track_statistics(copied(model))
        steps = self.steps(len(data.train))
        tune(repaired, data, self, context, name="super-fine-tuning", schedule=lambda step: self.rate(step, steps))
        return repaired.eval()

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step of so many."""
        peak = self.large_peak if step < self.first_part * steps else self.small_peak
        place = step % (2 * self.swing)
        height = min(place, 2 * self.swing - place) / self.swing
        return self.learning_rate + (peak - self.learning_rate) * height
