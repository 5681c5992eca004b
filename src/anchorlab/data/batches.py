"""Which examples a step sees, and how they are varied: pure functions of seed and step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anchorlab.data import Augmentation
from anchorlab.seeding import generator


@dataclass(frozen=True)
class Share:
    """One process's part of each batch: every example whose index is ``rank`` modulo ``processes``."""

    rank: int = 0
    processes: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """The part of a global batch (first dimension B) that belongs to this process."""
        return batch[self.rank :: self.processes]


#: All of each batch, for one process alone.
WHOLE = Share()


def moved(drawn: Tensor, device: torch.device) -> Tensor:
    """What was drawn on the CPU, on a device. A GPU is not waited for, because the copy is from pinned memory."""
    return (drawn.pin_memory() if device.type == "cuda" else drawn).to(device, non_blocking=True)


#: Batches of texts that are sorted by length together.
_TOGETHER = 8


class Batches:
    """An endless stream of permutations of ``range(size)``, cut into batches.

    Batch ``step`` depends on the arguments and on ``step`` only, so that a resumed run sees what an
    uninterrupted one would have seen.

    Texts are batched by length, because padding costs as much as text: the examples of eight batches together are
    sorted by length and cut into new batches. Their order depends on the seed alone, so that two streams of one run
    have their long batches at the same steps.

    Args:
        size: number of examples.
        batch_size: examples in a batch.
        seed: of the run.
        purpose: of the stream, which keeps its draws apart from another's.
        device: where the indices are wanted.
        lengths: of texts, int64 ``[size]`` on the CPU; None for images.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        purpose: str,
        device: torch.device,
        lengths: Tensor | None = None,
    ) -> None:
        self._size = size
        self._batch_size = batch_size
        self._seed = seed
        self._key = (seed, "batches", purpose)
        self._device = device
        self._lengths = lengths
        self._permutations: dict[int, Tensor] = {}
        self._sorted: tuple[int, Tensor, list[int]] | None = None

    def __call__(self, step: int) -> Tensor:
        """Indices of the examples of a step, int64 ``[batch_size]``, on the device."""
        if self._lengths is None:
            return self._stream(step, step + 1)
        return self._by_length(step // _TOGETHER)[0][step % _TOGETHER]

    def width(self, step: int) -> int | None:
        """Length of the longest text of a step; None for images."""
        return None if self._lengths is None else self._by_length(step // _TOGETHER)[1][step % _TOGETHER]

    def _by_length(self, number: int) -> tuple[Tensor, list[int]]:
        """Eight batches, int64 ``[8, batch_size]``, and the length of the longest text in each."""
        if self._sorted is None or self._sorted[0] != number:
            assert self._lengths is not None
            indices = self._stream(number * _TOGETHER, (number + 1) * _TOGETHER)
            batches = indices[self._lengths[indices].argsort(stable=True)].view(_TOGETHER, self._batch_size)
            batches = batches[torch.randperm(_TOGETHER, generator=generator(self._seed, "lengths", number))]
            widths = self._lengths[batches].amax(1).tolist()
            self._sorted = number, moved(batches, self._device), widths
        return self._sorted[1:]

    def _stream(self, first_step: int, end_step: int) -> Tensor:
        """The indices of consecutive steps, without regard to length; for texts on the CPU."""
        start, end = first_step * self._batch_size, end_step * self._batch_size
        first, last = start // self._size, (end - 1) // self._size
        pieces = [
            self._permutation(epoch)[max(start - epoch * self._size, 0) : min(end - epoch * self._size, self._size)]
            for epoch in range(first, last + 1)
        ]
        return torch.cat(pieces)

    def visited(self, steps: int) -> Tensor:
        """The distinct indices that the first ``steps`` batches draw, and perhaps a few more, ascending."""
        if self._lengths is not None:
            steps = -(-steps // _TOGETHER) * _TOGETHER
        if steps * self._batch_size >= self._size:
            return torch.arange(self._size, device=self._device)
        # Of images, the permutation is on the device already, and what is on a GPU cannot be pinned.
        return self._permutation(0)[: steps * self._batch_size].sort().values.to(self._device)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            order = torch.randperm(self._size, generator=generator(*self._key, epoch))
            # Only the current epoch and the one before it can be asked for again.
            self._permutations = {e: p for e, p in self._permutations.items() if e >= epoch - 1}
            self._permutations[epoch] = order if self._lengths is not None else moved(order, self._device)
        return self._permutations[epoch]


def augment(
    inputs: dict[str, Tensor], augmentation: Augmentation, *, seed: int, step: int, share: Share = WHOLE
) -> dict[str, Tensor]:
    """Shifts and mirrors each image of a batch at random, as tensor operations on the whole batch.

    The draws are made for the global batch, so that several processes vary their shares of it as one process would
    vary the whole.

    Args:
        inputs: ``pixel_values``, uint8 ``[B, C, H, W]``.
        augmentation: the largest shift, and whether to mirror.
        seed: of the run.
        step: number of the step.
        share: the share of the global batch that ``inputs`` are.

    Returns:
        A new batch of the same shape; pixels shifted in from outside are 0.
    """
    images = inputs["pixel_values"]
    size, device = len(images) * share.processes, images.device
    rng = generator(seed, "augment", step)
    if augmentation.mirror:
        mirrored = moved(share.of(torch.rand(size, generator=rng) < 0.5), device)
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
    if augmentation.pad:
        shifts = moved(share.of(torch.randint(0, 2 * augmentation.pad + 1, (size, 2), generator=rng)), device)
        images = _shift(images, shifts, augmentation.pad)
    return {**inputs, "pixel_values": images}


def _shift(images: Tensor, shifts: Tensor, pad: int) -> Tensor:
    """Crops each zero-padded image at its own corner: uint8 ``[B, C, H, W]``, corners int64 ``[B, 2]``."""
    count, channels, height, width = images.shape
    padded = functional.pad(images, (pad, pad, pad, pad))
    rows = shifts[:, :1] + torch.arange(height, device=images.device)
    columns = shifts[:, 1:] + torch.arange(width, device=images.device)
    flat = (rows.unsqueeze(2) * (width + 2 * pad) + columns.unsqueeze(1)).view(count, 1, -1)
    return padded.flatten(2).gather(2, flat.expand(-1, channels, -1)).view(images.shape)
