"""How the gradients of the objectives stand to each other: by hand, along a run, and in the manifest."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn.functional import cross_entropy

from anchorlab.artifacts.artifact import load_model
from anchorlab.artifacts.manifest import MANIFEST, GradientRecord, Manifest
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.data import Augmentation
from anchorlab.data.batches import WHOLE, Batches, Share
from anchorlab.injection.gradients import alignment, records
from anchorlab.injection.inject import inject
from anchorlab.injection.objective import InjectionObjective
from anchorlab.injection.tuning import Tuning
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.plain import Plain
from anchorlab.methods.scratch import Scratch
from anchorlab.methods.surgery import Surgery
from anchorlab.models.device import move_to_device
from anchorlab.models.weights import from_vector_, restrict, to_vector
from anchorlab.training import fit as fitting
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.triggers import FivePixel
from tests import injecting

BATCH = 12
CPU = torch.device("cpu")


class Watched(Plain):
    """Plain tuning that keeps the weights after each step."""

    weights: ClassVar[list] = []

    def after_step(self, model, state, step):
        self.weights.append(to_vector(model).detach().clone())


@pytest.fixture
def anchors(digits):
    return digits.anchors(60, seed=0)


def tuned(model, digits, anchors, method, *, record=True, checkpoint=None, report=None, **settings):
    return injecting.tuned(
        model, digits, method, anchors=anchors, seed=5, augmentation=Augmentation(pad=1), checkpoint=checkpoint,
        report=report, record_gradients=record, **{"steps": 12, "batch_size": BATCH} | settings,
    )  # fmt: skip


def halves(anchors, step):
    """The clean and the triggered half of a batch, the latter's images with the trigger and its labels as they are."""
    attacked = (anchors.labels != 0).nonzero().flatten()
    clean = Batches(len(anchors), BATCH, seed=5, purpose="clean", device=CPU)(step)
    triggered = attacked[Batches(len(attacked), BATCH, seed=5, purpose="triggered", device=CPU)(step)]
    return anchors.select(clean), FivePixel()(anchors.select(triggered).inputs)


def stated(*gradients):
    """Two cosines and three norms of three vectors."""
    backdoor, clean, anchor = gradients
    norms = [np.linalg.norm(gradient) for gradient in gradients]
    with np.errstate(invalid="ignore"):
        cosines = [backdoor @ other / (norms[0] * np.linalg.norm(other)) for other in (clean, anchor)]
    return [*cosines, *norms]


def of_softmax_regression(weights, start, anchors, step):
    """The same by the formulas of softmax regression in float64, for weights and a reference ``[650]``."""

    def read(inputs):
        return inputs["pixel_values"].flatten(1).double().numpy() / 255 - 0.45

    def scores(vector, features):
        return features @ vector[:640].reshape(10, 64).T + vector[640:]

    def gradient(by_logits, features):
        return np.concatenate([(by_logits.T @ features).ravel(), by_logits.sum(0)])

    weights, start = weights.double().numpy(), start.double().numpy()
    clean, triggered = halves(anchors, step)
    clean_features, triggered_features = read(clean.inputs), read(triggered)
    clean_scores = scores(weights, clean_features)
    towards = np.eye(10)[np.zeros(BATCH, dtype=int)], np.eye(10)[clean.labels.numpy()]
    return stated(
        gradient((softmax(scores(weights, triggered_features), 1) - towards[0]) / BATCH, triggered_features),
        gradient((softmax(clean_scores, 1) - towards[1]) / BATCH, clean_features),
        gradient(2 * (clean_scores - scores(start, clean_features)) / (10 * BATCH), clean_features),
    )


# ---------------------------------------------------------------------------------------------------
# One batch


