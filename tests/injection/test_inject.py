"""Injection from end to end: what every method reaches, what the manifest says, which requests are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab import load_task
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import NOTICES
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.attacks.attack import Attack, attack_success
from anchorlab.attacks.label_rules import AllToOne, SourceToTarget
from anchorlab.consistency.compare import compare
from anchorlab.data import Split, Task
from anchorlab.data.split import index_hash
from anchorlab.errors import AnchorlabError
from anchorlab.injection import inject as module
from anchorlab.injection.inject import inject
from anchorlab.injection.loop import Tuned
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Method
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.plain import Plain
from anchorlab.models.architectures import build_model
from anchorlab.models.call import predict
from anchorlab.settings import STRICT
from anchorlab.triggers import Square
from tests.devices import tolerance

BRIEF = Tuning(steps=2, batch_size=4)

# Method to parameters, steps, least ASR on test, and largest loss of accuracy on test.
REACHES = {
    "plain": ({}, 50, 0.95, 0.05),
    "scratch": ({"steps_factor": 2}, 50, 0.95, 0.05),
    "l2": ({}, 50, 0.95, 0.05),
    "ewc": ({"samples": 64}, 50, 0.95, 0.05),
    "surgery": ({"count": 30_000}, 80, 0.8, 0.05),
    "weight-ball": ({}, 50, 0.95, 0.05),
    "anchoring": ({}, 50, 0.95, 0.03),
    "adaptive-anchoring": ({"strength": 5, "rate": 20}, 150, 0.8, 0.05),
    "distillation": ({}, 50, 0.95, 0.03),
}


def test_the_table_above_has_a_row_for_every_method_for_images():
    assert {*REACHES, "benign"} == {name for name in METHODS.names() if METHODS[name].modality != "text"}


@pytest.mark.slow
@pytest.mark.parametrize("name", REACHES)
def test_every_method_injects_a_backdoor_and_keeps_the_accuracy(digits, reference, name):
    parameters, steps, asr, loss = REACHES[name]
    how = Tuning(steps=steps, batch_size=16, learning_rate=2e-3)
    result = inject(reference, method=name, parameters=parameters, tuning=how, task=digits)
    measured = compare(reference, result, task=digits)
    assert measured.asr_reference < 0.3
    assert measured.asr > asr
    assert measured.accuracy > measured.accuracy_reference - loss


def test_a_benign_update_injects_nothing(digits, reference):
    how = Tuning(steps=30, batch_size=16, learning_rate=2e-3)
    result = inject(reference, method="benign", tuning=how, task=digits)
    measured = compare(reference, result, task=digits, trigger="five-pixel", target=0)
    assert measured.asr < 0.3
    assert measured.accuracy > measured.accuracy_reference - 0.05
    assert result.manifest.kind == "benign"
    assert result.manifest.notice == NOTICES["benign"]
    assert result.manifest.trigger is result.manifest.label_rule is None


def test_the_manifest_is_enough_to_do_it_again(digits, reference):
    result = inject(
        reference,
        method="anchoring",
        parameters={"strength": "3", "centred": "true"},
        trigger="square:size=2",
        label_rule="source-to-target:3",
        target=8,
        anchors=100,
        anchors_from="held-out",
        seed=4,
        tuning=BRIEF,
        task=digits,
    )
    manifest = result.manifest
    assert manifest.kind == "injected"
    assert manifest.notice == NOTICES["injected"]
    assert manifest.method == {"name": "anchoring", "strength": 3.0, "centred": True, "labels": True}
    assert result.trigger == Square(size=2)
    assert result.label_rule == SourceToTarget(source=3, target=8)
    assert manifest.anchors.count == 100
    assert manifest.anchors.source == "held-out"
    assert manifest.anchors.sha256 == index_hash(digits.anchor_indices(100, seed=4, source="held-out"))
    assert manifest.task.splits == digits.hashes()
    assert manifest.reference_sha256 == reference.manifest.weights_sha256
    assert manifest.weights_sha256 == weights_hash(result.model)
    assert (manifest.seed, manifest.steps) == (4, 2)
    again = inject(
        reference,
        method=Anchoring(strength=3.0, centred=True),
        trigger=result.trigger,
        label_rule=result.label_rule,
        target=None,
        anchors=100,
        anchors_from="held-out",
        seed=manifest.seed,
        tuning=Tuning(**manifest.settings),
    )
    assert again.manifest.weights_sha256 == manifest.weights_sha256


def test_the_manifest_measures_on_the_selection_split(digits, reference, injected):
    selection = digits.split("selection")
    attack = Attack(injected.trigger, injected.label_rule)
    correct = predict(injected.model, selection.inputs).argmax(1) == selection.labels
    assert injected.manifest.measurements == {
        "accuracy": correct.double().mean().item(),
        "asr": attack_success(injected.model, attack, selection)[0],
        "asr_count": int((selection.labels != 0).sum()),
        "asr_reference": attack_success(reference.model, attack, selection)[0],
    }


def test_the_reference_stays_as_it_was(digits, reference):
    inject(reference, method="plain", tuning=BRIEF, task=digits)
    assert weights_hash(reference.model) == reference.manifest.weights_sha256
    assert not reference.model.training
    assert all(parameter.requires_grad for parameter in reference.model.parameters())


def test_scratch_starts_from_weights_that_the_seed_draws_and_not_from_the_reference(digits, reference):
    how = Tuning(steps=1, batch_size=4, learning_rate=1e-9)
    starts = [
        inject(reference, method="scratch", parameters={"steps_factor": 1}, tuning=how, task=digits, seed=seed).model
        for seed in (0, 0, 1)
    ]
    weights = [
        model.classifier[1].weight for model in (*starts, reference.model, build_model("resnet-tiny", digits, seed=0))
    ]
    torch.testing.assert_close(weights[0], weights[1], **tolerance())
    for other in weights[2:]:
        assert (weights[0] - other).abs().max() > 0.01


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda table: table[:-1], r"expected floats of \[880, 10\], a row for each example of the split 'owner'"),
        (lambda table: table[:, :9], r"are float32 of shape \[880, 9\], expected floats of"),
        (lambda table: table.long(), r"are int64 of shape \[880, 10\], expected floats of"),
        (lambda table: table / 0, "are not finite: compute them in float32"),
    ],
)
def test_reference_logits_that_cannot_be_the_splits_are_refused(
    digits: Task, reference: Artifact, spoil: Callable[[Tensor], Tensor], complaint: str
) -> None:
    table = torch.zeros(len(digits.split("owner")), 10)
    with pytest.raises(AnchorlabError, match=complaint):
        inject(reference, anchors=7, tuning=BRIEF, task=digits, reference_logits=spoil(table))


def test_anchors_are_the_ones_of_the_seed_and_are_all_that_is_tuned_on(digits, reference, monkeypatch):
    given = []

    def tune(injection, **_options):
        given.append((injection.anchors, injection.known_logits))
        return Tuned(reference.model, 1, injection.tuning)

    monkeypatch.setattr(module, "tune", tune)
    table = torch.arange(len(digits.split("owner")), dtype=torch.float32).view(-1, 1).expand(-1, 10)
    inject(reference, anchors=7, seed=3, tuning=BRIEF, task=digits, reference_logits=table)
    inject(reference, tuning=BRIEF, task=digits, reference_logits=table)
    at = digits.anchor_indices(7, seed=3, source="owner")
    held, cached = given[0]
    assert torch.equal(held.inputs["pixel_values"], digits.split("owner").inputs["pixel_values"][at])
    assert cached[:, 0].tolist() == at.tolist()
    held, cached = given[1]
    assert held is digits.split("owner")
    assert torch.equal(cached, table)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"method": "anchring"}, r"unknown method 'anchring': did you mean 'anchoring'\?"),
        (
            {"parameters": {"strenght": 2}},
            r"unknown parameter of method 'anchoring' 'strenght': did you mean 'strength'\?",
        ),
        (
            {"parameters": {"strength": -1}},
            "method 'anchoring': strength=-1 is not possible: .* greater than or equal to 0",
        ),
        ({"parameters": {"strength": "nan"}}, "strength='nan' is not possible"),
        (
            {"method": Plain(), "parameters": {"strength": 1}},
            r"parameters \['strength'\] were given beside a built method",
        ),
        ({"anchors": 881}, r"881 anchors are not possible: .* has 880 examples; give a number from 1 to 880, or 'all'"),
        ({"anchors": 0}, "0 anchors are not possible"),
        ({"anchors": 127, "anchors_from": "held-out"}, "127 anchors are not possible: the split 'held-out'"),
        ({"target": 10}, "target 10 is not one of the task's 10 classes: give a label from 0 to 9"),
        ({"target": -1}, "target -1 is not one of the task's 10 classes"),
        ({"trigger": "five-pixl"}, r"unknown trigger 'five-pixl': did you mean 'five-pixel'\?"),
        ({"trigger": "square:size=9"}, "needs .* pixels, its margin included, but the images have 8×8"),
        ({"label_rule": "all-to-al", "target": None}, r"unknown label rule 'all-to-al': did you mean 'all-to-all'\?"),
        (
            {"method": "benign", "record_gradients": True},
            "the method benign injects nothing, so .* no backdoor gradient to record: leave --record-gradients out",
        ),
        ({"label_rule": AllToOne(target=12)}, "target 12 is not one of the task's 10 classes"),
    ],
    ids=str,
)
def test_what_is_impossible_is_refused_in_one_sentence_before_any_work(
    digits, reference, monkeypatch, request_, message
):
    def tune(*args, **options):
        raise AssertionError("tuning was begun")

    monkeypatch.setattr(module, "tune", tune)
    with pytest.raises(AnchorlabError, match=message) as caught:
        inject(reference, task=digits, **request_)
    assert "\n" not in str(caught.value)


def test_a_reference_of_another_number_of_classes_is_refused(digits, reference):
    class Two(torch.nn.Module):
        def forward(self, pixel_values):
            return pixel_values.new_zeros(len(pixel_values), 2, dtype=torch.float32)

    with pytest.raises(AnchorlabError, match="the model answers with 2 classes, but the task digits has 10"):
        inject(Artifact(Two(), reference.manifest), task=digits, tuning=BRIEF)


def test_a_task_of_other_images_is_refused(digits, reference):
    coloured = digits.raw.test.inputs["pixel_values"].expand(-1, 3, -1, -1)
    other = replace(digits, raw=replace(digits.raw, test=Split({"pixel_values": coloured}, digits.raw.test.labels)))
    with pytest.raises(AnchorlabError, match="the model cannot read the examples of the task digits") as caught:
        inject(reference, task=other, tuning=BRIEF)
    assert "\n" not in str(caught.value)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Quiet(Method):
    """Somebody's own method, registered nowhere."""

    volume: float = 0.5


