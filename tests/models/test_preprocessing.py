"""What becomes of an image before the network is what transformers' own processor makes of it, or it is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor

from anchorlab import load_model, load_task, train
from anchorlab.models.folders import PREPROCESSING
from anchorlab.models.geometry import Geometry
from anchorlab.models.preprocessing import Preprocessing, open_preprocessing
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import PixelClassifier, pixels_seen
from anchorlab.training.reference import Training
from tests.refusals import refused
from tests.zoo import save_image

HALF = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.5, 0.125]}
COLOURS, GREY = SimpleNamespace(num_channels=3), SimpleNamespace(num_channels=1)

HONOURED: dict[str, dict[str, Any]] = {
    "ViT": {"image_processor_type": "ViTImageProcessor", **HALF, "size": {"height": 16, "width": 12}},
    "ViT, all defaults": {"image_processor_type": "ViTImageProcessor"},
    "Fast": {"image_processor_type": "ViTImageProcessorFast", **HALF, "size": 20},
    "old extractor": {"feature_extractor_type": "ViTFeatureExtractor", **HALF, "size": 24, "resample": 2},
    "no rescaling": {"image_processor_type": "ViTImageProcessor", **HALF, "size": 16, "do_rescale": False},
    "other rescaling": {"image_processor_type": "ViTImageProcessor", **HALF, "size": 16, "rescale_factor": 0.01},
    "no normalising": {"image_processor_type": "ViTImageProcessor", "size": 16, "do_normalize": False},
    "neither": {"image_processor_type": "ViTImageProcessor", "size": 16, "do_normalize": False, "do_rescale": False},
    "no resizing": {"image_processor_type": "ViTImageProcessor", **HALF, "do_resize": False},
    "nearest": {"image_processor_type": "ViTImageProcessor", **HALF, "size": 16, "resample": 0},
    "bicubic": {"image_processor_type": "ViTImageProcessor", **HALF, "size": 32, "resample": 3},
    "CLIP": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "crop_size": 24},
    "old CLIP": {"feature_extractor_type": "CLIPFeatureExtractor", "size": 30, "crop_size": 24, "do_center_crop": True},
    "crop beyond": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 20}, "crop_size": 33},
    "BiT": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 36}, "crop_size": 32},
    "ConvNeXT": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 28}, "crop_pct": 0.875},
    "ConvNeXT at 384": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
    "LeViT": {"image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 28}, "crop_size": 28},
    "PoolFormer": {"image_processor_type": "PoolFormerImageProcessor", "size": 28, "crop_size": 28, "crop_pct": 0.9},
    "DeiT": {"image_processor_type": "DeiTImageProcessor", "size": 36, "crop_size": 32},
    "EfficientNet": {"image_processor_type": "EfficientNetImageProcessor", "size": 32, "resample": 3},
    "offset": {
        "image_processor_type": "EfficientNetImageProcessor", "size": 16, "resample": 2, "rescale_factor": 1 / 127.5,
        "rescale_offset": True, "include_top": False,
    },
    "MobileViT": {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 36}, "crop_size": 32},
    "MobileViT, red first": {"image_processor_type": "MobileViTImageProcessor", "do_flip_channel_order": False},
    "MobileNetV1": {"image_processor_type": "MobileNetV1ImageProcessor", "size": 36, "crop_size": 32},
    "BEiT": {"image_processor_type": "BeitImageProcessor", "size": 36, "do_reduce_labels": False},
    "Segformer": {"image_processor_type": "SegformerImageProcessor", "size": 32, "do_reduce_labels": True},
}  # fmt: skip

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "Lanczos": ({"image_processor_type": "ViTImageProcessor", "resample": 1}, "ViTImageProcessor with resample 1"),
    "padding": (
        {"image_processor_type": "Swin2SRImageProcessor"},
        "prepares images by Swin2SRImageProcessor with do_pad",
    ),
    "thumbnails": ({"image_processor_type": "DonutImageProcessor", "size": 32}, "do_align_long_axis|do_thumbnail"),
    "frames": ({"image_processor_type": "VideoMAEImageProcessor"}, "by VideoMAEImageProcessor"),
    "patches": ({"image_processor_type": "Siglip2ImageProcessor"}, "by Siglip2ImageProcessor"),
    "tiles": (
        {"image_processor_type": "Idefics3ImageProcessor"},
        "by Idefics3ImageProcessor with",
    ),
    "masks": ({"image_processor_type": "ViltImageProcessor", "size": 32}, "by ViltImageProcessor with do_pad"),
    "palette": (
        {"image_processor_type": "ImageGPTImageProcessor", "size": 8, "clusters": [[0, 0, 0], [1, 1, 1]]},
        "by ImageGPTImageProcessor with do_color_quantize",
    ),
    "crop before resizing": ({"image_processor_type": "PerceiverImageProcessor"}, "by PerceiverImageProcessor"),
    "divisor": ({"image_processor_type": "GLPNImageProcessor", "size_divisor": 32}, "by GLPNImageProcessor"),
    "an unknown step": (
        {"image_processor_type": "ViTImageProcessor", "do_sharpen": True},
        "wants the step 'do_sharpen', which ViTImageProcessor does not know",
    ),
    "an unknown type": ({"image_processor_type": "OurImageProcessor"}, "cannot be read"),
    "a huge image": (
        {"image_processor_type": "ViTImageProcessor", "size": 10**6},
        "has height 1000000: give 1 to 4096",
    ),
    "a deviation of 0": ({"image_processor_type": "ViTImageProcessor", "image_std": [0, 1, 1]}, "by ViTImageProcessor"),
    "untyped crop": ({**HALF, "size": 32, "crop_size": 28}, "has a crop_size, but neither do_center_crop nor"),
    "untyped offset": ({**HALF, "rescale_offset": True}, "'rescale_offset' without an image_processor_type"),
    "untyped pad": ({**HALF, "do_pad": True, "pad_size": {"height": 40, "width": 40}}, "with do_pad"),
    "no mean": ({"image_std": [1, 1, 1]}, "has no image_mean"),
    "nothing": ({}, "has no preprocessor_config.json"),
}


def write(folder, told):
    (folder / PREPROCESSING).write_text(json.dumps(told))
    return str(folder)


def images(height, width, channels=3, count=2, darkest=0, brightest=255):
    shape = (count, channels, height, width)
    return np.random.default_rng(1).integers(darkest, brightest + 1, shape, dtype=np.uint8)


def ours(folder, config, raw):
    model = PixelClassifier(nn.Identity(), steps=open_preprocessing(folder, config))
    return model(torch.from_numpy(raw)).numpy()


def assert_same(found, wanted, folder, config):
    """Equal within the rounding of pixels, which are whole numbers when Pillow resizes them."""
    std = np.abs(open_preprocessing(folder, config).std).reshape(1, -1, 1, 1)
    assert found.shape == wanted.shape
    assert (np.abs(found - wanted) * std * 255).max() <= 2


@pytest.mark.parametrize("name", HONOURED)
def test_pixels_are_those_of_the_processor(tmp_path, name):
    folder = write(tmp_path, HONOURED[name])
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    # Square images have all values; where tall ones shrink, versions of Pillow differ beyond black and white.
    for raw in (images(16, 16), images(500, 500, count=1), images(40, 28, darkest=64, brightest=191), images(27, 61)):
        wanted = processor(images=[Image.fromarray(one.transpose(1, 2, 0)) for one in raw], return_tensors="np")
        assert_same(ours(folder, COLOURS, raw), wanted["pixel_values"], folder, COLOURS)


def test_without_resizing_the_pixels_are_exactly_the_processors(tmp_path):
    folder = write(tmp_path, HONOURED["offset"])
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    raw = images(16, 16)
    wanted = processor(images=[Image.fromarray(one.transpose(1, 2, 0)) for one in raw], return_tensors="np")
    np.testing.assert_allclose(ours(folder, COLOURS, raw), wanted["pixel_values"], atol=1e-5)


def test_grey_networks_have_one_mean(tmp_path):
    told = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.3], "image_std": [0.5], "size": 16}
    folder = write(tmp_path, told)
    np.testing.assert_allclose(ours(folder, GREY, images(16, 16, 1)), (images(16, 16, 1) / 255 - 0.3) / 0.5, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_imitated_is_refused_by_name(tmp_path, name):
    told, message = REFUSED[name]
    folder = save_image("vit", tmp_path / "model", ["a", "b"])
    write(folder, told)
    refused(message, open_pretrained, str(folder))


@pytest.mark.parametrize(
    ("told", "scale", "shift"),
    [
        (HALF, 255, 0),
        ({**HALF, "size": None}, 255, 0),
        ({**HALF, "do_normalize": False}, None, None),
        ({"do_normalize": False}, None, None),
        ({**HALF, "do_rescale": False}, 1, 0),
        ({**HALF, "do_center_crop": False, "crop_size": 3, "do_pad": False}, 255, 0),
    ],
)
def test_a_file_without_a_type_is_read_literally(tmp_path, told, scale, shift):
    raw = images(9, 7)
    mean, std = (np.array(HALF[name]).reshape(1, 3, 1, 1) for name in ("image_mean", "image_std"))
    wanted = raw / 255 if scale is None else (raw / scale - mean) / std
    np.testing.assert_allclose(ours(write(tmp_path, told), COLOURS, raw), wanted, rtol=1e-5, atol=1e-5)


def test_a_processor_within_a_nested_file_is_read(tmp_path):
    told = {"image_processor": HONOURED["no normalising"], "processor_class": "SomeProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(told))
    np.testing.assert_allclose(ours(str(tmp_path), COLOURS, images(16, 16)), images(16, 16) / 255, atol=1e-6)


def test_what_the_file_said_is_written_again_and_means_the_same(tmp_path):
    folder = save_image("vit", tmp_path / "model", ["a", "b", "c"])
    write(folder, {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 20}, "crop_size": 16})
    task = load_task("digits", limit=12)
    reference = train(task, model=str(folder), training=Training(epochs=1, batch_size=32))
    saved = reference.save(tmp_path / "saved")
    assert json.loads((saved / PREPROCESSING).read_text())["image_processor_type"] == "CLIPImageProcessor"
    again = load_model(saved).model
    assert again.steps == reference.model.steps
    assert again.steps.geometry == Geometry(shortest=20, filter="bicubic", crop=(16, 16), whole=True)
    raw = task.split("test").inputs["pixel_values"][:3]
    torch.testing.assert_close(again(raw), reference.model(raw))


def test_the_operations_have_gradients():
    steps = PixelClassifier(nn.Identity(), [0.5], [0.5]).steps
    geometry = Geometry(shortest=20, filter="bicubic", crop=(16, 16), whole=True)
    pixels = (255 * torch.rand(1, 1, 9, 12)).requires_grad_()
    (steps.__class__(steps.mean, steps.std, geometry).geometry(pixels / 255) ** 2).sum().backward()
    assert (pixels.grad != 0).any()


@settings(max_examples=30)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 40), st.integers(1, 40))
def test_crops_are_cut_as_transformers_cuts_them(height, width, tall, wide):
    from transformers.image_transforms import center_crop

    raw = images(height, width, count=1)
    found = Geometry(crop=(tall, wide))(torch.from_numpy(raw).float())
    wanted = center_crop(raw[0], (tall, wide), input_data_format="channels_first")
    np.testing.assert_array_equal(found[0].numpy(), wanted)


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 100), st.one_of(st.none(), st.integers(1, 200)))
def test_edges_are_resized_as_transformers_does(height, width, shortest, longest):
    from transformers.image_transforms import get_size_with_aspect_ratio

    found = Geometry(shortest=shortest, longest=longest).resized(height, width)
    assert found == tuple(get_size_with_aspect_ratio((height, width), shortest, longest))


@pytest.mark.parametrize(
    ("geometry", "seen"),
    [(Geometry(), 32 * 32), (Geometry((224, 224)), 224 * 224), (Geometry(shortest=256, crop=(224, 224)), 256 * 256)],
)
def test_pixels_seen_are_those_that_the_network_gets(geometry, seen):
    steps = Preprocessing((0.5,) * 3, (0.5,) * 3, geometry)
    model = nn.Sequential(PixelClassifier(nn.Identity(), steps=steps))
    assert pixels_seen(model, 32, 32) == seen
    assert pixels_seen(nn.Flatten(), 8, 4) == 32
