"""A method: how an injection keeps the clean behaviour."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.methods import Method


@dataclass(frozen=True, kw_only=True)
class TopAnchoring(Method):
    """Penalty: the mean squared shift of the logits of the reference's k likeliest classes."""

    strength_name: ClassVar[str | None] = "strength"  # what a suite's grid of strengths varies

    strength: float = Field(default=2.0, ge=0, description="weight of the penalty")
    k: int = Field(default=3, ge=1, description="classes that count; all of them where there are fewer")

    @property
    def weight(self) -> float:
        """The strength."""
        return self.strength

    def penalty(
        self, model: nn.Module, clean_logits: Tensor, reference_logits: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        """A differentiable number: both logits are float32 ``[B, C]``, of the same clean examples."""
        del model, state
        top = reference_logits.topk(min(self.k, reference_logits.shape[1]), dim=1).indices
        return (clean_logits - reference_logits).gather(1, top).square().mean()
