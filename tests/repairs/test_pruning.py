"""Depths are chosen as they should be: by held-back accuracy, or by a judge, who no repair sees by itself."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anchorlab import AnchorlabError, compare
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.data import Split
from anchorlab.repairs.fine_pruning import FinePruning
from anchorlab.repairs.pruning import Judged, Prunable, deepest, least_attack
from anchorlab.repairs.repair import oracles, repair
from anchorlab.scoring.repairs import judge_on_test


class Threshold(nn.Module):
    """Calls a pixel above its threshold 1."""

    def __init__(self) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(0.0))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        above = pixel_values.float().flatten(1).mean(1) - self.threshold
        return torch.stack([-above, above], dim=1)


@pytest.fixture
def prunable() -> Prunable:
    """A depth is the threshold."""
    model = Threshold()

    def prune(depth: float | None) -> nn.Module:
        model.threshold.data.fill_(depth or 0.0)
        return model

    return Prunable(model, [1.0, 2.0, 3.0, 4.0], prune, prune)


#: Pixels 1 to 10, all of class 1: at a threshold of t, t of ten are wrong.
HELD = Split({"pixel_values": torch.arange(1, 11).view(10, 1, 1, 1)}, torch.ones(10, dtype=torch.int64))


@pytest.mark.parametrize(("tolerance", "wanted"), [(0.05, None), (0.11, 1.0), (0.35, 3.0), (0.99, 4.0)])
def test_the_deepest_that_the_tolerance_allows(prunable, tolerance, wanted):
    assert deepest(prunable, HELD, tolerance) == wanted
    assert prunable.model.threshold.item() == 0


@pytest.mark.parametrize(("tolerance", "wanted"), [(0.05, None), (0.15, 1.0), (0.25, 2.0), (0.95, 2.0)])
def test_a_judge_takes_the_depth_of_least_attack(prunable, tolerance, wanted):
    """The attack is least at depth 2, whatever comes deeper; equal ones do not replace it."""
    rates = {0.0: 0.9, 1.0: 0.5, 2.0: 0.1, 3.0: 0.1, 4.0: 0.3}

    def judge(model):
        depth = model.threshold.item()
        return Judged(1 - depth / 10, rates[depth])

    assert least_attack(prunable, judge, tolerance) == wanted


@pytest.mark.parametrize("name", oracles())
def test_an_oracle_leaves_no_more_of_the_attack_on_what_it_saw(planted, digits, name):
    brief = {"oracle-anp": {"steps": 60}, "oracle-fine-pruning": {"epochs": 1}}[name]
    judge = judge_on_test(planted, task=digits)
    asked = []

    def listening(model):
        asked.append(judge(model))
        return asked[-1]

    repaired = repair(planted, name, parameters=brief, defender_data=None, task=digits, judge=listening)
    assert repaired.manifest.defence["name"] == name
    assert len(asked) > 10
    found = compare(planted, planted, task=digits)
    assert asked[0] == (pytest.approx(found.accuracy), pytest.approx(found.asr))
    assert compare(planted, repaired, task=digits).asr <= found.asr


def test_the_ordinary_form_never_asks_a_judge(planted, digits):
    def judge(model):
        raise AssertionError("a repair asked who knows the attack")

    how = {"parameters": {"epochs": 1}, "defender_data": None, "task": digits}
    with_judge = repair(planted, "fine-pruning", judge=judge, **how)
    assert weights_hash(with_judge.model) == weights_hash(repair(planted, "fine-pruning", **how).model)


def test_pruning_by_a_judge_finishes_like_the_ordinary_form(suspicious, held_data, context):
    """A judge who looks at what the defender holds back, and calls deeper better, chooses what the defender does."""
    chosen = FinePruning(epochs=1, tolerance=0.3)
    depths = iter(range(1000))

    def judge(model):
        right = model(held_data.validation.inputs["pixel_values"])
        answers = getattr(right, "logits", right).argmax(1)
        return Judged(float((answers == held_data.validation.labels).double().mean()), -float(next(depths)))

    theirs = chosen.repair_by(judge, copy.deepcopy(suspicious), held_data, context)
    assert weights_hash(theirs) == weights_hash(chosen.repair(suspicious, held_data, context))


def test_what_is_impossible_is_refused(planted, reference, digits):
    with pytest.raises(AnchorlabError, match="the repair oracle-anp needs a judge who knows the attack"):
        repair(planted, "oracle-anp", defender_data=None, task=digits)
    with pytest.raises(AnchorlabError, match=r"unknown oracle 'oracle-nad': .*known are oracle-anp"):
        repair(planted, "oracle-nad", defender_data=None, task=digits)
    with pytest.raises(AnchorlabError, match="no trigger is known to choose by: give --trigger and --target"):
        judge_on_test(reference, task=digits)