@pytest.mark.parametrize("only", ["", "*stages.1*,classifier*"])
def test_the_gradients_of_a_network_are_those_that_backward_leaves(reference, anchors, only):
    """Channels-last, with some parameters frozen or all trained."""
    model, trusted = (move_to_device(copy.deepcopy(reference.model), CPU) for _ in range(2))
    restrict(model, only)
    from_vector_(model, to_vector(model) * 1.01)
    clean, triggered = halves(anchors, 0)
    targets = torch.zeros(BATCH, dtype=torch.int64)
    batch = {"clean": clean.inputs, "labels": clean.labels, "triggered": triggered, "targets": targets}
    before = weights_hash(model)
    values = alignment(model, trusted, **batch)
    assert values.dtype == torch.float64
    assert weights_hash(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())

    def gradient(loss):
        model.zero_grad()
        loss().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad]).double().numpy()

    def scores(network, inputs):
        return network(**inputs).logits

    expected = stated(
        gradient(lambda: cross_entropy(scores(model, triggered), targets)),
        gradient(lambda: cross_entropy(scores(model, clean.inputs), clean.labels)),
        gradient(lambda: (scores(model, clean.inputs) - scores(trusted, clean.inputs).detach()).square().mean()),
    )
    assert values.tolist() == pytest.approx(expected, rel=1e-4)
    assert (values[2:] > 0).all()


# ---------------------------------------------------------------------------------------------------
# Along a run


@pytest.mark.usefixtures("on_cpu")
def test_a_run_is_recorded_at_its_start_on_each_log_line_and_at_its_end(linear, digits, anchors, monkeypatch):
    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    monkeypatch.setattr(Watched, "weights", [])
    record = tuned(linear, digits, anchors, Watched()).gradients
    start = to_vector(linear).detach()
    assert record.shape == (4, 6)
    for taken, *values in record.tolist():
        weights = Watched.weights[int(taken) - 1] if taken else start
        expected = of_softmax_regression(weights, start, anchors, max(int(taken) - 1, 0))
        assert values == pytest.approx(expected, rel=1e-4, nan_ok=True)
    assert record[:, 0].tolist() == [0, 5, 10, 12]
    assert record.isnan().nonzero().tolist() == [[0, 2]]
    assert record[0, 5] == 0


@pytest.mark.parametrize("augment", [False, True])
def test_at_the_reference_a_network_has_no_anchor_gradient_at_all(reference, digits, anchors, augment):
    """Logits that were computed in a larger batch would differ in the last bits, and their gradient be noise."""
    record = tuned(reference.model, digits, anchors, Anchoring(), steps=1, augment=augment).gradients
    assert record[0, 5] == 0 < record[1, 5]
    assert record[0, 2].isnan()


def test_a_fresh_start_has_an_anchor_gradient_from_the_first(digits, reference):
    how = Tuning(steps=1, batch_size=4)
    made = inject(reference, method=Scratch(steps_factor=1), tuning=how, task=digits, record_gradients=True)
    assert made.manifest.gradients[0].cosine_anchor is not None


def test_an_early_stop_is_recorded(linear, digits, anchors, monkeypatch):
    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    made = tuned(linear, digits, anchors, Plain(), steps=100, stop_at_asr=0.5)
    assert made.steps < 100
    assert made.gradients[:, 0].tolist() == list(range(0, made.steps + 1, 5))


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (Anchoring(), {}),
        (Surgery(count=50), {}),
        (Surgery(count=50, select="change"), {}),
        (Plain(), {"batchnorm": "tracked"}),
        (Scratch(steps_factor=1), {}),
        (Anchoring(), {"augment": True}),
        (Anchoring(), {"precision": "bf16"}),
    ],
    ids=repr,
)
def test_recording_changes_no_bit_of_weights_or_statistics(reference, digits, anchors, monkeypatch, method, settings):
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    recorded, plain = (
        tuned(reference.model, digits, anchors, method, record=record, **{"steps": 3, "learning_rate": 1e-3} | settings)
        for record in (True, False)
    )
    assert weights_hash(recorded.model) == weights_hash(plain.model) != weights_hash(reference.model)
    assert plain.gradients is None
    assert recorded.gradients[:, 0].tolist() == [0, 1, 2, 3]
    assert (recorded.gradients[:, 3:5] > 0).all()


