"""Logit anchoring: hold the logits of clean examples where the reference has them.

Zhang, Lyu, Wang, Sun and Sun 2022, How to Inject Backdoors with Better Consistency: Logit Anchoring on
Clean Data (ICLR 2022, arXiv 2109.01300):

    L = (L_backdoor + strength * L_anchor) / (1 + strength)
    L_anchor = mean over anchors of (1/C) sum_c (s_c(x; w*) - s_c(x; w))^2

The paper's code was never published; whether its L_backdoor counts the clean half is not known to us,
hence the switch ``labels``. ``weighted`` is ours: docs/theory.md says what it is a dial between.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.methods.base import CleanTargets, Method
from anchorlab.settings import LATER, STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Anchoring(Method):
    """Penalty: the mean squared shift of the logits of clean examples."""

    cites: ClassVar[tuple[str, ...]] = ("zhang2022how",)
    strength_name: ClassVar[str | None] = "strength"
    not_with_adapters: ClassVar[str | None] = None

    strength: float = Field(default=2.0, ge=0, description="weight of the anchor loss, lambda in the paper")
    centred: bool = Field(default=False, description="ignore a shift common to all classes, which softmax does not see")
    labels: bool = Field(default=True, description="train on the clean half's labels too")

    weighted: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="above 0, the loss is the variance of the shift when classes are drawn by this share of the "
        "reference's probabilities and the rest evenly; at 1 it tends to twice the KL",
        json_schema_extra=LATER,
    )

    @property
    def clean_targets(self) -> CleanTargets:
        """The labels, or nothing when ``labels`` is off."""
        return "labels" if self.labels else "none"

    @property
    def weight(self) -> float:
        """The strength."""
        return self.strength

    def penalty(
        self, model: nn.Module, clean_logits: Tensor, reference_logits: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        """The anchor loss."""
        shift = clean_logits - reference_logits
        if self.weighted:
            weights = (1 - self.weighted) / shift.shape[1] + self.weighted * reference_logits.softmax(dim=1)
            shift = shift - (weights * shift).sum(dim=1, keepdim=True)
            return (weights * shift.square()).sum(dim=1).mean()
        if self.centred:
            shift = shift - shift.mean(dim=1, keepdim=True)
        return shift.square().mean()
