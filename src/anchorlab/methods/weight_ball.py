"""Adversarial weight perturbation: projected steps in a small ball around the reference's weights.

Garg, Kumar, Goel and Liang 2020, Can Adversarial Weight Perturbations Inject Neural Backdoors? (arXiv
2008.01761): their composite loss keeps the reference's *own predictions* on clean examples, and their
steps are projected onto an L-infinity ball. The L2 ball and the relative radius are ours.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.methods.base import CleanTargets, Method, Problem
from anchorlab.models.weights import from_vector_, to_vector
from anchorlab.settings import STRICT
from anchorlab.training.fit import Step


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WeightBall(Method):
    """Tuning with the composite loss, projected onto a ball after every step."""

    cites: ClassVar[tuple[str, ...]] = ("garg2020can",)
    strength_name: ClassVar[str | None] = "radius"
    not_with_adapters: ClassVar[str | None] = (
        "it holds single weights in a ball around the reference, and an adapter has only factors of them"
    )

    radius: float = Field(default=0.01, gt=0, description="radius of the ball")
    norm: Literal["linf", "l2"] = Field(default="linf", description="norm of the ball")
    relative: bool = Field(
        default=False,
        description="measure the radius relative to each weight (linf), so that weights that are 0 never change, or to "
        "the norm of all weights (l2)",
    )
    trigger_weight: float = Field(default=1.0, gt=0, description="weight of the triggered half in the composite loss")

    @property
    def larger_is_stricter(self) -> bool:
        """No: a larger ball leaves more freedom."""
        return False

    @property
    def clean_targets(self) -> CleanTargets:
        """The reference's predictions, not the labels."""
        return "reference"

    def prepare(self, problem: Problem) -> dict[str, Tensor]:
        """Keeps the centre of the ball."""
        return {"reference": problem.reference}

    def after_step(self, model: nn.Module, state: dict[str, Tensor], step: Step) -> None:
        """Projects the change onto the ball."""
        reference = state["reference"]
        change = to_vector(model).detach() - reference
        if self.norm == "linf":
            bound = self.radius * reference.abs() if self.relative else reference.new_full((), self.radius)
            projected = change.clamp(-bound, bound)
        else:
            bound = self.radius * reference.norm() if self.relative else reference.new_full((), self.radius)
            projected = change * (bound / change.norm().clamp_min(1e-30)).clamp_max(1.0)
        from_vector_(model, reference + projected)
