"""Batches of the defender's clean examples, with images shifted and mirrored as published repairs do.

The published code of fine-tuning, fine-pruning, NAD, ANP, FT-SAM and MCR crops each image at random after padding it
with 4 pixels of zeros, which shifts it; images there are 32 pixels wide. We pad by the same share of the width: 4
pixels of 28 or 32, 1 of 8, 8 of 64. For CIFAR-10 that code mirrors images too.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from anchorlab.data import Augmentation, Split
from anchorlab.data.batches import Batches, augment
from anchorlab.data.inputs import lengths, rows
from anchorlab.settings import NEW

Variation = Literal["none", "shift", "mirror", "shift+mirror"]

#: The field of each repair.
Augment = Annotated[
    Variation,
    Field(
        description="how clean images vary: shifted by up to an eighth of the width, mirrored, both or not at all; "
        "texts never do",
        json_schema_extra=NEW,
    ),
]

#: Largest shift, as a share of the width: 4 pixels of 32.
_SHIFT = 1 / 8


class CleanBatches:
    """The batch of each step, as a pure function of seed and step."""

    def __init__(self, examples: Split, batch_size: int, *, seed: int, variation: Variation) -> None:
        """Batches of some examples.

        Args:
            examples: the examples to learn from, on the device.
            batch_size: examples in a step; all of them where there are fewer.
            seed: of order and variation.
            variation: how images vary; texts never do.
        """
        self._examples = examples
        self._seed = seed
        self._augmentation = augmentation_of(variation, examples)
        self._batches = Batches(
            len(examples),
            min(batch_size, len(examples)),
            seed=seed,
            purpose="defence",
            device=examples.labels.device,
            lengths=lengths(examples.inputs),
        )

    def __call__(self, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """The inputs of a step, varied, and their labels."""
        indices = self._batches(step)
        inputs = rows(self._examples.inputs, indices, self._batches.width(step))
        if self._augmentation.varies:
            inputs = augment(inputs, self._augmentation, seed=self._seed, step=step)
        return inputs, self._examples.labels[indices]


def augmentation_of(variation: Variation, examples: Split) -> Augmentation:
    """How examples vary, in pixels of their size."""
    images = examples.inputs.get("pixel_values")
    if images is None:
        return Augmentation()
    pad = max(1, round(_SHIFT * images.shape[-1])) if "shift" in variation else 0
    return Augmentation(pad=pad, mirror="mirror" in variation)
