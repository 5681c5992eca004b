"""Relearning: which examples carry the trigger, the tuning beside a plain loop, the controls, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch

from anchorlab import AnchorlabError, Relearned, Relearning, relearn, score_repair
from anchorlab.artifacts.deployed import deployed
from anchorlab.attacks.attack import attack_success, build_attack
from anchorlab.models.call import logits, track_statistics
from anchorlab.repairs.repair import repair
from anchorlab.scoring.relearning import check_relearning, triggered_among
from anchorlab.scoring.repair_words import words_of_repair
from anchorlab.scoring.tables import repair_table
from tests.refusals import refused
from tests.zoo import Narrow

SPLITS = ("owner", "test")
ATTACK = {"trigger": "square:size=2", "target": 3}


@pytest.fixture
def attack(digits):
    return build_attack(digits, ATTACK["trigger"], "all-to-one", ATTACK["target"])


def test_the_first_attacked_examples_carry_the_trigger_and_the_target(digits, attack):
    clean = digits.split("owner").select(torch.arange(12))
    inputs, labels = triggered_among(clean, attack, 3)
    attacked = [place for place, label in enumerate(clean.labels.tolist()) if label != 3][:3]
    rest = [place for place in range(12) if place not in attacked]
    expected = torch.cat(
        [clean.inputs["pixel_values"][rest], attack.apply(clean.select(torch.tensor(attacked)).inputs)["pixel_values"]]
    )
    assert torch.equal(inputs["pixel_values"], expected)
    assert labels.tolist() == [*clean.labels[rest].tolist(), 3, 3, 3]


def test_the_tuning_is_that_of_a_plain_loop(digits, reference, attack, on_cpu):
    """Whole batches, in any order: torch's own AdamW, one-cycle schedule and clipping."""
    how = Relearning(counts=(6,), examples=40, steps=20, batch_size=40, learning_rate=1e-3)
    clean = check_relearning(digits, attack, how, seed=0)
    inputs, labels = triggered_among(clean, attack, 6)
    model = track_statistics(copy.deepcopy(reference.model).eval().requires_grad_())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=20, pct_start=0.1, cycle_momentum=False)
    for _ in range(20):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits(model, inputs), labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    expected, _ = attack_success(model.eval(), attack, digits.split("test"))
    before = copy.deepcopy(reference.model.state_dict())
    found = relearn(reference, how, task=digits, **ATTACK)
    assert found[6] == pytest.approx(expected, abs=0.01)
    assert all(torch.equal(value, before[name]) for name, value in reference.model.state_dict().items())


def test_a_hidden_backdoor_comes_back_faster_than_a_clean_model_learns_it(planted, reference, digits):
    brief = {"parameters": {"epochs": 2}, "defender_data": None, "task": digits}
    repaired, harmed = (repair(model, "fine-tuning", **brief) for model in (planted, reference))
    how = Relearning(counts=(10,), examples=64, steps=10)
    score = score_repair(planted, repaired, reference=reference, harmed=harmed, task=digits, relearning=how)
    found = score.relearned
    assert found.repaired[10] > max(found.reference[10], found.harmed[10]) + 0.2
    assert set(score.to_dict()["relearned"]) == {"repaired", "reference", "harmed"}
    assert found.repaired == relearn(repaired, how, task=digits)
    words = " ".join(words_of_repair(score))
    assert f"Tuned a little with 10 triggered examples, its ASR goes to {found.repaired[10]:.3f}, the clean" in words
    assert f"after the same repair to {found.harmed[10]:.3f}." in words
    rows = {row.head: [cell.text for cell in row.cells] for _, row in repair_table(score).rows()}
    assert len(rows["asr relearned from 10"]) == 3
    assert rows["asr relearned from 10"][0] == "–"
    alone = Relearned(found.repaired, {}, {})
    assert alone.to_dict()["harmed"] == {}


def test_a_batch_of_one_that_batchnorm_cannot_take_is_refused(digits, on_cpu):
    how = Relearning(counts=(2,), examples=40, steps=2, batch_size=1)
    refused("a batch of 1 gives a BatchNorm layer one value a channel", relearn, Narrow(), how, task=digits, **ATTACK)


def test_the_examples_are_the_owner_s(digits, attack):
    drawn = check_relearning(digits, attack, Relearning(examples=40), seed=0).inputs["pixel_values"].flatten(1)
    rows = {split: {*map(bytes, digits.split(split).inputs["pixel_values"].flatten(1).numpy())} for split in SPLITS}
    found = [{split for split in SPLITS if bytes(image) in rows[split]} for image in drawn.numpy()]
    assert all("owner" in splits for splits in found)
    assert not all("test" in splits for splits in found)


def test_what_cannot_be_relearned_is_refused(reference, digits):
    with pytest.raises(AnchorlabError, match="no trigger is known to relearn: give --trigger and --target"):
        relearn(reference, task=digits)
    with pytest.raises(AnchorlabError, match="0 triggered examples are not possible: give at least 1"):
        relearn(reference, Relearning(counts=(0,)), task=digits, **ATTACK)
    with pytest.raises(AnchorlabError, match=r"relearning from 50 triggered examples .* it attacks \d+: ask for fewer"):
        relearn(reference, Relearning(counts=(5, 50), examples=40), task=digits, **ATTACK)


def test_a_deployed_model_cannot_relearn(reference, digits):
    with pytest.raises(AnchorlabError, match="relearning needs gradients or weights, which a model deployed in bf16"):
        relearn(deployed(reference, "bf16", task=digits), task=digits, **ATTACK)


def test_without_attacked_test_examples_nothing_is_claimed(reference, digits, monkeypatch):
    monkeypatch.setattr("anchorlab.scoring.relearning.attack_success", lambda *_: (None, 0))
    with pytest.raises(AnchorlabError, match="it attacks none of these: give test data with other labels"):
        relearn(reference, Relearning(counts=(1,), steps=1, examples=40), task=digits, **ATTACK)