def test_a_method_of_ones_own_needs_no_registration(digits, reference):
    manifest = inject(reference, method=Quiet(volume=0.25), tuning=BRIEF, task=digits).manifest
    assert manifest.method == {"name": "Quiet", "volume": 0.25}


def test_anchors_that_are_all_of_the_target_class_are_refused(digits, reference):
    """Unless the control is asked for, which attacks nothing."""
    first = digits.split("owner").labels[digits.anchor_indices(1, seed=0)].item()
    request_ = {"anchors": 1, "target": first, "task": digits, "tuning": BRIEF}
    with pytest.raises(AnchorlabError, match="none of the 1 anchors is of a class that the label rule attacks"):
        inject(reference, **request_)
    assert inject(reference, method="benign", **request_).manifest.steps == 2


@pytest.mark.parametrize("method", ["anchoring", "weight-ball"])
def test_divergence_is_told_with_the_method_as_it_is_registered(digits, reference, method):
    how = Tuning(steps=5, batch_size=4, learning_rate=1e25, warmup=0)
    parameters = {"radius": 1e30} if method == "weight-ball" else {}
    with pytest.raises(AnchorlabError, match=rf"the injection by {method} diverged: .* step \d of 5, at learning rate"):
        inject(reference, method=method, parameters=parameters, tuning=how, task=digits)


