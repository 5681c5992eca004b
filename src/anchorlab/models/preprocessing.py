"""What becomes of an image before a network of transformers sees it, from its ``preprocessor_config.json``.

The processor of transformers itself is asked: black and white tell how it scales and normalises, and images of noise
tell whether our own operations, which are differentiable and work on whole batches, give the same. What they do not
give is refused by name.

A file without a type of processor is read literally: what it does not mention is not done, except that pixels are
brought to 0 to 1 and normalised. anchorlab writes such files for modules of your own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anchorlab.errors import AnchorlabError, quoted
from anchorlab.models.folders import PREPROCESSING
from anchorlab.models.geometry import FILTERS, Geometry

#: Largest difference of our pixels and the processor's, in 256ths: both round, in different places, when they resize.
_TOLERANCE = 2.0

#: Largest edge that an image is resized or cropped to, in pixels.
_LARGEST = 4096

#: Keys of a file without a type that say something, and those that say nothing about pixels.
_LITERAL = {
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor", "do_normalize",
    "image_mean", "image_std", "do_convert_rgb", "do_pad", "pad_size",
}  # fmt: skip
_SILENT = {"do_reduce_labels", "processor_class", "_processor_class", "data_format", "return_tensors", "num_channels"}


@dataclass(frozen=True)
class Preprocessing:
    """Resizing and cropping, then ``(x - mean) / std`` of pixels from 0 to 1.

    Attributes:
        mean: of each channel of the network.
        std: of each channel, not 0.
        geometry: how images are resized and cropped.
        reverse: whether channels come in the opposite order, blue first.
        told: what the file said, to be written again; None for nothing more than the above. It does not count when
            two are compared.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    geometry: Geometry = field(default_factory=Geometry)
    reverse: bool = False
    told: Mapping[str, Any] | None = field(default=None, compare=False)


def open_preprocessing(source: str, config: Any) -> Preprocessing:
    """The preprocessing of a model of images.

    Args:
        source: a model folder.
        config: the model's configuration of transformers.

    Raises:
        AnchorlabError: if there is none, or it does what we do not.
    """
    from transformers import AutoImageProcessor
    from transformers.models.auto.image_processing_auto import get_image_processor_config

    told = get_image_processor_config(source, local_files_only=True)
    if not isinstance(told, Mapping) or not told:
        raise AnchorlabError(
            f"{source} has no {PREPROCESSING}, which says how its images are resized and normalised: add the file that "
            "the model was trained with"
        )
    typed = told.get("image_processor_type") or told.get("feature_extractor_type")
    if typed:
        processor = AutoImageProcessor.from_pretrained(
            source, backend="pil", trust_remote_code=False, local_files_only=True
        )
        _refuse_unknown_steps(told, processor, source)
    else:
        processor = _literal(told, source)
    return _imitated(processor, _channels(config, told), source, dict(told), whole=bool(typed))


def _imitated(processor: Any, channels: int, source: str, told: Mapping[str, Any], *, whole: bool) -> Preprocessing:
    """Our operations that do what a processor of transformers does.

    Args:
        processor: one of its processors of images, on Pillow.
        channels: of the network's images.
        source: the folder or hub name of the model, which the message names.
        told: what its file says.
        whole: whether resized pixels are rounded, as Pillow does.

    Raises:
        AnchorlabError: if there are none.
    """
    refusal = _refusal(processor, source)
    geometries = [replace(geometry, whole=whole) for geometry in _geometries(processor, refusal)]
    shapes = _probe_shapes(geometries[0])
    probes = [_noise(channels, height, width) for height, width in shapes]
    answers = [_ask(processor, probe, refusal) for probe in probes]
    mean, std = _normalisation(processor, channels, shapes[0], refusal)
    reverse = bool(getattr(processor, "do_flip_channel_order", False))
    for geometry in geometries:
        found = Preprocessing(mean, std, geometry, reverse, told)
        if all(_agree(found, probe, answer) for probe, answer in zip(probes, answers, strict=True)):
            return found
    raise refusal


