"""NPD: the filter folds into the convolution exactly, and the search keeps to its ball."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from anchorlab.defender.context import DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits
from anchorlab.repairs.npd import NPD, Filtered, late_convolution
from anchorlab.repairs.tuning import copied
from tests.zoo import IMAGE, Linear


def test_the_folded_filter_is_a_convolution_of_one_pixel_before_the_other(small, inputs):
    """Beside a network in which the layer really stands there."""
    filtered = Filtered(small.requires_grad_(False), "second")
    before = logits(small, inputs).detach()
    torch.testing.assert_close(filtered(**inputs), before)
    with torch.no_grad():
        filtered.filter += 0.3 * torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    apart = copied(small)
    polarizer = nn.Conv2d(4, 4, 1, bias=False)
    with torch.no_grad():
        polarizer.weight.copy_(filtered.filter[:, :, None, None])
    apart.second = nn.Sequential(polarizer, apart.second)
    expected = logits(apart, inputs).detach()
    assert float((expected - before).abs().max()) > 0.01
    torch.testing.assert_close(filtered(**inputs), expected)
    filtered.fold()
    torch.testing.assert_close(logits(small, inputs), expected)


def test_of_two_convolutions_the_filter_takes_the_one_that_does_not_see_the_image(small, inputs):
    """In front of the first lie channels of an image: of a grey one a single one, which no filter can clear."""
    assert late_convolution(small, inputs) == "second"


def test_where_all_other_large_kernels_look_at_single_channels_the_filter_stands_before_a_late_small_one():
    """A MobileNet's only large kernel of all channels is the first, in front of which lies the image."""
    config = transformers.MobileNetV2Config(image_size=32, depth_multiplier=0.25, num_labels=3)
    model = transformers.MobileNetV2ForImageClassification(config).eval()
    name = late_convolution(model, {"pixel_values": torch.rand(1, 3, 32, 32)})
    assert name == "mobilenet_v2.layer.15.reduce_1x1.convolution"


def test_one_large_kernel_behind_a_first_small_one_is_taken():
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 6, 1))
    model.forward = lambda pixel_values: nn.Sequential.forward(model, pixel_values).mean((2, 3))  # type: ignore[assignment, method-assign]
    assert late_convolution(model.eval(), {"pixel_values": torch.rand(1, 1, 8, 8)}) == "1"


def test_a_vision_transformer_whose_only_convolution_sees_the_image_is_refused():
    model = transformers.ViTForImageClassification(transformers.ViTConfig(**IMAGE["vit"][1], num_labels=3)).eval()
    with pytest.raises(AnchorlabError, match="in front of which lies the image, but the model has none that mixes all"):
        late_convolution(model, {"pixel_values": torch.rand(1, 3, 16, 16)})


def test_one_convolution_alone_changes(suspicious, defender_data, context):
    name = late_convolution(suspicious, defender_data.train.inputs)
    repaired = NPD(epochs=1).repair(suspicious, defender_data, context)
    before = suspicious.state_dict()
    changed = [key for key, value in repaired.state_dict().items() if not torch.equal(value, before[key])]
    assert changed == [f"{name}.weight"]
    assert all(value.requires_grad for value in repaired.parameters())


def test_the_search_leads_images_to_their_labels_within_the_ball(suspicious, defender_data):
    images = defender_data.train.inputs["pixel_values"]
    wanted = (defender_data.train.labels + 1) % 10
    repair = NPD(radius=2.0, search_steps=8)
    found = repair.search(suspicious, images, wanted)
    assert float(found.flatten(1).norm(dim=1).max()) <= 2 + 1e-4
    with torch.no_grad():
        answers = logits(suspicious, {"pixel_values": (images + 255 * found).clamp(0, 255)})
    assert float((answers.argmax(1) == wanted).float().mean()) > 0.2


def test_a_model_without_convolutions_is_refused(defender_data, context):
    assert isinstance(defender_data, DefenderData)
    with pytest.raises(AnchorlabError, match="NPD filters what enters a convolution, but the model has none"):
        NPD().repair(Linear().eval(), defender_data, context)
