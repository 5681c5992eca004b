"""L2: a quadratic price on the distance from the reference's parameters.

The starting point as reference (L2-SP): Li, Grandvalet and Davoine 2018 (arXiv 1802.01483).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.methods.base import Method, Problem
from anchorlab.models.lora import moved
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class L2(Method):
    """Penalty ``||w* - w||_2^2`` over all trainable parameters; of an adapter over its products ``B A``."""

    cites: ClassVar[tuple[str, ...]] = ("li2018explicit",)
    strength_name: ClassVar[str | None] = "strength"
    not_with_adapters: ClassVar[str | None] = None

    strength: float = Field(default=0.1, ge=0, description="weight of the squared distance")

    @property
    def weight(self) -> float:
        """The strength."""
        return self.strength

    def prepare(self, problem: Problem) -> dict[str, Tensor]:
        """Keeps the reference's parameters."""
        return {"reference": moved(problem.model).detach()}

    def penalty(
        self, model: nn.Module, clean_logits: Tensor, reference_logits: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        """The squared distance."""
        return functional.mse_loss(moved(model), state["reference"], reduction="sum")
