"""The manifest: who trained a model, and what it says of a task."""

from __future__ import annotations

from anchorlab.artifacts.adopt import adopt
from anchorlab.artifacts.manifest import NOTICES, Manifest, manifest_of, task_record
from anchorlab.artifacts.provenance import RunCost, weights_hash


def test_only_a_model_that_took_steps_was_trained_here(digits, reference, injected):
    assert reference.manifest.trained_here
    assert injected.manifest.trained_here
    assert not adopt(reference.model, digits).manifest.trained_here


def test_a_manifest_says_what_was_made_and_what_it_took(digits, reference):
    manifest = manifest_of(
        reference.model,
        digits,
        kind="repaired",
        architecture="resnet-tiny",
        seed=3,
        cost=RunCost(1.5, 7),
        measurements={"accuracy": 0.5},
    )
    assert (manifest.kind, manifest.notice) == ("repaired", NOTICES["repaired"])
    assert manifest.task == task_record(digits)
    assert manifest.weights_sha256 == weights_hash(reference.model)
    assert (manifest.steps, manifest.seconds, manifest.peak_bytes) == (0, 1.5, 7)
    assert manifest.measurements == {"accuracy": 0.5}
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_a_task_is_recorded_with_its_splits(digits):
    record = task_record(digits)
    assert (record.name, record.kind, record.seed, record.limit, record.columns) == ("digits", "image", 0, None, None)
    assert record.classes == list(digits.classes)
    assert record.splits == digits.hashes()
