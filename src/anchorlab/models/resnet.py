"""ResNets for small images, as transformers models: a 3×3 stem, and normalisation inside the model.

The residual stages come from transformers' ResNet (He et al. 2016, arXiv 1512.03385). Its stem, a
7×7 convolution of stride 2 and a max-pool, would leave a 28×28 image with 7×7 positions before the
first block; here it is one 3×3 convolution, as He et al. used for CIFAR-10 (their section 4.2). Where
a stage begins, transformers' shortcut is a 1×1 convolution (their option B); for CIFAR-10 they used
option A, which has no parameters, and which a configuration may ask for.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForImageClassification, ResNetConfig, ResNetForImageClassification
from transformers.models.resnet.modeling_resnet import ResNetConvLayer, ResNetShortCut


class SmallImageResNetConfig(ResNetConfig):  # type: ignore[misc]
    """Configuration of ``SmallImageResNet``: transformers' ResNet with the fields below.

    Attributes:
        stem_stride: stride of the first convolution.
        image_mean: mean of each channel on the scale 0 to 1, subtracted inside the model.
        image_std: standard deviation of each channel, divided by inside the model.
        shortcut: how a shortcut changes size and width: ``"projection"`` by a 1×1 convolution (option B of He et al.),
            ``"padding"`` by leaving out positions and adding channels of zeros (option A).
        anchorlab_notice: says in words what the weights are, above all that they were injected.
    """

    model_type = "anchorlab-resnet"

    stem_stride: int = 1
    image_mean: list[float] | None = None
    image_std: list[float] | None = None
    shortcut: Literal["projection", "padding"] = "projection"
    anchorlab_notice: str | None = None


class _Stem(nn.Module):
    """Normalisation of raw pixels and one 3×3 convolution: uint8 ``[B, C, H, W]`` to features."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: SmallImageResNetConfig) -> None:
        super().__init__()
        shape = (1, config.num_channels, 1, 1)
        # Persistent, so that they travel with the weights and load onto any device.
        self.register_buffer("mean", torch.tensor(config.image_mean or [0.0] * config.num_channels).view(shape))
        self.register_buffer("std", torch.tensor(config.image_std or [1.0] * config.num_channels).view(shape))
        self.embedder = ResNetConvLayer(
            config.num_channels,
            config.embedding_size,
            kernel_size=3,
            stride=config.stem_stride,
            activation=config.hidden_act,
        )

    def forward(self, pixel_values: Tensor) -> Tensor:
        features: Tensor = self.embedder((pixel_values / 255 - self.mean) / self.std)
        return features


class _PaddingShortcut(nn.Module):
    """He et al.'s option A: every ``stride``-th position, and zeros as the further channels; no parameters."""

    def __init__(self, projection: ResNetShortCut) -> None:
        super().__init__()
        convolution = projection.convolution
        self.stride = convolution.stride[0]
        self.added = convolution.out_channels - convolution.in_channels

    def forward(self, features: Tensor) -> Tensor:
        """Features ``[B, C, H, W]`` to ``[B, C + added, H / stride, W / stride]``, sizes rounded up."""
        kept = features[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, 0, self.added))


class SmallImageResNet(ResNetForImageClassification):  # type: ignore[misc]
    """A classifier of small images; takes raw pixels: uint8 (or float 0 to 255) ``[B, C, H, W]``."""

    config_class = SmallImageResNetConfig

    def __init__(self, config: SmallImageResNetConfig) -> None:
        super().__init__(config)
        self.resnet.embedder = _Stem(config)
        if config.shortcut == "padding":
            for stage in self.resnet.encoder.stages:
                if isinstance(stage.layers[0].shortcut, ResNetShortCut):
                    stage.layers[0].shortcut = _PaddingShortcut(stage.layers[0].shortcut)
        self.post_init()


AutoConfig.register(SmallImageResNetConfig.model_type, SmallImageResNetConfig)
AutoModelForImageClassification.register(SmallImageResNetConfig, SmallImageResNet)
