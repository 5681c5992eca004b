"""Layers that compute their weight from other parameters, where a write is lost: repairs that write refuse them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.repairs.anp import ANP
from anchorlab.repairs.ban import BAN
from anchorlab.repairs.clp import CLP
from anchorlab.repairs.feature_extractor import FeatureExtractor
from anchorlab.repairs.fine_mixing import FineMixing
from anchorlab.repairs.fine_pruning import FinePruning
from anchorlab.repairs.fst import FST
from anchorlab.repairs.ft_init import FTInit
from anchorlab.repairs.linear_probing import LinearProbing
from anchorlab.repairs.npd import NPD
from anchorlab.repairs.rnp import RNP
from tests.zoo import Words


@pytest.mark.parametrize("repair", [FST(epochs=1), FTInit(epochs=1), FeatureExtractor(epochs=1), FinePruning(epochs=1)])
@pytest.mark.parametrize("normed", [weight_norm, spectral_norm, nn.utils.spectral_norm])
def test_a_last_layer_that_is_drawn_or_pruned(small, known, context, repair, normed):
    normed(small.last)
    with pytest.raises(AnchorlabError, match="the layer last computes its weight or bias from other parameters"):
        repair.repair(small, DefenderData(known, known, 3, "image"), context)


@pytest.mark.parametrize("repair", [CLP(), NPD(epochs=1)])
def test_a_convolution_that_is_pruned_or_filtered(small, known, context, repair):
    weight_norm(small.second)
    with pytest.raises(AnchorlabError, match="the layer second computes"):
        repair.repair(small, DefenderData(known, known, 3, "image"), context)


@pytest.mark.parametrize("repair", [ANP(steps=1), BAN(epochs=1), RNP(unlearning_epochs=1, recovery_epochs=1)])
def test_a_batchnorm_whose_channels_are_masked(small, known, context, repair):
    nn.utils.parametrize.register_parametrization(small.first_norm, "bias", nn.Tanh())
    with pytest.raises(AnchorlabError, match="the layer first_norm computes"):
        repair.repair(small, DefenderData(known, known, 3, "image"), context)


def test_other_layers_may_compute_theirs_and_probing_trains_them(small, known, context):
    data = DefenderData(known, known, 3, "image")
    weight_norm(small.second)
    FST(epochs=1).repair(small, data, context)
    weight_norm(small.last)
    repaired = LinearProbing(epochs=1).repair(small, data, context)
    assert not torch.equal(repaired.last.weight, small.last.weight)


def test_a_table_of_words_whose_rows_go_back(context):
    model = Words().eval()
    weight_norm(model.table)
    inputs = {"input_ids": torch.zeros(4, 3, dtype=torch.int32), "attention_mask": torch.ones(4, 3, dtype=torch.bool)}
    texts = Split(inputs, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(AnchorlabError, match="the layer table computes"):
        FineMixing(epochs=1).repair(model, DefenderData(texts, texts, 2, "text"), replace(context, trusted=model))
