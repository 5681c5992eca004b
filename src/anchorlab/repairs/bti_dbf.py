"""BTI-DBF: trigger inversion by decoupling benign features, and unlearning of what it finds.

Xu, Huang, Li, Qin and Ren 2024, Towards Reliable and Efficient Backdoor Trigger Inversion via Decoupling Benign
Features, ICLR; the form that unlearns, BTI-DBF (U). In rounds: a mask on the features before the last layer is learned
so that masked features give the labels and the rest do not; a generator of images is learned that leaves the masked
features and changes the rest, while images stay near; and the model is tuned on batches of which a fifth went through
the generator, with true labels, plus the distance of the features of both. From the second round on the generator
also aims at the label that it led to most often in the first.

Lengths and weights are those of the code that its authors' was copied into (Backdoor_Safety_Tuning, 2024); the authors'
own takes five rounds, and generates a tenth of a batch. The mask there lies on the last map of a residual network, here
on the features that enter the last layer, which other networks have too. The generator there is a U-Net that is first
trained to repeat images; here it has three convolutions, sees where a pixel lies, and adds to the image, beginning with
little. Their bound of 0.3 is for images that are normalised by standard deviations of about 0.25; ours is the same for
pixels from 0 to 1. Unlearning takes the shared loop, once for all rounds together; they take 30 passes by Adam at 1e-4
in each round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.feature_mask import mask_loss
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits, predict, track_statistics
from anchorlab.models.hooks import capture_output, last_layer
from anchorlab.repairs.base import Repair
from anchorlab.repairs.clean_batches import CleanBatches
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.seeding import seeded_globally
from anchorlab.settings import LARGEST_REPETITION, STRICT

#: Channels of the generator, and the learning rates of mask and generator.
_WIDTH, _MASK_RATE, _GENERATOR_RATE = 32, 1e-2, 1e-3

#: Size of what the generator first adds, relative to PyTorch's own start.
_START = 0.1

#: Weight of the distance of masked features, and the bound on it, above which images come nearer first.
_BENIGN, _FEATURE_BOUND = 0.01, 3.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BTIDBF(Schedule, Repair):
    """Finds a generator of triggers by features that labels do not need, and unlearns it."""

    cites: ClassVar[tuple[str, ...]] = ("xu2024towards",)
    needs: ClassVar[str] = "a linear layer that gives the logits, from one vector an input"
    modality: ClassVar[Modality] = "image"

    quick_values: ClassVar[Mapping[str, Any]] = {
        "epochs": 1, "rounds": 1, "mask_epochs": 1, "generator_epochs": 1,
    }  # fmt: skip
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"rounds": (2, 5), "bound": (0.01, 0.04)}

    rounds: int = Field(default=3, ge=1, le=LARGEST_REPETITION, description="searches, each followed by unlearning")
    mask_epochs: int = Field(default=20, ge=1, le=LARGEST_REPETITION, description="passes for a mask")
    generator_epochs: int = Field(default=30, ge=1, le=LARGEST_REPETITION, description="passes for a generator")
    bound: float = Field(
        default=0.02, gt=0, description="largest mean squared change of a generated image, pixels being 0 to 1"
    )
    generated: float = Field(default=0.2, gt=0, le=1, description="share of each batch that is generated")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``."""
        return (2 * self.epochs + self.rounds * (self.mask_epochs + 2 * self.generator_epochs)) * examples

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        Features(model, inputs)(inputs["pixel_values"].float())

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model)
        last_layer(repaired, data.train.inputs)
        loss = _Unlearning(self, data, context)
        tune(track_statistics(repaired), data, self, context, name="BTI-DBF", loss=loss)
        return repaired.eval()


