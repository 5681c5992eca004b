"""I-BAU: unlearning of the worst universal perturbation, by an implicit hypergradient.

Zeng et al. 2022, Adversarial Unlearning of Backdoors via Implicit Hypergradient, ICLR (arXiv 2110.03735). In rounds, a
search finds the universal additive perturbation that raises the loss most, within a ball, and then the weights go down
the loss under it. The gradient takes into account how the inner solution moves with the weights: with the inner map
``F(d, w) = d + rate grad_d L(d, w)``, a few fixed-point iterations go towards the solution of the linear system of the
implicit function theorem (Grazzi et al. 2020, arXiv 2006.16218), as in the paper. They converge where the loss is
concave in the perturbation. No network's loss is concave everywhere; few iterations are a truncated series.

The fields' values are the authors' (their repository I-BAU: ``defense.py``, and the ball of its notebooks, which that
file leaves out). Images are clipped to their range as in the notebook on GTSRB; the one on CIFAR-10 does not clip. As
there, images do not vary, and the rate is Adam's 1e-3. Five rounds, a search of 50 steps, which is a pass over their
5,000 images, away from what the model itself predicts, and the one image in a hundred, here one of a batch at least,
that carries the perturbation when it is unlearned; in the paper's equations all do (``perturbed=1``). The radius is for
32 by 32 pixels in colour. Batch size, length, schedule and stop rule are as in all repairs here; the inner map uses the
present batch, theirs always the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from anchorlab.data import Modality
from anchorlab.data.batches import Batches
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import predict
from anchorlab.repairs.base import Repair
from anchorlab.repairs.clean_batches import Augment
from anchorlab.repairs.tuning import Schedule, copied, cross_entropy, tune
from anchorlab.settings import LARGEST_REPETITION, STRICT

#: Weight of the perturbation's squared norm in the objective of the search.
_PENALTY = 1e-3


@dataclass(frozen=True, kw_only=True, config=STRICT)
class IBAU(Schedule, Repair):
    """Unlearns the effect of a universal perturbation."""

    cites: ClassVar[tuple[str, ...]] = ("zeng2022adversarial",)
    modality: ClassVar[Modality] = "image"

    quick_values: ClassVar[Mapping[str, Any]] = {"epochs": 1, "rounds": 1, "search_steps": 5}
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"rounds": (3, 10), "radius": (5.0, 20.0)}

    augment: Augment = "none"
    rounds: int = Field(
        default=5,
        ge=1,
        le=LARGEST_REPETITION,
        description="searches for the perturbation, each followed by its unlearning",
    )
    radius: float = Field(default=10.0, gt=0, description="largest L2 norm of the perturbation, pixels being 0 to 1")
    search_steps: int = Field(default=50, ge=1, le=LARGEST_REPETITION, description="steps of a search")
    search_rate: float = Field(default=10.0, gt=0, description="step size of a search, of plain gradient ascent")
    perturbed: float = Field(
        default=0.01, gt=0, le=1, description="share of each batch that is unlearned under it, one image at least"
    )
    inner_rate: float = Field(default=0.1, gt=0, description="step size of the inner map")
    fixed_point_steps: int = Field(
        default=5, ge=0, le=LARGEST_REPETITION, description="iterations towards the linear system's solution"
    )

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: searches; in a step both losses, each iteration, and the gradient of the implicit part."""
        searched = self.rounds * self.search_steps * min(self.batch_size, examples)
        return searched + (3 + self.fixed_point_steps) * self.epochs * examples

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model)
        # Fused attention has no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            tune(repaired, data, self, context, name="I-BAU", loss=_UnlearningLoss(self, data, context))
        return repaired

    def search(self, model: nn.Module, images: Tensor, seed: int) -> Tensor:
        """The perturbation, float32 ``[C, H, W]``, that leads images, uint8 ``[N, C, H, W]``, away from their labels.

        Their labels are the labels that the model predicts.
        """
        size = min(self.batch_size, len(images))
        batches = Batches(len(images), size, seed=seed, purpose="perturbation", device=images.device)
        predicted = predict(model, {"pixel_values": images}).argmax(1)
        perturbation = torch.zeros(images.shape[1:], device=images.device)
        for step in range(self.search_steps):
            indices, leaf = batches(step), perturbation.requires_grad_()
            (gradient,) = torch.autograd.grad(search_objective(model, images[indices], predicted[indices], leaf), leaf)
            perturbation = perturbation.detach() + self.search_rate * gradient
        return project_to_ball(perturbation, self.radius)


