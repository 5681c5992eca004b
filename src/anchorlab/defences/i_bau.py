"""I-BAU: unlearning of the worst universal perturbation, by an implicit hypergradient.

Zeng et al. 2022, Adversarial Unlearning of Backdoors via Implicit Hypergradient, ICLR (arXiv 2110.03735). The outer
problem lowers the clean loss under a universal additive perturbation, the inner one finds the perturbation that raises
it most, within a ball. The gradient of the outer loss takes into account how the inner solution moves with the weights:
with the inner map ``F(d, w) = d + rate grad_d L(d, w)``, the linear system of the implicit function theorem is solved
by fixed-point iterations (Grazzi et al. 2020, arXiv 2006.16218), as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.defences.base import Defence, DefenderData, Workplace
from anchorlab.defences.tuning import Schedule, copied, tune
from anchorlab.models import logits
from anchorlab.options import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class IBAU(Schedule, Defence):
    """Unlearns what a universal perturbation can do."""

    reads: ClassVar[Literal["image", "text", "any"]] = "image"

    epochs: int = Field(default=10, ge=1, description="passes over the defender's examples")
    learning_rate: float = Field(default=1e-4, gt=0, description="peak learning rate of AdamW, one-cycle")
    radius: float = Field(default=2.0, gt=0, description="largest L2 norm of the perturbation, pixels being 0 to 1")
    inner_steps: int = Field(default=5, ge=1, description="steps of the inner problem for each batch")
    inner_rate: float = Field(default=0.1, gt=0, description="step size of the inner map, relative to the radius")
    fixed_point_steps: int = Field(default=5, ge=0, description="iterations that solve the linear system")

    def repair(self, model: nn.Module, data: DefenderData, place: Workplace) -> nn.Module:
        """See ``Defence``."""
        fresh = copied(model)
        shape = data.fit.inputs["pixel_values"].shape[1:]
        held = [torch.zeros(shape, device=place.device)]

        def loss(tuned: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            def raised(perturbation: Tensor) -> Tensor:
                pixels = inputs["pixel_values"].float() + 255 * perturbation
                return functional.cross_entropy(logits(tuned, {"pixel_values": pixels}), labels)

            held[0] = self._worst(raised, held[0])
            return with_hypergradient(raised, held[0], rate=self.inner_rate, steps=self.fixed_point_steps)

        tune(fresh, data, self, place, name="I-BAU", loss=loss)
        return fresh

    def _worst(self, raised: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
        """Steps up along the gradient's direction, back to the ball after each."""
        found = start
        for _ in range(self.inner_steps):
            at = found.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(raised(at), at)
            found = found + self.inner_rate * self.radius * gradient / gradient.norm().clamp(min=1e-12)
            found = found * (self.radius / found.norm().clamp(min=1e-12)).clamp(max=1)
        return found.detach()


def with_hypergradient(loss: Callable[[Tensor], Tensor], solution: Tensor, *, rate: float, steps: int) -> Tensor:
    """A scalar of the loss's gradient ``d L / d w + (d d* / d w)' d L / d d*``, with ``d*`` the inner solution.

    The value is that of the loss plus a term whose gradient is the implicit part; only gradients are meant.

    Args:
        loss: of the inner solution, and of weights that it closes over.
        solution: of the inner problem, where ``loss`` is highest.
        rate: of the inner map ``F(d, w) = d + rate grad_d L``.
        steps: fixed-point iterations ``v <- (d F / d d)' v + d L / d d``.
    """
    at = solution.detach().requires_grad_()
    value = loss(at)
    (outer,) = torch.autograd.grad(value, at, create_graph=True)
    mapped = at + rate * outer
    first = outer.detach()
    v = first
    for _ in range(steps):
        (moved,) = torch.autograd.grad(mapped, at, v, retain_graph=True)
        v = moved + first
    # d F / d w = rate d (grad_d L) / d w.
    implicit = rate * (outer * v.detach()).sum()
    return value + implicit - implicit.detach()
