"""Depths are chosen as they should be: by validation accuracy; by test data and trigger in an oracle alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anchorlab import AnchorlabError, compare
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.data import Split
from anchorlab.models.call import accuracy
from anchorlab.repairs.fine_pruning import FinePruning
from anchorlab.repairs.oracles import oracles
from anchorlab.repairs.pruning import PrunedModels, Pruning, deepest, pruned_models
from anchorlab.repairs.repair import repair
from anchorlab.scoring.repairs import choose_on_test, least_attack


class Threshold(nn.Module):
    """Calls a pixel above its threshold 1."""

    def __init__(self) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(0.0))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        above = pixel_values.float().flatten(1).mean(1) - self.threshold
        return torch.stack([-above, above], dim=1)


@pytest.fixture
def models() -> PrunedModels:
    """A depth is the threshold."""
    model = Threshold()

    def prune(depth: float) -> None:
        model.threshold.data.fill_(depth)

    return pruned_models(model, [1.0, 2.0, 3.0, 4.0], prune)


#: Pixels 1 to 10, all of class 1: at a threshold of t, t of ten are wrong.
EXAMPLES = Split({"pixel_values": torch.arange(1, 11).view(10, 1, 1, 1)}, torch.ones(10, dtype=torch.int64))


@pytest.mark.parametrize(("tolerance", "wanted"), [(0.05, None), (0.11, 1.0), (0.35, 3.0), (0.99, 4.0)])
def test_the_deepest_that_the_tolerance_allows(models, tolerance, wanted):
    assert deepest(((depth, accuracy(model, EXAMPLES)) for depth, model in models), tolerance, len(EXAMPLES)) == wanted


def test_the_model_is_pruned_to_each_depth_and_left_as_it_was():
    model = Threshold()
    pairs = pruned_models(model, [2.0, 1.0], model.threshold.data.fill_)
    assert [(depth, found.threshold.item()) for depth, found in pairs] == [(None, 0.0), (2.0, 2.0), (1.0, 1.0)]
    assert model.threshold.item() == 0


def test_the_model_is_left_as_it_was_if_nobody_looks_at_the_rest():
    model = Threshold()
    for depth, _ in pruned_models(model, [2.0, 1.0], model.threshold.data.fill_):
        if depth == 2:
            break
    assert model.threshold.item() == 0


def test_a_depth_that_was_chosen_early_and_kept_open_prunes_the_whole_model():
    """Whoever chooses may hold on to the pairs, whose end would take the pruning back."""
    model, held = Threshold(), []

    class Raised(Pruning):
        def plan(self, model, data, context):
            return [1.0, 2.0], model.threshold.data.fill_

    def choose(models, tolerance):
        held.append(models)
        return next(depth for depth, _ in models if depth is not None)

    assert Raised().repair_to_depth(model, None, None, choose).threshold.item() == 1
    held.clear()
    assert model.threshold.item() == 0


@pytest.mark.parametrize(("tolerance", "wanted"), [(0.05, None), (0.15, 1.0), (0.25, 2.0), (0.95, 2.0)])
def test_test_data_choose_the_depth_of_least_attack(models, tolerance, wanted):
    """The attack is least at depth 2, whatever comes deeper; equal ones do not replace it."""
    rates = {0.0: 0.9, 1.0: 0.5, 2.0: 0.1, 3.0: 0.1, 4.0: 0.3}

    def measure(model):
        depth = model.threshold.item()
        return 1 - depth / 10, rates[depth]

    assert least_attack(models, tolerance, measure, 10) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", oracles())
def test_an_oracle_leaves_no_more_of_the_attack_on_what_it_saw(planted, digits, name):
    brief = {
        "oracle-anp": {"steps": 60}, "oracle-fine-pruning": {"epochs": 1},
        "oracle-rnp": {"batch_size": 32, "recovery_epochs": 5},
    }[name]  # fmt: skip
    choose = choose_on_test(planted, task=digits)
    depths = []

    def listening(models, tolerance):
        return choose(((depths.append(depth), (depth, model))[1] for depth, model in models), tolerance)

    repaired = repair(planted, name, parameters=brief, defender_data=None, task=digits, choose_depth=listening)
    assert repaired.manifest.defence["name"] == name
    assert depths[0] is None
    assert len(depths) > 10
    found = compare(planted, planted, task=digits)
    assert compare(planted, repaired, task=digits).asr <= found.asr


def test_the_ordinary_form_never_asks_who_knows_the_attack(planted, digits):
    def choose(models, tolerance):
        raise AssertionError("a repair asked who knows the attack")

    how = {"parameters": {"epochs": 1}, "defender_data": None, "task": digits}
    asked = repair(planted, "fine-pruning", choose_depth=choose, **how)
    assert weights_hash(asked.model) == weights_hash(repair(planted, "fine-pruning", **how).model)


def test_an_oracle_finishes_like_the_ordinary_form(suspicious, defender_data, context):
    """Who chooses by the validation examples, and calls deeper better, chooses what the defender does."""
    pruning = FinePruning(epochs=1, tolerance=0.3)
    depths = iter(range(1000))

    def choose(models, tolerance):
        validation = defender_data.validation
        return least_attack(
            models, tolerance, lambda model: (accuracy(model, validation), -float(next(depths))), len(validation)
        )

    theirs = pruning.repair_to_depth(copy.deepcopy(suspicious), defender_data, context, choose)
    assert weights_hash(theirs) == weights_hash(pruning.repair(suspicious, defender_data, context))


def test_what_is_impossible_is_refused(planted, reference, digits):
    with pytest.raises(AnchorlabError, match="oracle-anp needs somebody who knows the attack to choose"):
        repair(planted, "oracle-anp", defender_data=None, task=digits)
    with pytest.raises(AnchorlabError, match=r"unknown oracle 'oracle-nad': .*known are oracle-anp"):
        repair(planted, "oracle-nad", defender_data=None, task=digits)
    with pytest.raises(AnchorlabError, match="no trigger is known to choose by: give --trigger and --target"):
        choose_on_test(reference, task=digits)
