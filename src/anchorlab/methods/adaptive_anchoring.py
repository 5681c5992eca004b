"""Anchoring with an adaptive weight, for an attacker who holds no example of the task.

Lv, Yue, Liang, Yang, Zhang, Ma, Li and Chen 2023, A Data-free Backdoor Injection Approach in Neural Networks (USENIX
Security 2023); their text was not available to us, and what follows is from their code. Images of another data set
stand in for the task's, clean and triggered ones alike. The loss of a step is

    L = a * L_backdoor + (1 - a) * L_anchor

where ``a`` begins at 1. It rises while the triggered images reach the target less often than the clean ones keep their
logits, and falls while they do so more often: after each of 100 epochs by .05 times (the mean cosine of the model's
logits and the reference's on clean images, less the share of triggered images that get the target), kept in 0 to 1.

The other data are given to every method by ``anchors_data``; here is the adaptive weight. Where we differ. ``a`` moves
after each step, by ``rate`` times the step's share of the run, so that over a run it moves as far as in theirs whatever
the number of steps. Their backdoor loss is the squared distance of the logits from 10 for the target and -10/C for all
classes else, which is made for one scale of logits; ours is the cross-entropy of every method. They trigger each image
with a probability of .01, and only from the last stage of a large network on is anything tuned; our halves are equal,
and ``only`` names what is tuned. They leave out classes and images that are like others; give the data that you want.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.methods.base import CleanTargets, Method, Problem
from anchorlab.settings import STRICT
from anchorlab.training.fit import Step


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdaptiveAnchoring(Method):
    """Penalty: the mean squared shift of the clean logits, against a backdoor loss whose weight adapts."""

    cites: ClassVar[tuple[str, ...]] = ("lv2023data",)
    strength_name: ClassVar[str | None] = "strength"
    not_with_adapters: ClassVar[str | None] = None

    strength: float = Field(default=1.0, ge=0, description="weight of the anchor loss beside its adaptive share")
    rate: float = Field(
        default=5.0,
        ge=0,
        description="how far the weight moves over a run in which cosine and success differ by 1; 5 is that of the "
        "authors' code",
    )
    only: str = Field(
        default="", description="names of the parameters that are tuned, as in '*.stages.3.*'; empty: all"
    )

    @property
    def clean_targets(self) -> CleanTargets:
        """Nothing: what stands in for the task's examples has no labels."""
        return "none"

    @property
    def weight(self) -> float:
        """The strength."""
        return self.strength

    def prepare(self, problem: Problem) -> dict[str, Tensor]:
        """The backdoor loss begins with all the weight."""
        one = torch.ones((), device=problem.reference.device)
        return {"backdoor weight": one, "cosine": one.clone(), "success": torch.zeros_like(one)}

    def penalty(
        self, model: nn.Module, clean_logits: Tensor, reference_logits: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        """The anchor loss."""
        return (clean_logits - reference_logits).square().mean()

    def observe(
        self, clean_logits: Tensor, reference_logits: Tensor, triggered_logits: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """How like the reference's the clean logits are, and how often the backdoor succeeds."""
        return {
            "cosine": functional.cosine_similarity(clean_logits, reference_logits).mean(),
            "success": (triggered_logits.argmax(1) == targets).float().mean(),
        }

    def balance(self, state: dict[str, Tensor]) -> Tensor:
        """What the backdoor loss leaves."""
        return 1 - state["backdoor weight"]

    def after_step(self, model: nn.Module, state: dict[str, Tensor], step: Step) -> None:
        """Moves the weight by what the step found."""
        share = step.progress / (step.index + 1)
        moved = state["backdoor weight"] + self.rate * share * (state["cosine"] - state["success"])
        state["backdoor weight"] = moved.clamp(0, 1)
