"""NAD: where stages end, the attention by hand, and that distillation brings it to the teacher's."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import transformers
from torch import nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.hooks import capture_output
from anchorlab.models.pretrained import open_pretrained
from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.nad import NAD, attention
from tests.zoo import IMAGE, save_image


def test_stages_end_where_the_resolution_changes(suspicious, defender_data):
    """With the sum of the last block: digits of 8 by 8 shrink to 4 by 4 and 2 by 2, and the pooled map is left out."""
    ends = NAD()._stage_ends(suspicious, defender_data.train.inputs)
    names = {module: name for name, module in suspicious.named_modules()}
    _, maps = NAD()._logits_and_maps(suspicious, ends, defender_data.train.inputs)
    assert [tuple(each.shape[2:]) for each in maps] == [(8, 8), (4, 4), (2, 2)]
    assert [names[end.module].split(".")[-2:] for end in ends[1:]] == [["stages", "1"], ["stages", "2"]]


def test_stages_may_end_with_calls_of_the_same_module(one_relu):
    inputs = {"pixel_values": torch.rand(3, 1, 8, 8)}
    ends = NAD()._stage_ends(one_relu, inputs)
    assert [end.module for end in ends] == [one_relu.relu, one_relu.relu]
    for _ in range(2):  # a second pass counts its calls from the first again
        _, (first, second) = NAD()._logits_and_maps(one_relu, ends, inputs)
        torch.testing.assert_close(first, one_relu.first(inputs["pixel_values"]).relu())
        torch.testing.assert_close(second, one_relu.second(first).relu())


def test_attention_is_of_norm_one_whatever_the_scale():
    activations = torch.rand(2, 3, 4, 4)
    found = attention(activations)
    assert found.shape == (2, 16)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(attention(7 * activations), found)
    by_hand = (activations[0] ** 2).sum(0).flatten()
    torch.testing.assert_close(found[0], by_hand / by_hand.norm())


def test_distillation_brings_the_attention_to_the_teachers(suspicious, defender_data, context, monkeypatch):
    """A teacher that looks elsewhere, for its filters were turned round."""
    teacher = copy.deepcopy(suspicious)
    with torch.no_grad():
        for module in teacher.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight.flip(2, 3))
    monkeypatch.setattr(FineTuning, "repair", lambda *_: teacher)
    monkeypatch.setattr("anchorlab.repairs.tuning.Latest.restore", lambda self: None)

    def apart(strength):
        student = NAD(strength=strength, epochs=20).repair(suspicious, defender_data, context)
        found = []
        for model in (teacher, student):
            with capture_output(NAD()._stage_ends(model, defender_data.train.inputs)[0]) as output, torch.no_grad():
                model(**defender_data.train.inputs)
                found.append(attention(output()))
        return float((found[0] - found[1]).square().sum())

    assert apart(1000.0) < 0.7 * apart(0.0)


def test_on_convnext_stages_end_with_maps_that_have_the_channels_first(tmp_path):
    """Its layers hold outputs ``[B, H, W, C]`` too: of 8 by 8 positions with 32 channels, and of 4 by 4 with 64."""
    model = open_pretrained(str(save_image("convnext", tmp_path / "model", ["cat", "dog", "bird"])))
    inputs = {"pixel_values": torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)}
    _, maps = NAD()._logits_and_maps(model, NAD()._stage_ends(model, inputs), inputs)
    assert [tuple(each.shape) for each in maps] == [(2, 8, 8, 8), (2, 16, 4, 4)]


def test_a_vision_transformer_is_refused_before_anything_is_tuned(defender_data, context, monkeypatch):
    """Its only map is what cuts the image into patches, which is a linear map of the pixels."""
    monkeypatch.setattr(FineTuning, "repair", None)
    settings = {**IMAGE["vit"][1], "image_size": 8, "patch_size": 4, "num_channels": 1, "num_labels": 10}
    model = transformers.ViTForImageClassification(transformers.ViTConfig(**settings)).eval()
    inputs = {"pixel_values": defender_data.train.inputs["pixel_values"].float()}
    data = replace(defender_data, train=replace(defender_data.train, inputs=inputs))
    with pytest.raises(AnchorlabError, match="goes on with tokens, as a vision transformer after its patches"):
        NAD().repair(model, data, context)


def test_a_network_without_a_known_layer_has_maps_all_the_same():
    class Twice(nn.Module):
        def forward(self, pixel_values):
            return 2 * pixel_values.float()

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice = Twice()

        def forward(self, pixel_values):
            return self.twice(pixel_values).mean((2, 3))

    model = Own().eval()
    (end,) = NAD()._stage_ends(model, {"pixel_values": torch.rand(1, 3, 4, 4)})
    assert end.module is model.twice
