"""The shared loop: which state it keeps, and that BatchNorm follows every step once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.repairs.anp import ANP
from anchorlab.repairs.ban import BAN
from anchorlab.repairs.bti_dbf import BTIDBF
from anchorlab.repairs.feature_extractor import FeatureExtractor
from anchorlab.repairs.fine_mixing import FineMixing
from anchorlab.repairs.fine_pruning import FinePruning
from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.fst import FST
from anchorlab.repairs.ft_init import FTInit
from anchorlab.repairs.ft_sam import FTSAM
from anchorlab.repairs.nad import NAD
from anchorlab.repairs.rnp import RNP
from anchorlab.repairs.tuning import Latest
from tests.zoo import Narrow, Words


@pytest.mark.parametrize(
    ("accuracies", "kept"),
    [
        ([0.99, 0.97, 0.985, 0.9], 2),  # the latest that costs at most 0.02 of the first, which was 1
        ([0.9, 0.95, 0.95, 0.8], 2),  # none: the most accurate, and the latest of these
        ([0.5, 0.98, 0.97], 1),
        ([0.5, 0.98, 1.0], 2),
    ],
)
def test_the_latest_state_that_costs_little_is_kept_as_a_copy(small, known, monkeypatch, accuracies, kept):
    told = iter([1.0, *accuracies])
    monkeypatch.setattr("anchorlab.repairs.tuning.accuracy", lambda model, examples: next(told))
    latest, states = Latest(small, known, 0.02), []
    for _ in accuracies:
        with torch.no_grad():
            small.last.weight.add_(1.0)
        states.append(small.last.weight.clone())
        latest.consider(len(states))
    with torch.no_grad():
        small.last.weight.zero_()
    assert latest.restore() == kept + 1
    assert torch.equal(small.last.weight, states[kept])


class Normed(nn.Module):
    """Softmax regression on pixels that BatchNorm brings to one scale."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.BatchNorm1d(64), nn.Linear(64, 10)

    def forward(self, pixel_values):
        return self.last(self.norm(pixel_values.flatten(1).float()))


def test_a_batch_of_one_is_too_small_for_a_batchnorm_of_vectors(defender_data, context):
    model = Normed().to(context.device).eval()
    with pytest.raises(AnchorlabError, match="a batch of 1 gives a BatchNorm layer one value a channel"):
        FineTuning(batch_size=1, epochs=1).repair(model, defender_data, context)


@pytest.mark.parametrize("member", [ANP(batch_size=1, steps=2), RNP(batch_size=1, unlearning_epochs=1)])
def test_masks_too_need_a_batch_with_a_spread(defender_data, context, member):
    model = Narrow().to(context.device).eval()
    with pytest.raises(AnchorlabError, match="a batch of 1 gives a BatchNorm layer one value a channel"):
        member.repair(model, defender_data, context)


@pytest.mark.parametrize(
    "member",
    [
        ANP(steps=1),
        RNP(unlearning_epochs=1, recovery_epochs=1),
        BAN(epochs=1),
        BTIDBF(epochs=1, rounds=1, mask_epochs=1, generator_epochs=1),
    ],
)
def test_a_model_in_bfloat16_is_repaired_and_stays_so(defender_data, context, member):
    model = Narrow().to(context.device).bfloat16().eval()
    repaired = member.repair(model, defender_data, context)
    assert {value.dtype for value in repaired.parameters()} == {torch.bfloat16}


def test_asking_a_model_leaves_each_module_in_its_mode(small, inputs):
    small.first_norm.train()
    predict(small, inputs)
    assert [name for name, module in small.named_modules() if module.training] == ["first_norm"]


@pytest.mark.slow
@pytest.mark.parametrize("member", [FineTuning(epochs=20), FTSAM(epochs=20), FinePruning(epochs=20), NAD(epochs=20)])
def test_statistics_of_batchnorm_follow_every_step_once(suspicious, defender_data, context, member, monkeypatch):
    """Among them those after the model was judged, and for FT-SAM not those at the worst place nearby."""
    monkeypatch.setattr("anchorlab.repairs.tuning.Latest.restore", lambda self: None)
    steps = 20 * len(defender_data.train) // 32
    before = {name: int(value) for name, value in suspicious.named_buffers() if name.endswith("batches_tracked")}
    repaired = dict(member.repair(suspicious, defender_data, context).named_buffers())
    assert before
    assert {int(repaired[name]) - count for name, count in before.items()} == {steps}


def words() -> DefenderData:
    inputs = {"input_ids": torch.zeros(4, 3, dtype=torch.int32), "attention_mask": torch.ones(4, 3, dtype=torch.bool)}
    texts = Split(inputs, torch.zeros(4, dtype=torch.int64))
    return DefenderData(texts, texts, 2, "text")


@pytest.mark.parametrize(
    "member", [FST(epochs=1), FTInit(epochs=1), FeatureExtractor(epochs=1), FineMixing(epochs=1, share=0.0)]
)
def test_the_tolerance_counts_from_the_suspicious_model_and_a_state_that_costs_more_is_noted(
    small, known, context, monkeypatch, member
):
    """Not from the model with a layer drawn anew, or mixed, whose accuracy bounds nothing."""
    text = member.modality == "text"
    model, data = (Words().eval(), words()) if text else (small, DefenderData(known, known, 3, "image"))
    monkeypatch.setattr("anchorlab.repairs.tuning.accuracy", lambda judged, examples: 0.9 if judged is model else 0.4)
    member.repair(model, data, replace(context, trusted=Words().eval() if text else None))
    (note,) = context.notes
    assert "the most accurate ones, because all cost more of the accuracy" in note
