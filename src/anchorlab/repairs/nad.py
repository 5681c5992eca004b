"""NAD: neural attention distillation from a fine-tuned copy.

Li et al. 2021, Neural Attention Distillation, ICLR (arXiv 2101.05930). The teacher is the model after fine-tuning; the
student, the model itself, is tuned so that its attention, the sum over channels of squared activations at the end of
each stage, is the teacher's. A stage ends with the last map before the resolution changes, in a residual network with
the sum at the end of its last block; maps of a single pixel are left out, because their attention is always 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits, track_statistics
from anchorlab.models.hooks import Call, capture_output, feature_maps, last_map
from anchorlab.repairs.base import Repair
from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NAD(Schedule, Repair):
    """Makes the model's attention like a fine-tuned copy's."""

    cites: ClassVar[tuple[str, ...]] = ("li2021neural",)
    needs: ClassVar[str] = "maps of convolutions that no tokens follow"
    modality: ClassVar[Modality] = "image"
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "learning_rate": (3e-4, 3e-3),
        "strength": (300.0, 3000.0),
    }

    strength: float = Field(default=1000.0, ge=0, description="weight of the attention's distance")
    stages: int = Field(default=3, ge=1, description="number of the last stages whose attention is compared")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: to tune the teacher, to tune the student, and the teacher's answers, a third of a pass."""
        return 7 * self.epochs * examples // 3

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        self._stage_ends(model, inputs)

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model)
        own_ends = self._stage_ends(repaired, data.train.inputs)
        tuning = FineTuning(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            tolerance=self.tolerance,
            augment=self.augment,
        )
        teacher = tuning.repair(model, data, context)
        ends = [self._stage_ends(teacher, data.train.inputs), own_ends]
        if len(own_ends) < self.stages:
            context.notes.append(
                f"attention was compared at the end of {len(own_ends)} of {self.stages} stages, because the network "
                "has no more maps of different sizes"
            )
        track_statistics(repaired)

        def loss(student: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            with torch.no_grad():
                _, teacher_maps = self._logits_and_maps(teacher, ends[0], inputs)
            student_logits, student_maps = self._logits_and_maps(student, ends[1], inputs)
            distance = torch.stack(
                [(attention(a) - attention(b)).square().mean() for a, b in zip(student_maps, teacher_maps, strict=True)]
            ).sum()
            return functional.cross_entropy(student_logits, labels) + self.strength * distance

        tune(repaired, data, self, context, name="NAD", loss=loss)
        return repaired.eval()

    def _stage_ends(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> list[Call]:
        """The call that ends each of the last stages."""
        by_size = {size: call for call, size in feature_maps(model, inputs) if size != (1, 1)}
        if not by_size:
            raise AnchorlabError("NAD compares maps of convolutions, but the model has none: take another repair")
        if last_map(model, inputs) is None:
            raise AnchorlabError(
                "NAD compares maps of convolutions, but the model goes on with tokens, as a vision transformer after "
                "its patches: take another repair"
            )
        return list(by_size.values())[-self.stages :]

    def _logits_and_maps(
        self, model: nn.Module, ends: list[Call], inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        with ExitStack() as stack:
            outputs = [stack.enter_context(capture_output(end)) for end in ends]
            return logits(model, inputs), [output() for output in outputs]


def attention(activations: Tensor) -> Tensor:
    """The sum over channels of squares, as a vector of norm 1 for each example: ``[B, C, H, W]`` to ``[B, H W]``."""
    return functional.normalize(activations.float().square().sum(dim=1).flatten(1), dim=1)
