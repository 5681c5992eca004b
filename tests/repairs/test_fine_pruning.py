"""Fine-pruning: quiet features are pruned, and the tuning leaves them so."""

from __future__ import annotations

import copy

import torch

from anchorlab.models.hooks import features, last_layer
from anchorlab.repairs.fine_pruning import FinePruning


def test_quiet_features_are_pruned_and_stay_so(suspicious, defender_data, context):
    repaired = FinePruning(epochs=3, tolerance=0.5).repair(suspicious, defender_data, context)
    silent = (last_layer(repaired, defender_data.train.inputs).weight == 0).all(dim=0)
    assert 0 < int(silent.sum()) < len(silent)
    loudness = features(suspicious, defender_data.train.inputs)[0].abs().mean(dim=0)
    assert loudness[silent].max() <= loudness[~silent].min()


def test_features_are_what_enters_the_last_layer(small, inputs):
    assert last_layer(small, inputs) is small.last
    found, scores = features(small, inputs, batch_size=7)
    torch.testing.assert_close(scores, small(**inputs).detach())
    torch.testing.assert_close(found @ small.last.weight.T + small.last.bias, scores)
    assert copy.deepcopy(small).last.in_features == found.shape[1]
