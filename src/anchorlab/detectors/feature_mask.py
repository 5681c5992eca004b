"""BAN's detector: without the features that labels need, a backdoored model under noise answers one class.

Xu, Liu, Koffas, Yu and Picek 2024, BAN: Detecting Backdoors Activated by Adversarial Neuron Noise, NeurIPS (arXiv
2405.19928); the mask is that of BTI-DBF (Xu et al. 2024, ICLR) with a penalty. A mask m in [0, 1] on the features f is
learned so that ``m f`` gives the labels and ``(1 - m) f`` does not, while its L1 norm stays small. Then noise on the
weights and biases of BatchNorm is taken that raises the clean loss, because it wakes the backdoor's neurons, and the
model answers from ``(1 - m) f`` under the noise. The score is by how much the share of the defender's examples that
fall on one class exceeds the share that bear its label; that class is the suspected target.

Rates, the radius, the length of the mask's search and the one signed step are the defaults of the authors' code. The
penalty's weight of 0.75 is that of the command on its page, which takes 400 steps for the mask and 30 for the noise;
the code's default is 0.25. With either, the mask of a network with few features may take all of them, so that the rest
says nothing: such a start does not count, and where none is left, the score is NaN. A larger weight helps. With too
large a weight the mask takes none, and the score is that of the noise alone.

Where we differ. Their mask lies on the last map of a residual network, ours on the features that enter the last layer.
On which class the answers fall depends on the start in clean models, too, so that we take the mean over several, and
they one. BatchNorm has its own statistics throughout; in their code those of each batch, which move its own, while mask
and noise are found. Their noise starts within the box and its step leaves it; ours is cut to it, as in the repair
``ban``. They clip the mask before each step, we after it. Their code prints how often each class is answered on a tenth
of the training set, and the most frequent one is the target; we take the defender's examples, and the excess over the
labels, because they may be more of one class than of another. The verdict on a model is left to a population of clean
ones.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality, Split
from anchorlab.data.batches import Batches, moved
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.feature_mask import mask_loss
from anchorlab.defender.neuron_noise import Noise, noised_loss, noisy, worst_noise
from anchorlab.detectors.base import ModelDetector, ModelScore, details_of
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.models.hooks import features, last_layer, norms_of
from anchorlab.models.weights import frozen
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT

#: A mask takes all features if it leaves no more than this of any.
_REST = 0.01


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeatureMask(ModelDetector):
    """Counts the answers from features that labels do not need, under noise on channels."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("xu2024ban", "xu2024towards")
    needs: ClassVar[str] = "BatchNorm of maps and a linear layer that gives the logits, from one vector an input"
    modality: ClassVar[Modality] = "image"

    quick_values: ClassVar[Mapping[str, Any]] = {"steps": 3, "restarts": 1}

    steps: int = Field(default=200, ge=1, le=LARGEST_REPETITION, description="steps in which the mask is learned")
    batch_size: int = Field(
        default=128, ge=1, le=LARGEST_BATCH, description="examples in a step, and those that the noise is found on"
    )
    learning_rate: float = Field(default=0.01, gt=0, description="learning rate of Adam for the mask")
    mask_weight: float = Field(default=0.75, ge=0, description="weight of the mask's L1 norm, over its present value")
    restarts: int = Field(default=5, ge=1, le=LARGEST_REPETITION, description="starts of mask and noise")
    radius: float = Field(default=0.3, ge=0, description="largest relative noise on weights and biases of BatchNorm")

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        norms_of(model, "feature-mask", instead="detector")
        last_layer(model, inputs)
        features(model, inputs)

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: for the answers under noise; the mask needs features alone, which are computed once."""
        return self.restarts * examples

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """See ``ModelDetector``."""
        norms_of(model, "feature-mask", instead="detector")
        layer = last_layer(model, data.train.inputs)
        found = features(model, data.train.inputs)[0].to(layer.weight.dtype)
        predicted, masks = [], []
        with frozen(model), exact_arithmetic(context.device):
            for restart in range(self.restarts):
                mask = self.learned_mask(layer, found, data.train.labels, context, restart)
                noised = self._noised(model, data.train, context, restart)
                under = torch.cat([features(noised, split.inputs)[0] for split in (data.train, data.validation)])
                predicted.append(layer(((1 - mask) * under).to(layer.weight.dtype)).argmax(1).cpu())
                masks.append(mask.cpu())
                context.report(restart + 1, self.restarts, {})
        labels = torch.cat([data.train.labels, data.validation.labels]).cpu()
        return scored(torch.stack(predicted), torch.stack(masks), labels, data.classes)

    def learned_mask(
        self, layer: nn.Linear, found: Tensor, labels: Tensor, context: DefenderContext, restart: int
    ) -> Tensor:
        """How far labels need each feature, in [0, 1], ``[D]``.

        Args:
            layer: the last layer, without gradients.
            found: features ``[N, D]``.
            labels: int64 ``[N]``.
            context: device and seed.
            restart: number of the start.
        """
        start = torch.rand(found.shape[1], generator=context.generator("mask", restart))
        mask = moved(start, context.device).requires_grad_()
        optimiser = torch.optim.Adam([mask], lr=self.learning_rate)
        batches = self._batches(len(labels), context, restart)
        for step in range(self.steps):
            chosen = batches(step)
            optimiser.zero_grad()
            loss = mask_loss(layer, mask, found[chosen], labels[chosen]) + self.mask_weight * relative_norm(mask)
            torch.autograd.backward(loss)
            optimiser.step()
            with torch.no_grad():
                mask.clamp_(0, 1)
        return mask.detach()

    def _batches(self, examples: int, context: DefenderContext, restart: int) -> Batches:
        size = min(self.batch_size, examples)
        return Batches(
            examples, size, seed=context.derive("batches", restart), purpose="feature-mask", device=context.device
        )

    def _noised(self, model: nn.Module, examples: Split, context: DefenderContext, restart: int) -> nn.Module:
        """A copy of the model with the noise in its weights."""
        norms = norms_of(model, "feature-mask", instead="detector")
        weights = dict(model.named_parameters())
        chosen = self._batches(len(examples), context, restart)(self.steps)
        inputs = {name: value[chosen] for name, value in examples.inputs.items()}
        labels = examples.labels[chosen]

        def rise(noise: Noise) -> Tensor:
            return noised_loss(model, weights, list(norms), noise, inputs, labels)

        sizes = [norm.num_features for norm in norms.values()]
        noise = worst_noise(rise, sizes, self.radius, context.generator("noise", restart), context.device)
        noised = copy.deepcopy(model)
        with torch.no_grad():
            for name, value in noisy(weights, list(norms), noise).items():
                noised.get_parameter(name).copy_(value)
        return noised


def relative_norm(mask: Tensor) -> Tensor:
    """The L1 norm over its present value: always 1, with the slope of the norm over it; 0 for a mask of zeros."""
    norm = mask.abs().sum()
    return norm / norm.detach().clamp(min=torch.finfo(norm.dtype).tiny)


def scored(predicted: Tensor, masks: Tensor, labels: Tensor, classes: int) -> ModelScore:
    """The score of predictions.

    Args:
        predicted: of each start, int64 ``[R, N]``.
        masks: of each start, ``[R, D]``.
        labels: true labels of the examples, int64 ``[N]``.
        classes: their number.
    """
    own = _shares(labels, classes)
    shares = torch.stack([_shares(values, classes) for values in predicted])
    kept = ((1 - masks).amax(1) >= _REST).to(shares.device)
    starts = len(predicted)
    details = details_of(
        {
            "label": list(range(classes)) * starts,
            "restart": torch.arange(starts).repeat_interleave(classes).tolist(),
            "mask": in_double(masks).mean(1).repeat_interleave(classes).tolist(),
            "kept": kept.repeat_interleave(classes).tolist(),
            "own_share": own.tolist() * starts,
            "predicted_share": shares.flatten().tolist(),
            "excess": (shares - own).flatten().tolist(),
        }
    )
    lost = int((~kept).sum())
    note = f"from {lost} of {starts} starts the mask takes all features, so that the rest says nothing" if lost else ""
    if lost == starts:
        return ModelScore(math.nan, details, f"{note}: raise mask_weight")
    excess = (shares[kept] - own).mean(0)
    suspect = int(excess.argmax())
    share = f"{shares[kept, suspect].mean():.0%} of the examples fall on label {suspect}, the suspected target"
    return ModelScore(
        float(excess[suspect]), details, f"{share}; {note}" if lost else share, targets=torch.tensor([suspect])
    )


def _shares(labels: Tensor, classes: int) -> Tensor:
    """The share of examples on each class, float64 ``[K]``."""
    return in_double(labels.bincount(minlength=classes)) / len(labels)