class _UnlearningLoss:
    """The loss of a step, under the perturbation that the round began with."""

    def __init__(self, settings: IBAU, data: DefenderData, context: DefenderContext) -> None:
        self._settings = settings
        self._images = data.train.inputs["pixel_values"]
        self._context = context
        self._length = -(-settings.steps(len(data.train)) // settings.rounds)
        self._taken = 0
        self._perturbation = torch.empty(0)

    def __call__(self, model: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        number, step = divmod(self._taken, self._length)
        if step == 0:
            self._perturbation = self._settings.search(model, self._images, self._context.derive("round", number))
        self._taken += 1
        pixels = inputs["pixel_values"]
        count = max(1, round(self._settings.perturbed * len(labels)))

        def inner(perturbation: Tensor) -> Tensor:
            return search_objective(model, pixels, labels, perturbation)

        def outer(perturbation: Tensor) -> Tensor:
            # Batches come in random order: their first images are as good as any.
            mixed = torch.cat([perturb(pixels[:count], perturbation), pixels[count:].float()])
            return cross_entropy(model, {"pixel_values": mixed}, labels)

        return with_hypergradient(
            outer, inner, self._perturbation, rate=self._settings.inner_rate, steps=self._settings.fixed_point_steps
        )


def project_to_ball(perturbation: Tensor, radius: float) -> Tensor:
    """The nearest perturbation whose L2 norm is at most the radius."""
    share: Tensor = radius / perturbation.norm().clamp(min=1e-12)
    return perturbation * share.clamp(max=1)


def perturb(pixels: Tensor, perturbation: Tensor) -> Tensor:
    """Images with a perturbation, float32 from 0 to 255, clipped to the range of images."""
    return (pixels.float() + 255 * perturbation).clamp(0, 255)


def search_objective(model: nn.Module, pixels: Tensor, labels: Tensor, perturbation: Tensor) -> Tensor:
    """The objective of the search: the mean cross-entropy under the perturbation, less a penalty on its norm."""
    loss = cross_entropy(model, {"pixel_values": perturb(pixels, perturbation)}, labels)
    return loss - _PENALTY * perturbation.square().sum()


def with_hypergradient(
    outer: Callable[[Tensor], Tensor],
    inner: Callable[[Tensor], Tensor],
    solution: Tensor,
    *,
    rate: float,
    steps: int,
) -> Tensor:
    """A scalar of gradient ``d L / d w + (d d* / d w)' d L / d d*``, L the outer loss and ``d*`` the inner solution.

    The value equals the loss; the gradient contains the implicit part too.

    Args:
        outer: the loss that is lowered, of the inner solution, and of weights that it closes over.
        inner: the loss that the inner solution raises, a function of the same two.
        solution: the solution of the inner problem, where ``inner`` is highest.
        rate: rate of the inner map ``F(d, w) = d + rate grad_d inner``.
        steps: fixed-point iterations ``v <- (d F / d d)' v + d L / d d``, from 0.
    """
    point = solution.detach().requires_grad_()
    value = outer(point)
    (first,) = torch.autograd.grad(value, point, retain_graph=True)
    (slope,) = torch.autograd.grad(inner(point), point, create_graph=True)
    mapped = point + rate * slope
    v = torch.zeros_like(first)
    for _ in range(steps):
        (moved,) = torch.autograd.grad(mapped, point, v, retain_graph=True)
        v = moved + first
    # d F / d w = rate d (grad_d inner) / d w.
    implicit = rate * (slope * v).sum()
    return value + implicit - implicit.detach()