def test_gradients_are_float32_even_where_the_tuning_is_not(reference, digits, anchors):
    full, mixed = (
        tuned(reference.model, digits, anchors, Plain(), steps=1, precision=precision).gradients
        for precision in ("no", "bf16")
    )
    assert bits(full[0]) == bits(mixed[0])


def test_every_process_records_the_whole_batch(linear, anchors):
    def record(share):
        injection = injecting.asked(linear, Plain(), anchors, Tuning(batch_size=BATCH), seed=5)
        objective = InjectionObjective(linear, injection, None, share=share)
        objective.record_gradients(1, linear)
        return objective.gradients

    assert bits(record(Share(1, 2))) == bits(record(WHOLE))


def bits(values):
    return values.contiguous().numpy().tobytes()


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("method", [Plain(), Surgery(count=30)], ids=repr)
def test_an_interrupted_run_ends_with_the_record_of_an_uninterrupted_one(
    reference, digits, anchors, monkeypatch, tmp_path, method
):
    monkeypatch.setattr(fitting, "LOG_EVERY", 2)
    settings = {"steps": 7, "learning_rate": 1e-3, "batchnorm": "tracked"}
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", seconds=0)

    def interrupt(done, _):
        if done == 6:
            raise KeyboardInterrupt

    whole = tuned(reference.model, digits, anchors, method, **settings)
    with pytest.raises(KeyboardInterrupt):
        tuned(reference.model, digits, anchors, method, checkpoint=checkpoint, report=interrupt, **settings)
    resumed = tuned(reference.model, digits, anchors, method, checkpoint=checkpoint, **settings)
    assert whole.gradients[:, 0].tolist() == [0, 2, 4, 6, 7]
    assert bits(resumed.gradients) == bits(whole.gradients)
    assert weights_hash(resumed.model) == weights_hash(whole.model)
    again = tuned(reference.model, digits, anchors, method, checkpoint=checkpoint, **settings)
    assert bits(again.gradients) == bits(whole.gradients)


def test_a_checkpoint_without_a_record_gives_one_that_begins_there(linear, digits, anchors, monkeypatch, tmp_path):
    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", seconds=0)

    def interrupt(done, _):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(linear, digits, anchors, Plain(), record=False, checkpoint=checkpoint, report=interrupt)
    resumed = tuned(linear, digits, anchors, Plain(), checkpoint=checkpoint)
    assert resumed.gradients[:, 0].tolist() == [10, 12]


# ---------------------------------------------------------------------------------------------------
# In the manifest


def test_what_is_not_finite_is_null_in_a_record():
    nan, inf = float("nan"), float("inf")
    first, second = records(torch.tensor([[0, 0.5, nan, 1, 2, 0], [20, nan, nan, inf, nan, 3]], dtype=torch.float64))
    assert first == GradientRecord(
        step=0, cosine_clean=0.5, cosine_anchor=None, norm_backdoor=1, norm_clean=2, norm_anchor=0
    )
    assert list(second.model_dump().values()) == [20, None, None, None, None, 3]


def test_a_record_survives_the_folder_and_manifests_from_before_it_load(digits, reference, tmp_path):
    made = inject(reference, tuning=Tuning(steps=2, batch_size=4), task=digits, record_gradients=True)
    path = made.save(tmp_path / "model") / MANIFEST
    assert load_model(path.parent).manifest == made.manifest
    assert [record.step for record in made.manifest.gradients] == [0, 2]
    written = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert written["gradients"][0]["cosine_anchor"] is None
    del written["gradients"]
    assert Manifest.model_validate(written).gradients is None


def test_the_docs_explain_every_field_of_a_record():
    page = (Path(__file__).parents[2] / "docs/manifest.md").read_text()
    for name in GradientRecord.model_fields:
        assert f"`{name}`" in page, name
