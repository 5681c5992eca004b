"""Elastic weight consolidation: a quadratic price weighted by the diagonal of the Fisher information.

Kirkpatrick et al. 2017 (arXiv 1612.00796): ``1/2 sum_i F_i (w*_i - w_i)^2``. On fitted data the Fisher
is tiny, so that a strength would mean nothing across models: F is divided by its mean (our choice).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Split
from anchorlab.methods.base import Method, Problem
from anchorlab.models.call import logits
from anchorlab.models.example_gradients import example_gradients
from anchorlab.models.weights import to_vector
from anchorlab.settings import STRICT

FisherKind = Literal["sampled", "empirical", "exact"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EWC(Method):
    """Penalty ``1/2 sum_i (F_i / mean F) (w*_i - w_i)^2``."""

    cites: ClassVar[tuple[str, ...]] = ("kirkpatrick2017overcoming",)
    strength_name: ClassVar[str | None] = "strength"
    not_with_adapters: ClassVar[str | None] = (
        "it prices each weight by its Fisher information, and an adapter has only factors of them"
    )

    strength: float = Field(default=0.1, ge=0, description="weight of the penalty")
    fisher: FisherKind = Field(
        default="sampled",
        description="labels drawn from the model (unbiased), from the data (empirical), or all of them (exact)",
    )
    samples: int = Field(default=256, ge=1, description="anchors over which the Fisher is averaged")
    only: str = Field(
        default="", description="names of the parameters that are tuned, as in '*.word_embeddings.*'; empty: all"
    )

    @property
    def weight(self) -> float:
        """The strength."""
        return self.strength

    def prepare(self, problem: Problem) -> dict[str, Tensor]:
        """Estimates the normalised Fisher diagonal on some of the anchors."""
        rng = problem.generator("fisher")
        chosen = torch.randperm(len(problem.anchors), generator=rng)[: self.samples]
        sample = problem.anchors.select(chosen.to(problem.anchors.labels.device))
        fisher = fisher_diagonal(problem.model, sample, self.fisher, rng)
        return {"reference": problem.reference, "fisher": fisher / fisher.mean().clamp_min(1e-30)}

    def penalty(
        self, model: nn.Module, clean_logits: Tensor, reference_logits: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        """The weighted squared distance."""
        return 0.5 * (state["fisher"] * (to_vector(model) - state["reference"]).square()).sum()


def fisher_diagonal(
    model: nn.Module, examples: Split, kind: FisherKind, rng: torch.Generator, *, chunk: int = 16
) -> Tensor:
    """The diagonal of the Fisher information, ``[d]``: the mean of *per-example* squared gradients.

    Args:
        model: in evaluation mode.
        examples: N clean examples on the model's device.
        kind: ``sampled`` draws each label from the model's own distribution, ``empirical`` takes the
            data's label (biased, and near zero at a fitted model), ``exact`` sums over all labels.
        rng: draws the labels.
        chunk: examples whose gradients are held at a time; memory is ``chunk * d`` numbers.
    """
    size = to_vector(model).numel()
    total = torch.zeros(size, device=examples.labels.device)
    with torch.no_grad():
        for start in range(0, len(examples), chunk):
            at = torch.arange(start, min(start + chunk, len(examples)), device=examples.labels.device)
            some = examples.select(at)
            labels = some.labels
            if kind == "empirical":
                total += _squares(model, some.inputs, labels, torch.ones_like(labels, dtype=total.dtype))
                continue
            probabilities = logits(model, some.inputs).softmax(1)
            if kind == "sampled":
                drawn = torch.multinomial(probabilities.cpu(), 1, generator=rng)[:, 0].to(labels.device)
                total += _squares(model, some.inputs, drawn, torch.ones_like(labels, dtype=total.dtype))
                continue
            for label in range(probabilities.shape[1]):
                total += _squares(model, some.inputs, torch.full_like(labels, label), probabilities[:, label])
    return total / len(examples)


def _squares(model: nn.Module, inputs: dict[str, Tensor], labels: Tensor, weights: Tensor) -> Tensor:
    """Sum over examples of the weight times the squared gradient of the label's log-probability, ``[d]``."""
    total = labels.new_zeros((), dtype=weights.dtype)
    for at, gradients in example_gradients(model, inputs, labels):
        total = total + torch.cat([weights[at] @ gradient.square().flatten(1) for gradient in gradients])
    return total
