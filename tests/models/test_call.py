"""Building, calling and saving classifiers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForImageClassification

import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)
from anchorlab.artifacts.artifact import load_model
from anchorlab.errors import AnchorlabError
from anchorlab.models.architectures import ARCHITECTURES, build_model
from anchorlab.models.call import class_count, logits, predict
from anchorlab.models.device import move_to_cpu, move_to_device


def parameter_count(widths, depths, *, early_strides):
    """A basic-block ResNet for grey images and ten classes, counted layer by layer.

    A convolution of k×k has k² · in · out weights and its BatchNorm 2 · out; a block has two of 3×3, and
    one of 1×1 on its shortcut where it changes size or width.
    """
    count, before = 9 * widths[0] + 2 * widths[0], widths[0]
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            count += 9 * before * width + 9 * width * width + 4 * width
            if block == 0 and (stage > 0 or early_strides):
                count += before * width + 2 * width
            before = width
    return count + 10 * widths[-1] + 10


@pytest.mark.parametrize(
    ("name", "widths", "depths", "early_strides", "millions"),
    [
        ("resnet-tiny", [16, 32, 64], [1, 1, 1], False, 0.08),
        ("resnet-small", [32, 64, 128, 256], [2, 2, 2, 2], True, 2.8),
        ("resnet-18", [64, 128, 256, 512], [2, 2, 2, 2], False, 11.2),
        ("resnet-34", [64, 128, 256, 512], [3, 4, 6, 3], False, 21.3),
    ],
)
def test_architectures_have_the_size_that_they_state(digits, name, widths, depths, early_strides, millions):
    model = build_model(name, digits, seed=0)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == parameter_count(widths, depths, early_strides=early_strides)
    assert float(f"{count / 1e6:.3g}") == pytest.approx(millions, rel=0.04)
    assert f"{millions} M parameters" in ARCHITECTURES[name].description


def test_resnet_18_has_the_published_number_of_parameters(digits):
    """11,173,962 is the number of the usual ResNet-18 for CIFAR-10; ours here sees one channel instead of three."""
    model = build_model("resnet-18", digits, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962 - 2 * 9 * 64


@pytest.mark.parametrize(
    ("name", "size", "stem", "last"),
    [("resnet-tiny", 8, 8, 2), ("resnet-18", 32, 32, 4), ("resnet-small", 28, 14, 1)],
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


def test_raw_pixels_are_normalised_inside_the_model_by_the_owners_statistics(digits, reference):
    pixels = digits.split("test").inputs["pixel_values"][:5]
    owner = digits.split("owner").inputs["pixel_values"].numpy() / 255
    stem = copy.deepcopy(reference.model.resnet.embedder)
    stem.embedder = nn.Identity()
    expected = (pixels.numpy() / 255 - owner.mean()) / owner.std()
    assert stem(pixels).numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["resnet-tiny", "resnet-small"])
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


def test_initial_weights_depend_on_the_seed_alone(digits):
    torch.manual_seed(0)
    first = build_model("resnet-tiny", digits, seed=1).state_dict()
    following = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), following)  # the caller's own draws are not disturbed
    again = build_model("resnet-tiny", digits, seed=1).state_dict()
    other = build_model("resnet-tiny", digits, seed=2).state_dict()
    name = "resnet.embedder.embedder.convolution.weight"
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first[name], other[name])


def test_an_unknown_architecture_gets_the_nearest_suggested(digits):
    with pytest.raises(AnchorlabError, match=r"unknown model 'resnet18': did you mean 'resnet-18'\?"):
        build_model("resnet18", digits, seed=0)


def test_logits_are_float32_from_tensors_and_from_transformers_outputs(digits, linear, reference):
    inputs = {"pixel_values": digits.split("test").inputs["pixel_values"][:4]}
    assert torch.equal(logits(linear, inputs), linear(**inputs))
    assert torch.equal(logits(reference.model, inputs), reference.model(**inputs).logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(**inputs).dtype == torch.bfloat16
        assert logits(linear, inputs).dtype == torch.float32


def test_predictions_do_not_depend_on_the_batch_size(digits, reference):
    inputs = {name: value[:120] for name, value in digits.split("test").inputs.items()}
    whole = predict(reference.model, inputs)
    assert whole.shape == (120, 10)
    for batch_size in (120, 50, 7):
        torch.testing.assert_close(predict(reference.model, inputs, batch_size=batch_size), whole, rtol=0, atol=1e-4)


def test_predict_evaluates_and_restores_the_mode(digits, reference):
    inputs = {name: value[:60] for name, value in digits.split("test").inputs.items()}
    model = copy.deepcopy(reference.model).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answers = predict(model, inputs)
    assert torch.equal(answers, predict(reference.model, inputs))
    assert not answers.requires_grad
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    predict(model.eval(), inputs)
    assert not model.training


def test_predict_transforms_each_batch_before_the_model_sees_it(digits, linear):
    inputs = {name: value[:9] for name, value in digits.split("test").inputs.items()}
    negative = predict(
        linear, inputs, transform=lambda batch: {"pixel_values": 255 - batch["pixel_values"]}, batch_size=4
    )
    assert torch.equal(negative, predict(linear, {"pixel_values": 255 - inputs["pixel_values"]}, batch_size=4))


def test_classes_are_counted_by_asking_the_model(digits):
    class Three(nn.Module):
        def forward(self, pixel_values):
            return pixel_values.new_zeros(len(pixel_values), 3, dtype=torch.float32)

    assert class_count(Three(), digits.split("test").inputs) == 3


def test_convolutional_models_are_placed_channels_last_and_taken_back(digits, reference, linear):
    inputs = {name: value[:30] for name, value in digits.split("test").inputs.items()}
    model = move_to_device(copy.deepcopy(reference.model), torch.device("cpu")).train()
    weight = model.resnet.encoder.stages[1].layers[0].layer[0].convolution.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    np.testing.assert_allclose(predict(model, inputs), predict(reference.model, inputs), atol=1e-4)
    move_to_cpu(model)
    assert weight.is_contiguous()
    assert not model.training
    assert move_to_device(linear, torch.device("cpu")).layer.weight.is_contiguous()
