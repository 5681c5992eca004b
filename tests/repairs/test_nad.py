"""NAD: where stages end, the attention by hand, and that distillation brings it to the teacher's."""

from __future__ import annotations

import copy

import torch
from torch import nn

from anchorlab.models.hooks import capture_output, feature_maps
from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.nad import NAD, attention


def test_stages_end_where_the_resolution_changes(suspicious, defender_data):
    """With the sum of the last block: digits of 8 by 8 shrink to 4 by 4 and 2 by 2, and the pooled map is left out."""
    ends = NAD()._stage_ends(suspicious, defender_data.train.inputs)
    names = {id(module): name for name, module in suspicious.named_modules()}
    sizes = {id(module): size for module, size in feature_maps(suspicious, defender_data.train.inputs)}
    assert [sizes[id(end)] for end in ends] == [(8, 8), (4, 4), (2, 2)]
    assert [names[id(end)].split(".")[-2:] for end in ends[1:]] == [["stages", "1"], ["stages", "2"]]


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
