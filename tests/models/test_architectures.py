"""Named architectures: their sizes, their first weights."""

from __future__ import annotations

import pytest
import torch

import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)
from anchorlab.errors import AnchorlabError
from anchorlab.models.architectures import ARCHITECTURES, build_model


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


def test_resnet_20_has_as_many_parameters_as_its_authors_say(digits):
    """He et al.'s table 6 says .27 M; counted with option A they are 269,722, with option B 272,474.

    Their images have three channels, and the digits here one.
    """
    model = build_model("resnet-20", digits, seed=0)
    counted = parameter_count([16, 32, 64], [3, 3, 3], early_strides=False)
    of_projections = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    assert counted == 272_474 - 2 * 9 * 16
    assert sum(parameter.numel() for parameter in model.parameters()) == counted - of_projections
    assert counted - of_projections == 269_722 - 2 * 9 * 16
    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) + 1 == 20
    assert all(convolution.kernel_size == (3, 3) for convolution in convolutions)
    assert "0.27 M parameters" in ARCHITECTURES["resnet-20"].description


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
