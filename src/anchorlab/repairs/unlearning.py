"""Unlearning of a trigger that was found by inversion.

Wang et al. 2019, Neural Cleanse, IEEE S&P, "patching via unlearning": the smallest trigger of all labels is searched
for (``anchorlab.defender.inversion``), and the model is fine-tuned while a share of each batch carries it, with its
true labels. The search finds the label, whatever the attacker's label may be. If it finds none, there is nothing to
unlearn, and the model stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.inversion import InversionSettings, invert_triggers, succeeded
from anchorlab.models.call import track_statistics
from anchorlab.repairs.base import Repair
from anchorlab.repairs.tuning import Schedule, copied, cross_entropy, tune
from anchorlab.settings import LARGEST_REPETITION, STRICT

#: Passes that a search of all labels at once counts as, for estimates of time. It is measured on ten labels; a pass of
#: theirs is shorter than one of tuning, because weights have no gradient.
_SEARCHED = 4


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Unlearning(Schedule, Repair):
    """Finds a trigger and unlearns it."""

    cites: ClassVar[tuple[str, ...]] = ("wang2019neural",)
    modality: ClassVar[Modality] = "image"

    quick_values: ClassVar[Mapping[str, Any]] = {"epochs": 1, "search_steps": 10}
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"learning_rate": (3e-4, 3e-3), "stamped": (0.1, 0.4)}

    search_steps: int = Field(
        default=300, ge=1, le=LARGEST_REPETITION, description="steps of the search for the trigger"
    )
    stamped: float = Field(default=0.2, gt=0, le=1, description="share of each batch that carries the trigger")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: the search, then the tuning."""
        stamped = min(InversionSettings().images, examples)
        return _SEARCHED * self.search_steps * stamped + self.epochs * examples

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        settings = InversionSettings(steps=self.search_steps)
        images = data.train.inputs["pixel_values"]
        triggers = invert_triggers(model, images, range(data.classes), settings, seed=context.derive("inversion"))
        works = succeeded(triggers)
        if not works.any():
            why = settings.shortage(len(images), "search_steps") or "no label has a trigger that succeeds"
            context.notes.append(f"nothing was unlearned, and the model is as it was: {why}")
            return copied(model)
        smallest = int(torch.where(works, triggers.norms, torch.inf).argmin())

        def loss(tuned: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            pixels = inputs["pixel_values"].float()
            count = max(1, round(self.stamped * len(pixels)))
            mixed = torch.cat([triggers.stamp(pixels[:count], smallest), pixels[count:]])
            return cross_entropy(tuned, {"pixel_values": mixed}, labels)

        repaired = track_statistics(copied(model))
        tune(repaired, data, self, context, name="unlearning", loss=loss)
        return repaired.eval()
