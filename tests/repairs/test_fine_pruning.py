"""Fine-pruning: quiet features are pruned, and the tuning leaves them so."""

from __future__ import annotations

import copy

import torch
from torch import nn

from anchorlab.models.hooks import features, last_layer
from anchorlab.repairs.fine_pruning import FinePruning
from anchorlab.repairs.pruning import Pruning


def test_quiet_features_are_pruned_and_stay_so(suspicious, defender_data, context):
    repaired = FinePruning(epochs=3, tolerance=0.5).repair(suspicious, defender_data, context)
    silent = (last_layer(repaired, defender_data.train.inputs).weight == 0).all(dim=0)
    assert 0 < int(silent.sum()) < len(silent)
    loudness = features(suspicious, defender_data.train.inputs)[0].abs().mean(dim=0)
    assert loudness[silent].max() <= loudness[~silent].min()


class InBfloat16(nn.Module):
    """Two layers whose weights are in bfloat16."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, 10)).bfloat16()

    def forward(self, pixel_values):
        return self.layers(pixel_values.flatten(1).bfloat16())


def test_a_module_in_bfloat16_is_pruned_too(defender_data, context):
    """The features come in float32, whatever the weights are in."""
    model = InBfloat16(defender_data.train.inputs["pixel_values"][0].numel()).eval()
    repair = FinePruning()
    depths, prune = repair.plan(model, defender_data, context)
    found = dict(repair.accuracies(model, depths, prune, defender_data.validation))
    wanted = dict(Pruning.accuracies(repair, model, depths, prune, defender_data.validation))
    assert found == wanted


def test_features_are_what_enters_the_last_layer(small, inputs):
    assert last_layer(small, inputs) is small.last
    found, scores = features(small, inputs, batch_size=7)
    torch.testing.assert_close(scores, small(**inputs).detach())
    torch.testing.assert_close(found @ small.last.weight.T + small.last.bias, scores)
    assert copy.deepcopy(small).last.in_features == found.shape[1]


def test_the_accuracy_at_a_depth_is_that_of_the_pruned_model(suspicious, defender_data, context):
    """Though the features are computed once; the model has its own weights again in the end."""
    repair, model = FinePruning(), copy.deepcopy(suspicious)
    depths, prune = repair.plan(model, defender_data, context)
    found = dict(repair.accuracies(model, depths, prune, defender_data.validation))
    wanted = dict(Pruning.accuracies(repair, model, depths, prune, defender_data.validation))
    assert found == wanted
    assert found[None] > found[max(depths)]
    before = suspicious.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
