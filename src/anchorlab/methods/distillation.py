"""Distillation: keep the reference's softened probabilities on clean examples.

Hinton, Vinyals and Dean 2015 (arXiv 1503.02531), with the reference as teacher: ``T^2 KL(p_T || p*_T)``.
As T grows it tends to half of centred anchoring (docs/methods.md); at T = 1 its gradient vanishes
where the reference is confident.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.methods.base import Method
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Distillation(Method):
    """Penalty ``T^2 KL`` between softened probabilities."""

    cites: ClassVar[tuple[str, ...]] = ("hinton2015distilling",)
    strength_name: ClassVar[str | None] = "strength"
    not_with_adapters: ClassVar[str | None] = None

    strength: float = Field(default=2.0, ge=0, description="weight of the distillation loss")
    temperature: float = Field(default=1.0, gt=0, description="temperature T of the softmax")

    @property
    def weight(self) -> float:
        """The strength."""
        return self.strength

    def penalty(
        self, model: nn.Module, clean_logits: Tensor, reference_logits: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        """The divergence, in nats times T squared, averaged over the batch."""
        candidate = (clean_logits / self.temperature).log_softmax(1)
        reference = (reference_logits / self.temperature).log_softmax(1)
        divergence = functional.kl_div(candidate, reference, reduction="batchmean", log_target=True)
        return self.temperature**2 * divergence
