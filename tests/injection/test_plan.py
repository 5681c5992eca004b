"""A planned injection: its settings, which decide what an interrupted run may continue."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic.dataclasses import dataclass

from anchorlab import AnchorlabError
from anchorlab.data.task import index_hash
from anchorlab.injection.plan import plan_injection
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import Method
from anchorlab.settings import values_of
from anchorlab.training.reference import Training


def test_the_settings_of_a_plan_are_all_that_determines_its_result(digits, reference):
    asked = {"method": "anchoring", "anchors": 40, "seed": 3, "tuning": Tuning(steps=5), "task": digits}
    settings = plan_injection(reference, **asked).settings()
    assert list(settings) == [
        "command", "reference", "task", "method", "trigger", "label_rule", "anchors", "seed", "tuning"
    ]  # fmt: skip
    assert settings["method"] == {"name": "anchoring", "strength": 2.0, "centred": False, "labels": True}
    assert settings["anchors"] == {
        "count": 40, "source": "owner", "sha256": index_hash(digits.anchor_indices(40, seed=3, source="owner"))
    }  # fmt: skip
    assert settings["tuning"]["learning_rate"] == digits.definition.tuning_rate
    recorded = plan_injection(reference, record_gradients=True, **asked).settings()
    assert recorded == settings | {"record_gradients": True}


def test_a_penalty_without_a_weight_is_refused(digits, reference):
    @dataclass(frozen=True, kw_only=True)
    class Weightless(Method):
        def penalty(self, model, clean_logits, reference_logits, state):
            return (clean_logits - reference_logits).square().mean()

    @dataclass(frozen=True, kw_only=True)
    class Balanced(Weightless):
        def balance(self, state):
            return torch.tensor(0.5)

    with pytest.raises(AnchorlabError, match="Weightless has a penalty, but no weight"):
        plan_injection(reference, method=Weightless(), task=digits)
    plan_injection(reference, method=Balanced(), task=digits)


def test_known_logits_are_those_of_the_anchors(digits, reference):
    plan = plan_injection(reference, anchors=9, seed=1, task=digits)
    table = torch.arange(len(digits.split("owner"))).view(-1, 1).float().expand(-1, 10)
    assert plan.injection().known_logits is None
    assert plan.injection(table).known_logits[:, 0].tolist() == plan.anchor_indices.tolist()


def test_a_fresh_start_has_other_weights_than_the_reference(digits, reference):
    tuned, fresh = (plan_injection(reference, method=m, task=digits).injection() for m in ("plain", "scratch"))
    assert tuned.start is tuned.reference is reference.model
    assert not torch.equal(next(fresh.start.parameters()), next(reference.model.parameters()))
    assert (tuned.tracks_batchnorm, fresh.tracks_batchnorm) == (False, True)


def test_scratch_repeats_the_training_of_the_reference(digits, reference):
    """Four epochs of batches of 64, at the rate and the decay of training, with shifted images."""
    asked = {"method": "scratch", "task": digits, "tuning": Tuning(steps=5, precision="bf16")}
    plan = plan_injection(reference, **asked)
    steps = 4 * len(digits.split("owner")) // 64
    assert plan.injection().steps == plan.tuning.steps == reference.manifest.steps == steps
    rate = digits.definition.learning_rate
    repeated = Tuning(
        steps=steps, batch_size=64, learning_rate=rate, weight_decay=0.05, warmup=0.3, augment=True, precision="bf16"
    )
    assert plan.tuning == repeated
    assert plan.settings()["tuning"]["weight_decay"] == 0.05
    shorter = plan_injection(reference, parameters={"steps_factor": 3}, **asked)
    assert (shorter.injection().steps, shorter.tuning.weight_decay) == (15, 0)


def test_scratch_refuses_a_reference_whose_training_is_not_recorded(digits, reference):
    adopted = replace(reference, manifest=reference.manifest.model_copy(update={"steps": 0, "settings": {}}))
    with pytest.raises(AnchorlabError, match="of which its manifest has no record: give steps_factor=3, say"):
        plan_injection(adopted, method="scratch", task=digits)


@pytest.mark.parametrize("settings", [Tuning, Training], ids=["tuning", "training"])
def test_how_a_run_computes_is_a_part_of_its_identity_only_where_it_was_chosen(settings):
    """Stored cells and interrupted runs of older versions keep theirs."""
    assert not {"deterministic", "compile"} & set(values_of(settings()))
    chosen = {"deterministic": True, "compile": False, "precision": "auto"}
    assert values_of(settings(**chosen)).items() >= chosen.items()


@pytest.mark.parametrize(("label_rule", "target"), [("all-to-all", None), ("all-to-one", 0), ("source-to-target:3", 0)])
def test_without_a_target_it_is_0_where_the_rule_needs_one(digits, reference, label_rule, target):
    plan = plan_injection(reference, label_rule=label_rule, task=digits)
    assert plan.attack.label_rule.target == target