def prepared(images: torch.Tensor, preprocessing: Preprocessing, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Raw pixels, uint8 or float ``[B, C, H, W]`` from 0 to 255, as the network wants them.

    Args:
        images: the pixels; grey ones are repeated for a network of colours.
        preprocessing: the operations.
        mean: the mean on the images' device, ``[1, C, 1, 1]``.
        std: the deviation, in the same units.
    """
    pixels = preprocessing.geometry(images.float() / 255)
    return ((pixels.flip(1) if preprocessing.reverse else pixels) - mean) / std


def _literal(told: Mapping[str, Any], source: str) -> Any:
    """A processor that does what a file without a type says, and nothing else."""
    from transformers.image_processing_backends import PilBackend

    further = sorted(key for key in told if key not in _LITERAL | _SILENT and told[key] not in (None, False))
    if further:
        raise AnchorlabError(
            f"{PREPROCESSING} of {source} has {quoted(further[0])} without an image_processor_type, so that nobody "
            "knows what it does: write the type into the file"
        )
    if told.get("crop_size") and "do_center_crop" not in told:
        raise AnchorlabError(
            f"{PREPROCESSING} of {source} has a crop_size, but neither do_center_crop nor an image_processor_type, so "
            "that nobody knows whether it crops: write one of them into the file"
        )
    normalise = told.get("do_normalize", True)
    for key in ("image_mean", "image_std") if normalise else ():
        if told.get(key) is None:
            raise AnchorlabError(f"{PREPROCESSING} of {source} has no {key}: write it, or the image_processor_type")
    given = {key: value for key, value in told.items() if key in _LITERAL and value is not None}
    defaults = {"do_resize": "size" in given, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": normalise}
    return PilBackend(**(defaults | {"do_center_crop": False, "resample": 2} | given))


def _refuse_unknown_steps(told: Mapping[str, Any], processor: Any, source: str) -> None:
    """Raises AnchorlabError for a step that the file wants and the processor's class does not know."""
    known = set(processor.valid_kwargs.__annotations__) | set(dir(type(processor)))
    for key, value in told.items():
        if key.startswith("do_") and value and key not in known | _SILENT:
            raise AnchorlabError(
                f"{PREPROCESSING} of {source} wants the step {quoted(key)}, which {_name(processor)} does not know: "
                "set it to false, or name the image_processor_type that does it"
            )


def _channels(config: Any, told: Mapping[str, Any]) -> int:
    for place in (config, getattr(config, "vision_config", None), getattr(config, "backbone_config", None)):
        if isinstance(number := getattr(place, "num_channels", None), int):
            return number
    return len(told["image_mean"]) if isinstance(told.get("image_mean"), list) else 3


def _name(processor: Any) -> str:
    return type(processor).__name__.removesuffix("Pil")


def _refusal(processor: Any, source: str) -> AnchorlabError:
    """What is said of a processor that we do not imitate."""
    ours = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_flip_channel_order"}
    names = [name for name in dir(processor) if name.startswith("do_") and getattr(processor, name) is True]
    others = [name for name in names if name not in ours | _SILENT]
    resample = getattr(processor, "resample", None)
    if getattr(processor, "do_resize", False) and resample is not None and int(resample) not in FILTERS:
        others.append(f"resample {int(resample)}")
    steps = ", ".join(others) or "its own way to " + " and ".join(name.removeprefix("do_") for name in names)
    return AnchorlabError(
        f"{PREPROCESSING} of {source} prepares images by {_name(processor)} with {steps}, which anchorlab does not do: "
        "take it out of the file if the model was trained without it, or wrap the network in Python, for images that "
        "are prepared already"
    )


def _geometries(processor: Any, refusal: AnchorlabError) -> Iterator[Geometry]:
    """What a processor may do to the shape of images: what most do, and how some families read the same keys."""
    resize, crops = bool(getattr(processor, "do_resize", False)), bool(getattr(processor, "do_center_crop", False))
    resample = getattr(processor, "resample", None)
    number = 2 if resample is None else int(resample)
    if resize and number not in FILTERS:
        raise refusal
    filter_name = FILTERS.get(number, "bilinear")
    size = getattr(processor, "size", None) if resize else None
    height, width, shortest, longest = (
        _edge(size, name, refusal) for name in ("height", "width", "shortest_edge", "longest_edge")
    )
    target = getattr(processor, "crop_size", None) if crops else None
    tall, wide = _edge(target, "height", refusal), _edge(target, "width", refusal)
    crop = None if tall is None or wide is None else (tall, wide)
    fixed = None if height is None or width is None else (height, width)
    yield Geometry(fixed, shortest, longest, filter_name, crop)
    share = getattr(processor, "crop_pct", None)
    if shortest is not None and share:
        larger = int(shortest / share)
        yield Geometry(None, larger, None, filter_name, crop or (shortest, shortest))  # ConvNeXT and PoolFormer
        yield Geometry((shortest, shortest), None, None, filter_name, crop)  # ConvNeXT from 384 on
    if shortest is not None:
        yield Geometry(None, int(256 / 224 * shortest), None, filter_name, crop)  # LeViT


def _edge(size: Any, name: str, refusal: AnchorlabError) -> int | None:
    value = getattr(size, name, None)
    if value is None:
        return None
    if not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise AnchorlabError(
            f"{refusal.args[0].split(' prepares')[0]} has {name} {quoted(value)}: give 1 to {_LARGEST}"
        )
    return value


def _probe_shapes(geometry: Geometry) -> list[tuple[int, int]]:
    """Shapes of images that are resized up, down, and both."""
    edge = max(*(geometry.size or (0, 0)), geometry.shortest or 0, *(geometry.crop or (0, 0))) or 32
    return [(edge, edge), (round(1.4 * edge) + 1, round(0.8 * edge) + 2), (23, 31)]


def _noise(channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """Noise from which no filter leaves 0 to 255, because versions of Pillow cut off at different moments."""
    return np.random.default_rng(0).integers(64, 192, (channels, height, width), dtype=np.uint8)


def _ask(processor: Any, image: NDArray[np.uint8], refusal: AnchorlabError) -> NDArray[np.float64]:
    """What a processor makes of an image, uint8 ``[C, H, W]``: ``[C, h, w]``."""
    from PIL import Image

    channels = len(image)
    given: Any = (
        Image.fromarray(image[0] if channels == 1 else image.transpose(1, 2, 0)) if channels in (1, 3) else image
    )
    further = {} if channels in (1, 3) else {"input_data_format": "channels_first"}
    try:
        with warnings.catch_warnings():  # of a division by 0, which is refused
            warnings.simplefilter("ignore")
            made = processor(images=[given], return_tensors="np", **further)
    except Exception as error:
        raise refusal from error
    pixels = np.asarray(made.get("pixel_values"))
    if set(made) != {"pixel_values"} or pixels.ndim != 4 or pixels.shape[:2] != (1, channels):
        raise refusal  # patches, masks, several images or frames
    first: NDArray[np.float64] = pixels[0].astype(np.float64)
    return first


def _normalisation(
    processor: Any, channels: int, shape: tuple[int, int], refusal: AnchorlabError
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation on the scale 0 to 1, from what becomes of black and white."""
    black, white = (_ask(processor, np.full((channels, *shape), level, dtype=np.uint8), refusal) for level in (0, 255))
    middle = (slice(None), black.shape[1] // 2, black.shape[2] // 2)
    low, high = black[middle], white[middle]
    if not np.isfinite([low, high]).all() or (high == low).any():
        raise refusal
    std = 1 / (high - low)
    mean = -low * std
    named = getattr(processor, "image_mean", None), getattr(processor, "image_std", None)
    try:
        exact = [np.broadcast_to(np.asarray(values, dtype=np.float64), channels) for values in named]
    except (TypeError, ValueError):
        exact = []
    if len(exact) == 2 and np.allclose([mean, std], exact, rtol=1e-5, atol=1e-6):
        mean, std = exact  # without the rounding of single precision
    return tuple(mean.tolist()), tuple(std.tolist())


def _agree(preprocessing: Preprocessing, image: NDArray[np.uint8], wanted: NDArray[np.float64]) -> bool:
    """Whether our operations make the same of an image, within the rounding of pixels."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    ours = prepared(torch.from_numpy(image)[None], preprocessing, mean, std)[0].numpy().astype(np.float64)
    if ours.shape != wanted.shape:
        return False
    levels = np.abs(ours - wanted) * np.abs(np.asarray(preprocessing.std)).reshape(-1, 1, 1) * 255
    return bool(levels.max() <= _TOLERANCE)
