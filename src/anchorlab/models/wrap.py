"""Other people's models as classifiers of raw inputs.

A classifier maps the inputs of a split to logits. Networks that want normalised images, or only some of what a split of
texts holds, are wrapped; their weights keep their own names, so that a saved folder holds the network alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anchorlab.arguments import checked
from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits_of
from anchorlab.models.forms import Deployed
from anchorlab.models.geometry import Geometry
from anchorlab.models.preprocessing import Preprocessing, prepared
from anchorlab.models.weight_files import check_finite, read_tensors

#: What timm and most image networks were trained with, from ImageNet.
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PixelClassifier(nn.Module):
    """A network of normalised images as a classifier of raw pixels: uint8 ``[B, C, H, W]`` to logits ``[B, K]``.

    Pixels are brought to 0 to 1, resized and cropped, grey images repeated for a network of colours, and normalised.

    Args:
        net: takes float ``[B, C, H, W]``; a model of transformers or any module.
        mean: of each channel, on the scale 0 to 1.
        std: of each channel.
        size: height and width that the network wants (bilinear, antialiased); None for any.
        steps: everything above and more, in place of it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        size: tuple[int, int] | None = None,
        *,
        steps: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.steps = steps or Preprocessing(tuple(mean), tuple(std), Geometry(size))
        # Not persistent: the network's weights are saved without them, and they beside it.
        for name, values in (("mean", self.steps.mean), ("std", self.steps.std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width that images are resized to; None for any, or for another rule."""
        return self.steps.geometry.size

    def forward(self, pixel_values: Tensor) -> Tensor:
        """The logits of a batch of raw images."""
        return _logits(self.net, pixel_values=prepared(pixel_values, self.steps, self.mean, self.std))

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What says the same in ``preprocessor_config.json``, as JSON values."""
        if self.steps.told is not None:
            return dict(self.steps.told)
        return {
            "image_mean": self.mean.flatten().tolist(),
            "image_std": self.std.flatten().tolist(),
            "size": None if self.size is None else {"height": self.size[0], "width": self.size[1]},
        }


def pixels_seen(model: nn.Module, height: int, width: int) -> int:
    """How many pixels of an image reach the network at most: a ViT sees images of 32 pixels as ones of 224."""
    seen = [height * width]
    for module in model.modules():
        if isinstance(module, PixelClassifier):
            geometry = module.steps.geometry
            tall, wide = geometry.resized(height, width)
            seen += [tall * wide, *([] if geometry.crop is None else [geometry.crop[0] * geometry.crop[1]])]
    return max(seen)


class TextClassifier(nn.Module):
    """A network of token ids as a classifier of texts: the inputs of ``anchorlab.data.encoding`` to logits ``[B, K]``.

    Args:
        net: takes ``input_ids`` and ``attention_mask``, int64 ``[B, L]``; a model of transformers or any module.
        encoding: makes its inputs.
        pad: id that the network takes for padding; None for the encoding's.
    """

    def __init__(self, net: nn.Module, encoding: TextEncoding, pad: int | None = None) -> None:
        super().__init__()
        self.net = net
        self.encoding = encoding
        self.pad = encoding.pad if pad is None else pad

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_for_triggers: Tensor) -> Tensor:
        """The logits of a batch of texts."""
        ids = input_ids.long().masked_fill(~attention_mask, self.pad)
        return _logits(self.net, input_ids=ids, attention_mask=attention_mask.long())


def _logits(net: nn.Module, **inputs: Tensor) -> Tensor:
    from transformers import PreTrainedModel

    return logits_of(net(**inputs) if isinstance(net, PreTrainedModel) else net(*inputs.values()))


def unwrap(model: nn.Module) -> nn.Module:
    """The network itself, whose weights are saved and hashed."""
    if isinstance(model, Deployed):
        return unwrap(model.model)
    if isinstance(model, (PixelClassifier, TextClassifier)):
        return model.net
    return model


def encoding_of(model: nn.Module) -> TextEncoding | None:
    """How a model's texts become tensors; None for a model of images."""
    encoding: TextEncoding | None = getattr(model, "encoding", None)
    return encoding


@checked
def wrap(
    module: nn.Module,
    *,
    weights: str | Path | None = None,
    mean: Sequence[float] | np.ndarray | Tensor | None = None,
    std: Sequence[float] | np.ndarray | Tensor | None = None,
    size: tuple[int, int] | None = None,
) -> PixelClassifier:
    """Any image network, one of timm included, as a classifier of raw pixels.

    Args:
        module: takes normalised float images ``[B, C, H, W]`` and returns logits ``[B, K]``. It is part of what is
            returned, no copy, and is put into evaluation mode.
        weights: a state_dict of the module in safetensors, to be loaded into it.
        mean: of each channel on the scale 0 to 1, in any form; None for the module's own ``pretrained_cfg``, which
            modules of timm have, or else ImageNet's.
        std: of each channel, above 0, given where ``mean`` is; with the same default.
        size: height and width that the module wants; None for the module's own, or else any.

    Raises:
        AnchorlabError: if the weights cannot be read or do not fit, or mean and standard deviation cannot be such.
    """
    settings = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
    if mean is None and std is None:
        mean, std = settings.get("mean") or _IMAGENET[0], settings.get("std") or _IMAGENET[1]
    means, stds = _statistics(mean, std)
    if size is None and settings.get("fixed_input_size"):
        size = tuple(settings["input_size"][1:])
    if weights is not None:
        load_weights(module, Path(weights))
    return PixelClassifier(module, means, stds, size).eval()


def _statistics(mean: Any, std: Any) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel as lists of one length."""
    if mean is None or std is None:
        given, other = ("mean", "std") if std is None else ("std", "mean")
        raise AnchorlabError(f"wrap: {given} is given without {other}: give both, or neither")
    means, stds = (
        np.asarray(one.detach().cpu() if isinstance(one, Tensor) else one, dtype=np.float64).ravel().tolist()
        for one in (mean, std)
    )
    if len(means) != len(stds) or not means:
        raise AnchorlabError(
            f"wrap: mean has {len(means)} numbers and std {len(stds)}, expected one of each for every channel: give as "
            "many"
        )
    if not all(map(math.isfinite, means + stds)) or min(stds) <= 0:
        raise AnchorlabError(
            f"wrap: mean is {means} and std {stds}, expected finite numbers, of std above 0: give those that the "
            "module was trained with"
        )
    return means, stds


def load_weights(module: nn.Module, path: Path) -> dict[str, Tensor]:
    """Loads a state_dict in safetensors, every tensor of it and of the module; returns it as it is stored.

    Raises:
        AnchorlabError: if the file is a pickle, missing or damaged, does not fit the module, or is not finite.
    """
    tensors = read_tensors(path)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise AnchorlabError(f"{path} does not fit the model ({reason}): give the weights of this model") from error
    check_finite(module, path)
    return tensors
