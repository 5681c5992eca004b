"""Trigger inversion: for a label, the smallest patch that sends every clean input to it.

Wang et al. 2019, Neural Cleanse, IEEE S&P. A mask ``m`` in [0, 1] of the image's size and a pattern ``p`` make ``(1 -
m) x + m p`` of each image; the loss is the cross-entropy towards the label plus a cost times the mask's L1 norm. The
cost rises while nearly all images go to the label and falls while they do not, as in the paper. Each step stamps some
of the images, in turn, and a trigger has succeeded if nearly all images of the last pass over them went to its label. A
search on a few fixed images finds masks that are too small for others. All labels and all restarts are searched at
once, or as many as memory allows: each pair of them stamps the same images, and its loss depends on its own mask and
pattern alone, so that the result is the same as searching one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as options
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data.batches import Batches
from anchorlab.models.call import logits
from anchorlab.models.device import exact_arithmetic
from anchorlab.models.weights import frozen
from anchorlab.models.wrap import pixels_seen
from anchorlab.seeding import generator
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, NEW, STRICT

#: Share of images that a search wants to send to its label, and steps in a row before its cost changes.
_TARGET_SUCCESS, _PATIENCE = 0.99, 5

#: Most pixels that the network sees in one pass, which bounds its memory: 1,024 images of 32 by 32. A pair is not cut.
_PIXELS = 2**20

#: Most numbers in the masks and patterns that are searched at once. Their gradients, Adam's moments, the best ones so
#: far and those of a step are as many each, which makes 2 GB in float32.
_NUMBERS = 2**26

#: First cost of the mask's norm, and by what it rises; it falls by the latter to the power 1.5.
_FIRST_COST, _RISE = 1e-3, 1.5


@options(frozen=True, kw_only=True, config=STRICT)
class InversionSettings:
    """Settings of the search for triggers."""

    steps: int = Field(default=300, ge=1, le=LARGEST_REPETITION, description="steps of the search")
    images: int = Field(default=32, ge=1, le=LARGEST_BATCH, description="clean images that each step stamps")
    in_turn: bool = Field(
        default=True,
        description="stamp all images in turn; false: the same first ones in each step",
        json_schema_extra=NEW,
    )
    learning_rate: float = Field(default=0.1, gt=0, description="learning rate of Adam")

    def steps_of_pass(self, examples: int) -> int:
        """Steps in which each of the images that are stamped is stamped once."""
        return -(-examples // self.images) if self.in_turn else 1

    def shortage(self, examples: int, name: str = "steps") -> str:
        """That no trigger can succeed, because the search ends within its first pass; empty if it does not.

        Args:
            examples: number of clean images.
            name: of the setting that gives the steps, for the reader.
        """
        least = self.steps_of_pass(examples)
        if self.steps >= least:
            return ""
        return (
            f"{self.steps} steps of {self.images} do not stamp each of the {examples:,} images once, so that no "
            f"trigger can succeed: set {name} to at least {least}"
        )


@dataclass(frozen=True)
class InvertedTriggers:
    """The triggers that a search over P pairs of label and restart found.

    Attributes:
        labels: int64 ``[P]``.
        masks: in [0, 1], float32 ``[P, H, W]``.
        patterns: on the scale 0 to 255, float32 ``[P, C, H, W]``.
        norms: the masks' L1 norms, float32 ``[P]``.
        success: share of the images of the last pass, up to the step in which a trigger was found, that went to its
            label, float32 ``[P]``. Images that no step had stamped by then count as if they had not.
    """

    labels: Tensor
    masks: Tensor
    patterns: Tensor
    norms: Tensor
    success: Tensor

    def stamp(self, images: Tensor, which: int) -> Tensor:
        """Images with one of the patterns on them, float32 of their shape, on the scale 0 to 255."""
        mask = self.masks[which]
        return (1 - mask) * images.float() + mask * self.patterns[which]


def invert_triggers(
    model: nn.Module,
    images: Tensor,
    labels: Sequence[int],
    settings: InversionSettings,
    *,
    seed: int,
    restarts: Sequence[int] = (0,),
    report: Callable[[int], None] = lambda _: None,
) -> InvertedTriggers:
    """Searches for the smallest trigger of each label from each start.

    Args:
        model: a classifier of images, on the device, in evaluation mode.
        images: clean images, uint8 ``[N, C, H, W]``, on the device.
        labels: the labels to find triggers for.
        settings: settings of the search.
        seed: seed of the starts, and of the order of the images. The start of a pair depends on its own label and
            restart, so that more pairs change none.
        restarts: numbers of the starts.
        report: called with the number of steps done; where not all pairs are searched at once, on average over them.
    """
    pairs = [(label, restart) for label in labels for restart in restarts]
    channels, height, width = images.shape[1:]
    size = min(settings.images, len(images))
    together = max(1, _PIXELS // (size * pixels_seen(model, height, width)))
    # Whole passes, so that a pair is in the same one however many pairs are held.
    held = together * max(1, _NUMBERS // (together * (channels + 1) * height * width))
    parts = []
    for start in range(0, len(pairs), held):
        part = pairs[start : start + held]

        def done(steps: int, before: int = start, now: int = len(part)) -> None:
            report((before * settings.steps + now * steps) // len(pairs))

        parts.append(_search(model, images, part, settings, seed=seed, together=together, report=done))
    return InvertedTriggers(
        **{each.name: torch.cat([getattr(part, each.name) for part in parts]) for each in fields(InvertedTriggers)}
    )


def _search(
    model: nn.Module,
    images: Tensor,
    pairs: Sequence[tuple[int, int]],
    settings: InversionSettings,
    *,
    seed: int,
    together: int,
    report: Callable[[int], None],
) -> InvertedTriggers:
    """The search of pairs of label and restart at once, so many of which go through the network in one pass."""
    used = images if settings.in_turn else images[: settings.images]
    size = min(settings.images, len(used))
    batches = Batches(len(used), size, seed=seed, purpose="inversion", device=images.device)
    starts = [_start(images, seed, label, restart) for label, restart in pairs]
    masks = torch.stack([mask for mask, _ in starts]).requires_grad_()
    patterns = torch.stack([pattern for _, pattern in starts]).requires_grad_()
    targets = torch.tensor([label for label, _ in pairs], device=images.device)
    optimiser = torch.optim.Adam([masks, patterns], lr=settings.learning_rate, betas=(0.5, 0.9))
    costs = _Costs(len(pairs), images.device)
    best = _Best(masks, patterns)
    # Success in the steps of the last pass; 0 in those that have not been.
    recent = torch.zeros(settings.steps_of_pass(len(images)), len(pairs), device=images.device)
    with frozen(model), exact_arithmetic(images.device):
        for step in range(settings.steps):
            optimiser.zero_grad()
            stamped_on, parts = used[batches(step)].float(), []
            for start in range(0, len(pairs), together):
                part = slice(start, start + together)
                m, p = _squashed(masks[part]), 255 * _squashed(patterns[part])
                losses, success = _towards(model, stamped_on, m, p, targets[part])
                norms = m.sum(dim=(1, 2))
                torch.autograd.backward((losses + costs.value[part] * norms).sum())
                parts.append((m.detach(), p.detach(), norms.detach(), success))
            m, p, norms, success = (torch.cat(values) for values in zip(*parts, strict=True))
            recent[step % len(recent)] = success
            best.consider(m, p, norms, recent.mean(dim=0))
            optimiser.step()
            costs.adapt(success)
            report(step + 1)
    return InvertedTriggers(targets, best.masks, best.patterns, best.norms, best.success)


def _towards(
    model: nn.Module, images: Tensor, masks: Tensor, patterns: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of stamped images towards each pair's label, and the share that gets it, ``[P]``."""
    stamped = (1 - masks[:, None, None]) * images + (masks[:, None] * patterns)[:, None]
    answers = logits(model, {"pixel_values": stamped.flatten(0, 1)})
    losses = functional.cross_entropy(answers, labels.repeat_interleave(len(images)), reduction="none")
    shape = (len(labels), len(images))
    right = answers.argmax(dim=1).view(shape) == labels[:, None]
    return losses.view(shape).mean(dim=1), right.float().mean(dim=1)


