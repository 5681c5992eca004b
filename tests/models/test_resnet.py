"""The ResNets for small images: shapes, normalisation, and what transformers reads of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import AutoModelForImageClassification

import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)
from anchorlab.artifacts.artifact import load_model
from anchorlab.models.architectures import build_model
from anchorlab.models.call import predict


@pytest.mark.parametrize(
    ("name", "size", "stem", "last"),
    [("resnet-tiny", 8, 8, 2), ("resnet-18", 32, 32, 4), ("resnet-small", 28, 14, 1), ("resnet-20", 32, 32, 8)],
)
def test_the_stem_and_the_last_stage_have_these_positions(digits, name, size, stem, last):
    model = build_model(name, digits, seed=0)
    pixels = torch.zeros(2, 1, size, size, dtype=torch.uint8)
    with torch.inference_mode():
        early = model.resnet.embedder(pixels)
        late = model.resnet(pixels).last_hidden_state
    assert early.shape[-2:] == (stem, stem)
    assert late.shape[-2:] == (last, last)
    assert model.resnet.embedder.embedder.convolution.kernel_size == (3, 3)


def test_a_shortcut_without_parameters_keeps_every_second_position_and_adds_channels_of_zeros(digits):
    block = build_model("resnet-20", digits, seed=0).resnet.encoder.stages[1].layers[0]
    features = torch.arange(2 * 16 * 5 * 5.0).view(2, 16, 5, 5)
    passed = block.shortcut(features)
    assert passed.shape == (2, 32, 3, 3)
    assert torch.equal(passed[:, :16], features[:, :, [0, 2, 4]][..., [0, 2, 4]])
    assert not passed[:, 16:].any()
    assert not list(block.shortcut.parameters())
    assert block(features).shape == passed.shape


def test_raw_pixels_are_normalised_inside_the_model_by_the_owners_statistics(digits, reference):
    pixels = digits.split("test").inputs["pixel_values"][:5]
    owner = digits.split("owner").inputs["pixel_values"].numpy() / 255
    stem = copy.deepcopy(reference.model.resnet.embedder)
    stem.embedder = nn.Identity()
    expected = (pixels.numpy() / 255 - owner.mean()) / owner.std()
    assert stem(pixels).numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["resnet-tiny", "resnet-small", "resnet-20"])
def test_transformers_round_trip_is_bit_for_bit(digits, tmp_path, name):
    model = build_model(name, digits, seed=3)
    model.save_pretrained(tmp_path)
    assert_same_model(AutoModelForImageClassification.from_pretrained(tmp_path), model, digits)


def test_a_saved_artifact_opens_here_and_in_transformers_bit_for_bit(digits, reference, tmp_path):
    folder = reference.save(tmp_path / "model")
    assert_same_model(load_model(folder).model, reference.model, digits)
    assert_same_model(AutoModelForImageClassification.from_pretrained(folder), reference.model, digits)


def assert_same_model(loaded, original, task):
    before, after = original.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    assert not loaded.training
    assert loaded.config.id2label == dict(enumerate(task.classes))
    inputs = {"pixel_values": task.split("test").inputs["pixel_values"][:50]}
    assert torch.equal(predict(loaded, inputs), predict(original, inputs))
