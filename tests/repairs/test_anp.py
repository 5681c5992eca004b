"""ANP: its adversary raises the loss within its box, and low masks are pruned."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anchorlab.repairs.anp import ANP, Masks, _MaskObjective, prune_up_to, thresholds


def test_masks_up_to_the_threshold_are_cut(small):
    norms = {"second_norm": small.second_norm}
    masks = Masks(norms)
    with torch.no_grad():
        small.second_norm.bias.fill_(0.5)
        masks.values[0].copy_(torch.tensor([0.0, 0.5, 0.9, 0.2, 1.0, 0.3]))
    bias = small.second_norm.bias.clone()
    prune_up_to(norms, masks, 0.0)
    assert torch.nonzero(small.second_norm.weight == 0).flatten().tolist() == [0]
    prune_up_to(norms, masks, 0.25)
    assert torch.nonzero(small.second_norm.weight == 0).flatten().tolist() == [0, 3]
    assert torch.equal(small.second_norm.bias, bias)


def test_thresholds_begin_at_0_where_a_mask_is_0(small):
    masks = Masks({"second_norm": small.second_norm})
    assert thresholds(masks) == pytest.approx([0.05 * step for step in range(1, 20)])
    with torch.no_grad():
        masks.values[0][2] = 0
    assert thresholds(masks) == pytest.approx([0.05 * step for step in range(20)])


def test_masks_are_learned_by_the_statistics_of_the_batch_and_the_model_keeps_its_own(
    suspicious, defender_data, context, monkeypatch
):
    modes = []
    real = _MaskObjective._loss

    def loss(self, *arguments):
        modes.append({one.training for one in self._model.modules() if isinstance(one, nn.BatchNorm2d)})
        return real(self, *arguments)

    monkeypatch.setattr(_MaskObjective, "_loss", loss)
    before = {name: value.clone() for name, value in suspicious.state_dict().items()}
    for batchnorm, training in (("batch", True), ("running", False)):
        modes.clear()
        repaired = ANP(steps=2, tolerance=0, batchnorm=batchnorm).repair(suspicious, defender_data, context)
        assert modes == [{training}] * 6
        assert all(torch.equal(value, before[name]) for name, value in suspicious.state_dict().items())
        statistics = {name: value for name, value in repaired.named_buffers() if "running" in name}
        assert all(torch.equal(value, before[name]) for name, value in statistics.items())


def test_the_adversary_of_anp_raises_the_loss_within_its_box(suspicious, defender_data, context):
    norms = {name: one for name, one in suspicious.named_modules() if isinstance(one, nn.BatchNorm2d)}
    masks, how = Masks(norms), ANP(radius=0.4)
    game = _MaskObjective(suspicious, masks, defender_data, how, context)
    values = [mask.detach() for mask in masks.values]
    inputs, labels = defender_data.train.inputs, defender_data.train.labels
    worst = game._worst_perturbation(inputs, labels, values, 0)
    assert max(float(part.abs().max()) for pair in worst for part in pair) <= 0.4 + 1e-6
    with torch.no_grad():
        assert float(game._loss(inputs, labels, values, worst)) > 2 * float(game._loss(inputs, labels, values, None))
