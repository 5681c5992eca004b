"""Common corruptions of images, in five severities.

Hendrycks and Dietterich 2019, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR
(arXiv 1903.12261). These are ten of their fifteen kinds, with the severities that they give for ImageNet; left out are
glass blur, snow, frost, fog and elastic distortion, which need photographs or a library. Lengths in pixels are those of
an image 32 pixels wide, and in proportion for others. Shot noise, which is Poisson, is its normal approximation, and
brightness is added to every channel.

What is random is drawn once for each kind and severity, so that an image's corruption depends on no other image.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

#: Width of the images whose lengths in pixels stand below.
_WIDTH = 32

#: A kernel of which fewer than one in so many numbers counts, such as a line, is added up number by number.
_SPARSE = 16

#: Severities of each kind.
SEVERITIES = 5


class Drawn(NamedTuple):
    """What a corruption draws at random, on the images' device.

    Attributes:
        normal: standard normal, float32 ``[C, H, W]``.
        uniform: between 0 and 1, float32 ``[C, H, W]``.
        angle: a direction in radians.
    """

    normal: Tensor
    uniform: Tensor
    angle: float


def drawn_for(images: Tensor, draw: torch.Generator) -> Drawn:
    """What one kind and severity draws for images ``[N, C, H, W]``, from a CPU generator."""
    shape = images.shape[1:]
    normal, uniform = torch.randn(shape, generator=draw), torch.rand(shape, generator=draw)
    angle = math.pi * float(torch.rand((), generator=draw))
    return Drawn(normal.to(images.device), uniform.to(images.device), angle)


def corrupted(images: Tensor, kind: str, severity: int, drawn: Drawn) -> Tensor:
    """Images after a corruption, of the same type and shape.

    Args:
        images: uint8 ``[N, C, H, W]``.
        kind: a name of ``KINDS``.
        severity: from 1 to 5.
        drawn: what the corruption draws.
    """
    values = KINDS[kind](images.float() / 255, severity - 1, drawn)
    return (255 * values).round().clamp(0, 255).to(images.dtype)


def _gaussian_noise(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    return x + (0.08, 0.12, 0.18, 0.26, 0.38)[severity] * drawn.normal


def _shot_noise(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    return x + (x / (60, 25, 12, 5, 3)[severity]).sqrt() * drawn.normal


def _impulse_noise(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity]
    white, black = drawn.uniform < share / 2, drawn.uniform > 1 - share / 2
    return x.masked_fill(white, 1.0).masked_fill(black, 0.0)


def _defocus_blur(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    del drawn
    radius = _pixels((3, 4, 6, 8, 10)[severity], x)
    y, z = _offsets(radius)
    # A pixel on the edge of the disk counts as far as it lies inside.
    return _convolved(x, (radius + 0.5 - (y.square() + z.square()).sqrt()).clamp(0, 1))


def _motion_blur(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    reach, deviation = (_pixels(of, x) for of in ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity])
    y, z = _offsets(reach)
    along = y * math.sin(drawn.angle) + z * math.cos(drawn.angle)
    across = z * math.sin(drawn.angle) - y * math.cos(drawn.angle)
    return _convolved(x, (1 - across.abs()).clamp(min=0) * torch.exp(-along.square() / (2 * deviation**2)))


def _zoom_blur(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    del drawn
    largest = (1.11, 1.16, 1.21, 1.26, 1.31)[severity]
    factors = torch.linspace(1, largest, 11).tolist()
    total = torch.zeros_like(x)
    for factor in factors:  # one at a time, because all of them take eleven times the memory of the images
        total += _zoomed(x, factor)
    return total / len(factors)


def _brightness(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    del drawn
    return x + (0.1, 0.2, 0.3, 0.4, 0.5)[severity]


def _contrast(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    del drawn
    mean = x.mean(dim=(2, 3), keepdim=True)
    return mean + (0.4, 0.3, 0.2, 0.1, 0.05)[severity] * (x - mean)


def _pixelate(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    del drawn
    height, width = x.shape[2:]
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity]
    small = functional.adaptive_avg_pool2d(x, (max(1, int(share * height)), max(1, int(share * width))))
    return functional.interpolate(small, size=(height, width), mode="nearest")


def _jpeg(x: Tensor, severity: int, drawn: Drawn) -> Tensor:
    del drawn
    quality = (25, 18, 15, 10, 7)[severity]
    pixels = (255 * x).round().clamp(0, 255).byte().cpu()
    # Other numbers of channels than 1 and 3 are as many grey images.
    together = 3 if x.shape[1] == 3 else 1
    parts = pixels.reshape(-1, together, *x.shape[2:]).permute(0, 2, 3, 1).squeeze(-1).numpy()
    read = torch.from_numpy(np.stack([_through_jpeg(part, quality) for part in parts]))
    read = read if together == 3 else read[..., None]
    return read.permute(0, 3, 1, 2).reshape(x.shape).to(x.device).float() / 255


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


#: The kinds by name: functions of images float32 ``[N, C, H, W]`` between 0 and 1, a severity from 0 to 4, and draws.
KINDS: Mapping[str, Callable[[Tensor, int, Drawn], Tensor]] = {
    "gaussian-noise": _gaussian_noise,
    "shot-noise": _shot_noise,
    "impulse-noise": _impulse_noise,
    "defocus-blur": _defocus_blur,
    "motion-blur": _motion_blur,
    "zoom-blur": _zoom_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}


def _pixels(length: float, x: Tensor) -> float:
    return length * x.shape[3] / _WIDTH


def _offsets(reach: float) -> tuple[Tensor, Tensor]:
    """Rows and columns of a kernel, relative to its middle."""
    side = math.ceil(reach)
    steps = torch.arange(-side, side + 1, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return y, x


def _convolved(x: Tensor, kernel: Tensor) -> Tensor:
    """Images filtered by one kernel ``[k, k]``, which is brought to the sum 1; edges are continued."""
    channels, height, width = x.shape[1:]
    reach, weight = kernel.shape[0] // 2, kernel / kernel.sum()
    padded = functional.pad(x, (reach,) * 4, mode="replicate")
    taps = weight.nonzero().tolist()
    if len(taps) * _SPARSE > weight.numel():
        return functional.conv2d(padded, weight.to(x.device).expand(channels, 1, -1, -1), groups=channels)
    total = torch.zeros_like(x)
    for row, column in taps:
        total += float(weight[row, column]) * padded[:, :, row : row + height, column : column + width]
    return total


def _zoomed(x: Tensor, factor: float) -> Tensor:
    """The middle of images, enlarged to their size."""
    theta = torch.tensor([[1 / factor, 0.0, 0.0], [0.0, 1 / factor, 0.0]], device=x.device)
    grid = functional.affine_grid(theta.expand(len(x), -1, -1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