class _Unlearning:
    """The loss of a step, with the generator that the round began with."""

    def __init__(self, settings: BTIDBF, data: DefenderData, context: DefenderContext) -> None:
        self._settings, self._data, self._context = settings, data, context
        self._length = -(-settings.steps(len(data.train)) // settings.rounds)
        self._taken = 0
        self._target: int | None = None
        self._generator: nn.Module = nn.Identity()
        self._split: Features | None = None

    def __call__(self, model: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        number, step = divmod(self._taken, self._length)
        if step == 0:
            self._generator = self._search(copied(model).requires_grad_(False), number)
        if self._split is None:
            self._split = Features(model, inputs)
        self._taken += 1
        pixels = inputs["pixel_values"].float()
        count = max(1, round(self._settings.generated * len(labels)))
        with torch.no_grad():
            # Batches come in random order: their first images are as good as any.
            mixed = torch.cat([self._generator(pixels[:count]), pixels[count:]])
        of_mixed = self._split(mixed)
        distance = functional.mse_loss(of_mixed, self._split(pixels))
        return functional.cross_entropy(self._split.layer(of_mixed), labels) + distance

    def _search(self, model: nn.Module, number: int) -> nn.Module:
        """A generator of images that change features that labels do not need."""
        split = Features(model, self._data.train.inputs)
        mask = self._mask(split, number)
        generator = Generator(self._data.train.inputs["pixel_values"], self._context, number)
        optimiser = torch.optim.Adam(generator.parameters(), lr=_GENERATOR_RATE)
        for pixels, _ in self._passes("generator", number, self._settings.generator_epochs):
            optimiser.zero_grad()
            torch.autograd.backward(self._generator_loss(split, mask, generator, pixels))
            optimiser.step()
        if self._target is None:
            images = self._data.train.inputs
            led = predict(
                model, images, transform=lambda batch: {"pixel_values": generator(batch["pixel_values"].float())}
            )
            self._target = int(led.argmax(1).bincount().argmax())
        return generator.requires_grad_(False)

    def _mask(self, split: Features, number: int) -> Tensor:
        """How far labels need each feature, in [0, 1], ``[D]``."""
        start = torch.randn(split.layer.in_features, generator=self._context.generator("mask", number))
        values = start.to(self._context.device).requires_grad_()
        optimiser = torch.optim.Adam([values], lr=_MASK_RATE)
        for pixels, labels in self._passes("mask", number, self._settings.mask_epochs):
            with torch.no_grad():
                found = split(pixels)
            optimiser.zero_grad()
            torch.autograd.backward(mask_loss(split.layer, squashed(values), found, labels))
            optimiser.step()
        return squashed(values.detach())

    def _generator_loss(self, split: Features, mask: Tensor, generator: nn.Module, pixels: Tensor) -> Tensor:
        images = generator(pixels)
        with torch.no_grad():
            clean = split(pixels)
        moved = split(images)
        benign = functional.mse_loss(mask * moved, mask * clean)
        rest = functional.mse_loss((1 - mask) * moved, (1 - mask) * clean)
        change = functional.mse_loss(images / 255, pixels / 255)
        far = (change > self._settings.bound) | (benign > _FEATURE_BOUND)
        loss = torch.where(far, change, _BENIGN * benign - rest)
        if self._target is not None:
            loss = loss + functional.cross_entropy(
                split.layer(moved), torch.full_like(pixels[:, 0, 0, 0], self._target).long()
            )
        return loss

    def _passes(self, purpose: str, number: int, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images, float32 from 0 to 255, and labels of each step."""
        examples, seed = self._data.train, self._context.derive(purpose, number)
        batches = CleanBatches(examples, self._settings.batch_size, seed=seed, variation=self._settings.augment)
        for step in range(epochs * -(-len(examples) // self._settings.batch_size)):
            inputs, labels = batches(step)
            yield inputs["pixel_values"].float(), labels


class Features:
    """The features of images that enter a model's last layer, and that layer."""

    def __init__(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        self.layer = last_layer(model, inputs)
        self._model = model

    def __call__(self, pixels: Tensor) -> Tensor:
        """Features ``[B, D]`` of images, from 0 to 255, with their graph."""
        with capture_output(self.layer, entering=True) as entered:
            logits(self._model, {"pixel_values": pixels})
            found = entered()
        if found.dim() != 2:
            raise AnchorlabError(
                "BTI-DBF masks the features before the last layer, but the model's last layer answers for every "
                "position: take another repair"
            )
        return found


class Generator(nn.Module):
    """Changes images: float32 ``[B, C, H, W]`` from 0 to 255 to the same; at first nearly not at all.

    Args:
        like: images of the size.
        context: gives the draw of its weights.
        number: of the draw.
    """

    def __init__(self, like: Tensor, context: DefenderContext, number: int) -> None:
        super().__init__()
        channels = like.shape[1]
        with seeded_globally(context.derive("generator", number), "weights"):
            self.layers = nn.Sequential(
                nn.Conv2d(channels + 2, _WIDTH, 3, padding=1), nn.LeakyReLU(),
                nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1), nn.LeakyReLU(),
                nn.Conv2d(_WIDTH, channels, 3, padding=1),
            )  # fmt: skip
        with torch.no_grad():
            # Not 0, where the distance that it is to raise has no slope.
            for values in self.layers[-1].parameters():
                values.mul_(_START)
        self.to(like.device)

    def forward(self, pixels: Tensor) -> Tensor:
        """Changed images."""
        places = [torch.linspace(-1, 1, size, device=pixels.device) for size in pixels.shape[2:]]
        grid = torch.stack(torch.meshgrid(places, indexing="ij")).expand(len(pixels), -1, -1, -1)
        change = self.layers(torch.cat([pixels / 255, grid], dim=1))
        changed: Tensor = (pixels + 255 * change).clamp(0, 255)
        return changed


def squashed(values: Tensor) -> Tensor:
    """To [0, 1], by the hyperbolic tangent."""
    return (values.tanh() + 1) / 2
