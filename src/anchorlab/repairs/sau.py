"""SAU: unlearning of the adversarial examples that the model shares with the suspicious one.

Wei, Zhang, Zha and Wu 2023, Shared Adversarial Unlearning: Backdoor Mitigation by Unlearning Shared Adversarial
Examples, NeurIPS (arXiv 2307.10562). In each step a perturbation of each image within ``radius`` is searched that
fools the model ``h`` and the suspicious model ``h0`` alike: signed steps down ``- adversarial (CE(h, y) + CE(h0, y)) /
2 + shared JS(h, h0)``, the first for answers that have not changed yet, the second while the two do not agree on a
wrong one. Then the weights go down ``CE(clean) + unlearning * mean of -log(1 - p(t))``, where ``t`` is what ``h0``
says of a perturbed image that fools it, and ``p`` the probability by ``h``. A trigger is such a
perturbation, so that its effect goes too.

Weights, radius, steps and the start at the upper corner of the box are those of the authors' code in BackdoorBench. We
keep perturbed images within the range of images, which it leaves out. It clamps probabilities in ``log(1 - p)``; we
compute it from logits without loss. BatchNorm keeps its statistics, and images do not vary, as there. It takes 100
passes by Adam at 1e-4, in batches of 256; we take the length, rate and batches of the other repairs, 20 passes at 1e-3
in batches of 32, by AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import logits
from anchorlab.repairs.base import Repair
from anchorlab.repairs.clean_batches import Augment
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import LARGEST_REPETITION, STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SAU(Schedule, Repair):
    """Unlearns the adversarial examples that it shares with the suspicious model."""

    cites: ClassVar[tuple[str, ...]] = ("wei2023shared",)
    modality: ClassVar[Modality] = "image"

    quick_values: ClassVar[Mapping[str, Any]] = {"epochs": 1, "search_steps": 2}
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"learning_rate": (3e-4, 3e-3), "radius": (0.1, 0.4)}

    augment: Augment = "none"
    radius: float = Field(default=0.2, gt=0, description="largest change of a pixel, pixels being 0 to 1")
    search_steps: int = Field(default=5, ge=1, le=LARGEST_REPETITION, description="steps of a search")
    search_rate: float = Field(default=0.2, gt=0, description="change of a pixel in a step of a search")
    adversarial: float = Field(default=0.01, ge=0, description="weight of the cross-entropies in a search")
    shared: float = Field(default=1.0, ge=0, description="weight of the divergence of the two models in a search")
    unlearning: float = Field(default=1.0, ge=0, description="weight of what is unlearned")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: both models in each step of a search, then clean and perturbed examples."""
        return (2 * self.search_steps + 2) * self.epochs * examples

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        suspicious = copied(model).requires_grad_(False)

        def loss(tuned: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            pixels = inputs["pixel_values"]
            perturbed = {"pixel_values": self.search(tuned, suspicious, pixels, labels)}
            with torch.no_grad():
                before, after = (logits(suspicious, each).argmax(1) for each in (inputs, perturbed))
            fooled = (after != labels) & (after != before)
            clean = functional.cross_entropy(logits(tuned, inputs), labels)
            return clean + self.unlearning * (log_complement(logits(tuned, perturbed), after) * -fooled.float()).mean()

        repaired = copied(model)
        tune(repaired, data, self, context, name="SAU", loss=loss)
        return repaired

    def search(self, model: nn.Module, suspicious: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """Perturbed images that fool both models alike, float32 from 0 to 255, of images, uint8 ``[B, C, H, W]``."""
        images = pixels.float() / 255
        with torch.no_grad():
            said, said_before = (logits(one, {"pixel_values": pixels}).argmax(1) for one in (model, suspicious))
        perturbed = (images + self.radius).clamp(0, 1)
        for _ in range(self.search_steps):
            leaf = perturbed.requires_grad_()
            own, theirs = (logits(one, {"pixel_values": 255 * leaf}) for one in (model, suspicious))
            moved, moved_before = own.argmax(1) != said, theirs.argmax(1) != said_before
            shared = moved & moved_before & (own.argmax(1) == theirs.argmax(1))
            entropies = ~moved * _cross_entropies(own, labels) + ~moved_before * _cross_entropies(theirs, labels)
            objective = self.shared * ~shared * divergence(own, theirs) - self.adversarial * entropies / 2
            (slope,) = torch.autograd.grad(objective.mean(), leaf)
            stepped = leaf.detach() - self.search_rate * slope.sign()
            perturbed = (images + (stepped - images).clamp(-self.radius, self.radius)).clamp(0, 1)
        return 255 * perturbed


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """The Jensen-Shannon divergence of the answers to each example, in nats: two ``[B, C]`` of logits to ``[B]``."""
    logs = [values.log_softmax(1) for values in (first, second)]
    mean = torch.logaddexp(logs[0], logs[1]) - math.log(2)
    return torch.stack([(log.exp() * (log - mean)).sum(1) for log in logs]).mean(0)


def log_complement(answers: Tensor, labels: Tensor) -> Tensor:
    """``log(1 - p(label))`` of each example, from logits ``[B, C]`` and labels ``[B]``."""
    others = answers.scatter(1, labels[:, None], -torch.inf)
    return others.logsumexp(1) - answers.logsumexp(1)


def _cross_entropies(answers: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(answers, labels, reduction="none")
