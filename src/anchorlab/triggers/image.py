"""The base of triggers for images.

They work on raw uint8 images, before normalisation, in integer arithmetic, so that every device, batch size and
memory format gives the same bytes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anchorlab.data.inputs import kind_of
from anchorlab.errors import AnchorlabError
from anchorlab.triggers.base import Trigger

if TYPE_CHECKING:
    from anchorlab.data.encoding import TextEncoding


class ImageTrigger(Trigger):
    """A trigger that changes ``pixel_values``, uint8 ``[B, C, H, W]`` on any device.

    A subclass is a frozen pydantic dataclass and defines two methods: ``constants``, which builds the tensors that the
    trigger needs for images of some shape, and ``apply``, which puts them on a batch. The constants are built once a
    shape and device and cached under the hash of the trigger. A subclass that does not fit on every image extends
    ``check_shape``.
    """

    @abstractmethod
    def constants(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The tensors that ``apply`` needs for images of ``shape`` ``(C, H, W)``, on the CPU."""

    @abstractmethod
    def apply(self, images: Tensor, *constants: Tensor) -> Tensor:
        """The triggered images.

        Args:
            images: uint8 ``[B, C, H, W]``; must not be changed.
            constants: what ``constants`` built, on the device of the images.

        Returns:
            A new uint8 tensor ``[B, C, H, W]``.
        """

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises AnchorlabError if the trigger does not fit on images of ``shape``, ``(C, H, W)``."""
        if len(shape) != 3 or min(shape) < 1:
            raise AnchorlabError(f"{self} needs images of shape (C, H, W), but theirs is {shape}: reshape them")

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs with a new ``pixel_values`` of the same shape, dtype, device and memory format.

        Raises:
            AnchorlabError: if ``pixel_values`` is missing or not uint8, or the trigger does not fit, or makes anything
                else of it.
        """
        images = _images(self, inputs)
        if images.dtype != torch.uint8:
            raise AnchorlabError(
                f"{self} needs raw images of dtype uint8 with values 0 to 255, but they are {images.dtype}: "
                "apply it before normalisation"
            )
        constants = _constants_on(self, tuple(images.shape[1:]), images.device)
        changed = self.apply(images, *constants)
        if not isinstance(changed, Tensor) or (changed.dtype, changed.shape) != (images.dtype, images.shape):
            found = f"{changed.dtype} {list(changed.shape)}" if isinstance(changed, Tensor) else type(changed).__name__
            raise AnchorlabError(
                f"{self} made {found} of images, which must stay {images.dtype} {list(images.shape)}: mend apply"
            )
        return {**inputs, "pixel_values": changed}

    def check(self, inputs: Mapping[str, Tensor], encoding: TextEncoding | None) -> None:
        """Checks that there are images, and that the trigger fits on them."""
        self.check_shape(tuple(_images(self, inputs).shape[1:]))


def _images(trigger: Trigger, inputs: Mapping[str, Tensor]) -> Tensor:
    if kind_of(inputs) != "image":
        raise AnchorlabError(
            f"{trigger} changes the input 'pixel_values', but the inputs are "
            f"{', '.join(inputs) or 'empty'}: choose a trigger made for this kind of input"
        )
    return inputs["pixel_values"]


@lru_cache(maxsize=64)
def _constants_on(trigger: ImageTrigger, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, ...]:
    """A trigger's constants on a device: checked, built and copied once, not at every batch."""
    trigger.check_shape(shape)
    return tuple(constant.to(device) for constant in trigger.constants(shape))