def _start(images: Tensor, seed: int, label: int, restart: int) -> tuple[Tensor, Tensor]:
    """The start of a search, before squashing: mask ``[H, W]`` and pattern ``[C, H, W]``."""
    draw = generator(seed, "inversion", label, restart)
    channels, height, width = images.shape[1:]
    mask, pattern = (torch.randn(shape, generator=draw) for shape in ((height, width), (channels, height, width)))
    return mask.to(images.device), pattern.to(images.device)


def _squashed(values: Tensor) -> Tensor:
    """To [0, 1], by the hyperbolic tangent."""
    return (values.tanh() + 1) / 2


class _Costs:
    """The cost of the mask's norm in each search."""

    def __init__(self, pairs: int, device: torch.device) -> None:
        self.value = torch.full((pairs,), _FIRST_COST, device=device)
        self._up = torch.zeros(pairs, dtype=torch.int64, device=device)
        self._down = torch.zeros_like(self._up)

    def adapt(self, success: Tensor) -> None:
        """Rises after some successful steps in a row, falls after as many without success."""
        succeeds = success >= _TARGET_SUCCESS
        self._up = torch.where(succeeds, self._up + 1, 0)
        self._down = torch.where(succeeds, 0, self._down + 1)
        rise, fall = self._up >= _PATIENCE, self._down >= _PATIENCE
        self.value = torch.where(rise, self.value * _RISE, torch.where(fall, self.value / _RISE**1.5, self.value))
        self._up = torch.where(rise, 0, self._up)
        self._down = torch.where(fall, 0, self._down)


class _Best:
    """For each pair, the smallest mask so far that succeeded; before any has, the mask with the most success."""

    def __init__(self, masks: Tensor, patterns: Tensor) -> None:
        self.masks, self.patterns = _squashed(masks.detach()), 255 * _squashed(patterns.detach())
        self.norms = torch.full((len(masks),), torch.inf, device=masks.device)
        self.success = torch.full((len(masks),), -1.0, device=masks.device)

    def consider(self, masks: Tensor, patterns: Tensor, norms: Tensor, success: Tensor) -> None:
        """Takes each pair's present state if it is better; a copy, which later steps do not change."""
        succeeds, succeeded_before = success >= _TARGET_SUCCESS, self.success >= _TARGET_SUCCESS
        better = torch.where(
            succeeds & succeeded_before,
            norms < self.norms,
            torch.where(succeeded_before, False, success > self.success),
        )
        self.masks = torch.where(better[:, None, None], masks, self.masks)
        self.patterns = torch.where(better[:, None, None, None], patterns, self.patterns)
        self.norms = torch.where(better, norms, self.norms)
        self.success = torch.where(better, success, self.success)


def succeeded(triggers: InvertedTriggers) -> Tensor:
    """Which searches found a trigger that works, bool ``[P]``."""
    return triggers.success >= _TARGET_SUCCESS
