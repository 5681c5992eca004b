"""I-BAU: unlearning of the worst universal perturbation, by an implicit hypergradient.

Zeng et al. 2022, Adversarial Unlearning of Backdoors via Implicit Hypergradient, ICLR (arXiv 2110.03735). The outer
problem lowers the clean loss under a universal additive perturbation, the inner one finds the perturbation that raises
it most, within a ball. The gradient of the outer loss takes into account how the inner solution moves with the weights:
with the inner map ``F(d, w) = d + rate grad_d L(d, w)``, a few fixed-point iterations go towards the solution of the
linear system of the implicit function theorem (Grazzi et al. 2020, arXiv 2006.16218), as in the paper. They converge
where the loss is concave in the perturbation, which no network's is everywhere; few of them are a truncated series.
In the outer loss one image in a hundred carries the perturbation, one of a batch at least, as in the authors' code; in
the paper's equations all do (``perturbed=1``), which costs much accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from anchorlab.defences.base import Defence, DefenderData, Workplace
from anchorlab.defences.tuning import Schedule, copied, cross_entropy, tune
from anchorlab.options import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class IBAU(Schedule, Defence):
    """Unlearns what a universal perturbation can do."""

    reads: ClassVar[Literal["image", "text", "any"]] = "image"

    epochs: int = Field(default=10, ge=1, description="passes over the defender's examples")
    radius: float = Field(default=2.0, gt=0, description="largest L2 norm of the perturbation, pixels being 0 to 1")
    perturbed: float = Field(
        default=0.01, gt=0, le=1, description="share of each batch that is unlearned under it, one image at least"
    )
    inner_steps: int = Field(default=5, ge=1, description="steps of the inner problem for each batch")
    inner_rate: float = Field(
        default=0.1, gt=0, description="step size of the inner map, and of the inner steps relative to the radius"
    )
    fixed_point_steps: int = Field(default=5, ge=0, description="iterations towards the linear system's solution")

    def repair(self, model: nn.Module, data: DefenderData, place: Workplace) -> nn.Module:
        """See ``Defence``."""
        fresh = copied(model)
        shape = data.fit.inputs["pixel_values"].shape[1:]
        held = [torch.zeros(shape, device=place.device)]

        def loss(tuned: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            def under(perturbation: Tensor, count: int) -> Tensor:
                pixels = inputs["pixel_values"].float()
                mixed = torch.cat([pixels[:count] + 255 * perturbation, pixels[count:]])
                return cross_entropy(tuned, {"pixel_values": mixed}, labels)

            inner = partial(under, count=len(labels))
            outer = partial(under, count=max(1, round(self.perturbed * len(labels))))
            held[0] = self._worst(inner, held[0])
            return with_hypergradient(outer, inner, held[0], rate=self.inner_rate, steps=self.fixed_point_steps)

        # Fused attention has no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
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


def with_hypergradient(
    outer: Callable[[Tensor], Tensor],
    inner: Callable[[Tensor], Tensor],
    solution: Tensor,
    *,
    rate: float,
    steps: int,
) -> Tensor:
    """A scalar of gradient ``d L / d w + (d d* / d w)' d L / d d*``, L the outer loss and ``d*`` the inner solution.

    The value is that of the loss plus a term whose gradient is the implicit part; only gradients are meant.

    Args:
        outer: the loss that is lowered, of the inner solution, and of weights that it closes over.
        inner: the loss that the inner solution raises, likewise.
        solution: of the inner problem, where ``inner`` is highest.
        rate: of the inner map ``F(d, w) = d + rate grad_d inner``.
        steps: fixed-point iterations ``v <- (d F / d d)' v + d L / d d``, from 0.
    """
    at = solution.detach().requires_grad_()
    value = outer(at)
    (first,) = torch.autograd.grad(value, at, retain_graph=True)
    (slope,) = torch.autograd.grad(inner(at), at, create_graph=True)
    mapped = at + rate * slope
    v = torch.zeros_like(first)
    for _ in range(steps):
        (moved,) = torch.autograd.grad(mapped, at, v, retain_graph=True)
        v = moved + first
    # d F / d w = rate d (grad_d inner) / d w.
    implicit = rate * (slope * v).sum()
    return value + implicit - implicit.detach()
