"""NPD: the filter folds into the convolution exactly, and the search keeps to its ball."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anchorlab.defender.context import DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits
from anchorlab.repairs.npd import NPD, Filtered, late_convolution
from anchorlab.repairs.tuning import copied
from tests.zoo import Linear


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