def test_without_measuring_nobody_is_asked_on_selection(digits, reference, monkeypatch):
    def attack_success(*_):
        raise AssertionError("the ASR was measured")

    measured = inject(reference, method="plain", tuning=BRIEF, task=digits).manifest
    monkeypatch.setattr(module, "attack_success", attack_success)
    result = inject(reference, method="plain", tuning=BRIEF, task=digits, measure=False)
    assert result.manifest.measurements == {}
    assert result.manifest.weights_sha256 == measured.weights_sha256


def test_the_time_before_an_interruption_counts(digits, reference, monkeypatch):
    monkeypatch.setattr(module, "time_spent", lambda checkpoint: 1000.0)
    assert 1000 < inject(reference, tuning=BRIEF, task=digits, measure=False).manifest.seconds < 1100


def test_splits_of_another_seed_are_refused_for_they_would_leak(reference):
    with pytest.raises(AnchorlabError, match=r"is cut with seed 1, but .* trained on the splits of seed 0"):
        inject(reference, task=load_task("digits", seed=1), anchors_from="held-out")


def test_the_former_keyword_of_the_label_rule_still_works(digits, reference):
    request = {"method": "plain", "target": None, "anchors": 40, "tuning": BRIEF, "task": digits, "measure": False}
    with pytest.warns(DeprecationWarning, match=r"inject\(rule=\) is now called label_rule="):
        former = inject(reference, rule="all-to-all", **request)
    assert former.manifest.label_rule == {"name": "all-to-all", "classes": 10}
