"""Scores of repairs: comparisons before and after, and the effectiveness rating by hand."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from anchorlab import AnchorlabError, Artifact, Tuning, compare, inject
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.models.classes import rearranged
from anchorlab.repairs.repair import repair
from anchorlab.scoring.relearning import Relearning
from anchorlab.scoring.repair_words import words_of_repair
from anchorlab.scoring.repairs import RepairScore, check_scoring, choose_on_test, score_repair
from anchorlab.scoring.tables import repair_table


def test_a_repair_is_scored_against_the_clean_model(planted, reference, digits):
    how = {"parameters": {"epochs": 2}, "defender_data": None, "task": digits}
    repaired, harmed = (repair(model, "fine-tuning", **how) for model in (planted, reference))
    score = score_repair(planted, repaired, reference=reference, harmed=harmed, task=digits)
    attack = {"trigger": "square:size=2", "target": 3}
    assert score.repaired == compare(reference, repaired, task=digits)
    assert score.suspicious == compare(reference, planted, task=digits)
    assert score.harmed == compare(reference, harmed, task=digits, **attack)
    alone = score_repair(planted, repaired, task=digits)
    assert (alone.suspicious, alone.harmed) == (None, None)
    assert alone.repaired.asr_reference == score.suspicious.asr
    for one, columns in ((score, 3), (alone, 2)):
        first = next(row for _, row in repair_table(one).rows())
        assert (first.head, len(first.cells)) == ("accuracy", columns)
        assert first.cells[0].value == pytest.approx(score.suspicious.accuracy)
    assert alone.to_dict()["repaired"]["asr_count"] == score.repaired.asr_count
    assert alone.robust_accuracy_before == score.robust_accuracy_before == score.suspicious.robust_accuracy
    assert alone.robust_improvement == score.robust_improvement
    # BackdoorBench's formula, from rates.
    gained = score.repaired.robust_accuracy - score.suspicious.robust_accuracy
    lost = max(0, score.suspicious.accuracy - score.repaired.accuracy)
    assert score.robust_improvement == pytest.approx((1 + max(0, gained) - lost) / 2)
    assert score.reference_accuracy_lost == score.harmed.accuracy_reference - score.harmed.accuracy
    assert alone.reference_accuracy_lost is None
    assert f"Its robust improvement (RIR) is {score.robust_improvement:.3f} of 1" in " ".join(words_of_repair(score))


def test_a_reference_that_numbers_its_classes_otherwise_is_put_in_order(planted, reference, digits):
    """The attack's target is a number of the suspicious model's, which no manifest says here."""
    how = {"parameters": {"epochs": 1}, "defender_data": None, "task": digits}
    turned = rearranged(reference.model, list(range(10))[::-1], digits.split("test").inputs)
    options = {"task": digits, "trigger": "square:size=2", "target": "3"}
    options["relearning"] = Relearning(counts=(2,), examples=20, steps=2)
    repaired = repair(planted.model, "fine-tuning", **how)
    scores = [
        score_repair(planted.model, repaired, reference=clean, harmed=repair(clean, "linear-probing", **how), **options)
        for clean in (reference.model, turned)
    ]
    check_scoring(planted.model, reference=turned, **options)
    one, other = scores
    assert (other.asr_before, other.repaired.asr) == (one.asr_before, one.repaired.asr)
    assert other.asr_before > 0.9
    for measured, wanted in ((other.repaired, one.repaired), (other.suspicious, one.suspicious)):
        assert (measured.asr_reference, measured.accuracy) == (wanted.asr_reference, wanted.accuracy)
    assert other.harmed.accuracy_reference == one.harmed.accuracy_reference
    assert other.harmed.accuracy == pytest.approx(one.harmed.accuracy, abs=0.1)
    assert other.relearned.reference == one.relearned.reference


def test_the_label_rule_is_that_of_the_attack(reference, digits):
    """All-to-all has no target class whose examples would not count."""
    brief = Tuning(steps=1, batch_size=8)
    injected = inject(reference, method="plain", label_rule="all-to-all", target=None, tuning=brief, task=digits)
    repaired = repair(injected, "fine-tuning", parameters={"epochs": 1}, defender_data=None, task=digits)
    assert score_repair(injected, repaired, task=digits).repaired.asr_count == len(digits.split("test"))


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ((1.0, 0.9), (0.0, 0.9), 1.0),  # all of the attack gone, nothing else
        ((1.0, 0.9), (1.0, 0.9), 0.5),  # nothing done
        ((1.0, 0.9), (1.0, 0.4), 0.25),  # only harm
        ((0.5, 0.8), (0.9, 0.9), 0.5),  # rises are no falls
        ((0.8, 0.9), (0.2, 0.7), 0.7),
    ],
)
def test_the_rating_s_sign(before, after, wanted):
    """ASR and accuracy before and after; (1 + fall of the ASR - fall of the accuracy) / 2."""
    one, other = (SimpleNamespace(asr=asr, accuracy=accuracy) for asr, accuracy in (before, after))
    assert RepairScore(other, one, None, 0.0, 0).effectiveness == pytest.approx(wanted)
    alone = SimpleNamespace(asr=after[0], accuracy=after[1], asr_reference=before[0], accuracy_reference=before[1])
    assert RepairScore(alone, None, None, 0.0, 0).effectiveness == pytest.approx(wanted)
    none = SimpleNamespace(asr=None, accuracy=0.9, asr_reference=None, accuracy_reference=0.9)
    assert RepairScore(none, None, None, 0.0, 0).effectiveness is None
    assert RepairScore(none, one, None, 0.0, 0).effectiveness is None
    assert RepairScore(one, none, None, 0.0, 0).effectiveness is None


def test_the_table_has_each_model_that_was_measured():
    """Without a reference, the repaired model is compared with the one before, of which little is known then."""

    def measured(**values):
        names = ("accuracy", "asr", "kl", "logit_distance", "churn", "negative_flips")
        known = dict.fromkeys(names, 0.5) | {f"{name}_reference": 0.25 for name in ("accuracy", "asr")} | values
        return SimpleNamespace(**known, intervals={"asr": (0.1, 0.9)})

    after, before, harmed = measured(asr=0.1), measured(asr=0.9), measured(asr=0.0)
    for score, rates in (
        (RepairScore(after, before, harmed, 0.0, 0), {"before": 0.9, "after": 0.1, "the clean model, after": 0.0}),
        (RepairScore(after, before, None, 0.0, 0), {"before": 0.9, "after": 0.1}),
        (RepairScore(after, None, None, 0.0, 0), {"before": 0.25, "after": 0.1}),
    ):
        rows = score.table().query("measurement == 'asr'").set_index("model")
        assert rows["value"].to_dict() == rates
        assert rows.loc["after", ["lower", "upper"]].tolist() == [0.1, 0.9]


@pytest.mark.parametrize("attacked", [0, 1])
def test_one_attacked_example_is_enough_to_choose_by(planted, digits, monkeypatch, attacked):
    monkeypatch.setattr(AllToOne, "applies", lambda self, labels: torch.arange(len(labels)) < attacked)
    if attacked:
        assert callable(choose_on_test(planted, task=digits))
    else:
        with pytest.raises(AnchorlabError, match="has no example that the attack's label rule attacks"):
            choose_on_test(planted, task=digits)


def test_an_oracle_chooses_on_the_test_split(planted, digits, monkeypatch):
    seen = []

    def looked(model, attack, examples):
        seen.append({*map(bytes, examples.inputs["pixel_values"].flatten(1).cpu().numpy())})
        return 0.5, len(examples)

    monkeypatch.setattr("anchorlab.scoring.repairs.attack_success", looked)
    choose_on_test(planted, task=digits)([(None, planted.model)], None)
    assert seen == [{*map(bytes, digits.split("test").inputs["pixel_values"].flatten(1).numpy())}]


def test_what_cannot_be_scored_is_known_before_the_repair(planted, reference, digits):
    check_scoring(planted, task=digits)
    check_scoring(planted, reference=reference, task=digits)
    other = copy.deepcopy(reference.model)
    other.classifier[1] = torch.nn.Linear(64, 7)
    with pytest.raises(AnchorlabError, match="answers with 7 classes, but the task digits has 10"):
        check_scoring(planted, reference=Artifact(other, reference.manifest), task=digits)
