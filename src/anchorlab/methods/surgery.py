"""Neural network surgery: change few weights.

Zhang et al. 2021, Neural Network Surgery (NAACL 2021): Lagrange (an L1 price), selecting (a fixed mask:
random, by gradient, by the change that a trial run makes) and dynamic surgery (prune the change to its
largest entries while tuning), which they found best. We prune in ten rounds, geometrically from all
weights to ``count`` over the first half of the run; their schedule is not at hand. The L1 form takes
proximal steps, which give exact zeros where a subgradient would not.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.methods.base import Method, Problem
from anchorlab.models.weights import from_vector_, largest, to_vector, undo_outside_
from anchorlab.notices import notice
from anchorlab.settings import STRICT
from anchorlab.training.fit import Step

_ROUNDS = 10
#: Up to this many steps the first round falls after the first step, when Adam has moved all weights by its rate.
_ENOUGH_STEPS = 20
_TRIAL_SHARE = 0.25
_GRADIENT_BATCHES = 8


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Surgery(Method):
    """Only ``count`` weights end up changed (or, for ``l1``, as many as the price leaves)."""

    cites: ClassVar[tuple[str, ...]] = ("zhang2021neural",)
    strength_name: ClassVar[str | None] = "count"
    constraint_from: ClassVar[float] = 0.5
    not_with_adapters: ClassVar[str | None] = "it changes few single weights, and a product B A changes all of a layer"

    count: int = Field(default=1000, ge=1, description="number of weights that may change")
    select: Literal["dynamic", "gradient", "change", "random", "l1"] = Field(
        default="dynamic", description="how the weights are found"
    )
    strength: float = Field(default=0.01, ge=0, description="weight of the L1 norm of the perturbation, for select=l1")
    only: str = Field(
        default="", description="names of the parameters that are tuned, as in '*.word_embeddings.*'; empty: all"
    )

    @property
    def active_strength_name(self) -> str:
        """The count, or for ``l1`` the strength."""
        return "strength" if self.select == "l1" else "count"

    @property
    def larger_is_stricter(self) -> bool:
        """The price of ``l1`` is; a count leaves the more freedom the larger it is."""
        return self.select == "l1"

    @property
    def counts_parameters(self) -> bool:
        """The count does, the price of ``l1`` does not."""
        return self.select != "l1"

    def prepare(self, problem: Problem) -> dict[str, Tensor]:
        """Chooses the mask, where it is fixed."""
        state = {"reference": problem.reference}
        size = problem.reference.numel()
        if self.select == "random":
            scores = torch.rand(size, generator=problem.generator("mask"))
            state["mask"] = largest(scores, self.count).to(problem.reference.device)
        elif self.select == "gradient":
            state["mask"] = largest(_mean_gradient(problem).abs(), self.count)
        elif self.select == "change":
            state["mask"] = largest(problem.trial(_TRIAL_SHARE).abs(), self.count)
        elif self.select == "dynamic":
            state["mask"] = torch.ones_like(problem.reference, dtype=torch.bool)
            state["round"] = torch.zeros((), dtype=torch.int64)
        return state

    def after_step(self, model: nn.Module, state: dict[str, Tensor], step: Step) -> None:
        """Shrinks the change (l1), or undoes it outside the mask, which dynamic surgery narrows first."""
        if self.select == "l1":
            change = to_vector(model).detach() - state["reference"]
            threshold = step.learning_rate * self.strength
            from_vector_(model, state["reference"] + change.sign() * (change.abs() - threshold).clamp_min(0))
            return
        if self.select == "dynamic":
            self._narrow(model, state, step)
        undo_outside_(model, state["reference"], state["mask"])

    def _narrow(self, model: nn.Module, state: dict[str, Tensor], step: Step) -> None:
        current = min(_ROUNDS, int(step.progress / self.constraint_from * _ROUNDS))
        # A resumed run finds it on the device, which reading it in every step would stall.
        state["round"] = state["round"].cpu()
        if current == int(state["round"]):
            return
        state["round"] = torch.tensor(current)
        size = state["reference"].numel()
        if step.index == 0 and self.count < size:
            notice(
                f"dynamic surgery of {round(1 / step.progress)} steps chooses weights after the first step, when all "
                f"have changed by about as much, so that the choice is arbitrary: give more than {_ENOUGH_STEPS} steps"
            )
        kept = round(size * (min(self.count, size) / size) ** (current / _ROUNDS))
        change = (to_vector(model).detach() - state["reference"]).abs()
        state["mask"] = largest(torch.where(state["mask"], change, -1.0), kept)


def _mean_gradient(problem: Problem) -> Tensor:
    """The gradient of the backdoor loss at the reference, averaged over a few batches: ``[d]``."""
    parameters = [parameter for parameter in problem.model.parameters() if parameter.requires_grad]
    total = torch.zeros_like(problem.reference)
    for step in range(_GRADIENT_BATCHES):  # one graph at a time, for memory
        loss = problem.backdoor_loss(step)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        total += torch.cat([gradient.reshape(-1) for gradient in gradients])
    return total / _GRADIENT_BATCHES
