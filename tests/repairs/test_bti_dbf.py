"""BTI-DBF: the mask's objective by hand, features that labels do not need, and a generator that begins with little."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.defender.feature_mask import mask_loss
from anchorlab.models.call import logits, track_statistics
from anchorlab.repairs.bti_dbf import BTIDBF, Features, Generator, _Unlearning
from anchorlab.repairs.tuning import copied
from anchorlab.seeding import generator, seeded_globally
from tests.zoo import Small


def test_the_objective_of_the_mask_by_hand():
    """Two features, two classes, logits equal to the features: masked (1.5, 0), the rest (0.5, 1)."""
    layer, mask = nn.Identity(), torch.tensor([0.75, 0.0])
    found = mask_loss(layer, mask, torch.tensor([[2.0, 1.0]]), torch.tensor([0]))
    expected = math.log1p(math.exp(-1.5)) - math.log1p(math.exp(0.5))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_features_enter_the_last_layer(suspicious, defender_data):
    inputs = defender_data.train.inputs
    split = Features(suspicious, inputs)
    torch.testing.assert_close(split.layer(split(inputs["pixel_values"])), logits(suspicious, inputs))


def test_the_generator_begins_with_little_and_its_draw_is_the_seed_s(defender_data, context, elsewhere):
    images = defender_data.train.inputs["pixel_values"]
    generator = Generator(images, context, 0)
    assert 0 < float((generator(images.float()) - images).detach().abs().max()) < 0.1 * 255
    weights = [Generator(images, means, 0).layers[0].weight for means in (context, context, elsewhere)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_search_changes_other_features_and_keeps_near_the_images(suspicious, defender_data, context):
    repair = BTIDBF(mask_epochs=10, generator_epochs=20, augment="none")
    search = _Unlearning(repair, defender_data, context)
    model = copied(suspicious).requires_grad_(False)
    generator = search._search(model, 0)
    images = defender_data.train.inputs["pixel_values"].float()
    with torch.no_grad():
        changed = generator(images)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 255
    change = float((changed / 255 - images / 255).square().mean())
    assert 0 < change < 2 * repair.bound
    split = Features(model, defender_data.train.inputs)
    mask = search._mask(split, 0)
    with torch.no_grad():
        moved = (split(changed) - split(images)).square().mean(0)
    assert float(((1 - mask) ** 2 * moved).mean()) > 0
    assert search._target in range(10)


def test_statistics_follow_each_batch_as_a_whole_and_no_image_alone(context):
    """Two passes a step, mixed and clean. One image alone has no variance where its map is one pixel."""
    with seeded_globally(3, "small"):
        model = Small()
        model.second = nn.Conv2d(4, 6, 6)
    track_statistics(model)
    images = torch.randint(0, 256, (16, 1, 8, 8), generator=generator(0, "images"), dtype=torch.uint8)
    labels = torch.arange(16) % 3
    data = DefenderData(Split({"pixel_values": images}, labels), None, 3, "image")
    loss = _Unlearning(BTIDBF(mask_epochs=1, generator_epochs=1, augment="none"), data, context)
    for step in (1, 2):
        assert bool(loss(model, {"pixel_values": images}, labels).isfinite())
        assert int(model.first_norm.num_batches_tracked) == 2 * step
        assert int(model.second_norm.num_batches_tracked) == 2 * step
