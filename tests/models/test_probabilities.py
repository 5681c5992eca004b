"""Answers that are no logits are known by their rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from anchorlab import compare_logits
from anchorlab.models.probabilities import Watch
from tests.refusals import refused

LOGITS = np.random.default_rng(0).normal(scale=3, size=(60, 4))
P = softmax(LOGITS, axis=1)


def complaint(answers, batch=7):
    watch = Watch("the reference")
    for start in range(0, len(answers), batch):
        watch.see(answers[start : start + batch])
    return watch.complaint()


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (P, "probabilities, because none is negative and every row sums to 1"),
        (P.astype(np.float16), "every row sums to 1"),
        (P.round(3), "every row sums to 1"),
        (np.eye(4, dtype=np.int64)[P.argmax(1)], "every row sums to 1"),
        (100 * P, "shares or votes"),
        (np.array([[3, 1, 6, 0], [0, 10, 0, 0], [2, 2, 2, 4]], dtype=np.uint8), "shares or votes"),
        (-np.log(P), "negative log-probabilities"),
        (np.log10(P), "logarithms of base 10"),
        (np.log2(P), "logarithms of base 2"),
        (1 / (1 + np.exp(-LOGITS)), "probabilities of separate classes"),
    ],
)
def test_what_is_no_logit_is_named_with_its_cure(answers, kind):
    found = complaint(answers)
    assert kind in found
    assert "but logits are wanted: " in found


@pytest.mark.parametrize(
    "answers",
    [
        LOGITS,
        log_softmax(LOGITS, axis=1),
        abs(LOGITS),
        -abs(LOGITS),
        np.zeros((60, 4)),
        [0.3, 0.1, 0.2, 0.7] + 0.002 * abs(LOGITS),  # an untrained network's
        np.ones((60, 4)) * 5 + LOGITS,
        np.concatenate([P, LOGITS]),
        (30 * LOGITS).round().astype(np.int64),
    ],
)
def test_logits_of_every_kind_pass(answers):
    assert complaint(answers) is None


@given(st.integers(0, 1000), st.integers(2, 9), st.floats(0.1, 30))
def test_probabilities_of_any_model_are_seen_and_its_logits_are_not(seed, classes, scale):
    logits = np.random.default_rng(seed).normal(scale=scale, size=(30, classes))
    assert "sums to 1" in complaint(softmax(logits, axis=1))
    assert complaint(log_softmax(logits, axis=1)) is None
    assert complaint(logits) is None


@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, torch.from_numpy])
def test_stored_answers_are_refused_with_the_name_of_their_model(tmp_path, form):
    labels = P.argmax(1)
    compare_logits(form(LOGITS), form(log_softmax(LOGITS, axis=1)), labels)
    refused("answers of the candidate are probabilities.*np.log", compare_logits, form(LOGITS), form(P), labels)
    for name, values in (("logits", LOGITS), ("p", P.astype(np.float16)), ("labels", labels)):
        np.save(tmp_path / f"{name}.npy", values)
    paths = [tmp_path / f"{name}.npy" for name in ("p", "logits", "labels")]
    refused("the answers of the reference are probabilities", compare_logits, *paths)


def test_logits_of_every_real_dtype_and_order_give_the_same_answer(tmp_path):
    labels = P.argmax(1)
    numbers = (8 * LOGITS).round()
    np.save(tmp_path / "labels.npy", labels.astype(">u2"))
    whole = compare_logits(numbers, -numbers, labels).kl
    for dtype in ("<f2", ">f4", ">f8", "<i2", ">i8", "int8"):
        np.save(tmp_path / "a.npy", numbers.astype(dtype))
        np.save(tmp_path / "b.npy", (-numbers).astype(dtype))
        found = compare_logits(tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "labels.npy").kl
        assert found == pytest.approx(whole, rel=1e-12), dtype


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (P.argmax(1) + 1, "labels are not among the logits' 4 classes"),
        (P.argmax(1)[1:], "give one integer for each of the 60 rows"),
        (P.argmax(1).astype(float), "type float64: give one integer"),
        (P.argmax(1)[:, None], "shape .60, 1."),
        (P.argmax(1) == 0, "type bool: give one integer"),
        (np.eye(4, dtype=int)[P.argmax(1)], "shape .60, 4."),
    ],
)
def test_labels_that_name_no_class_are_refused(labels, message):
    refused(message, compare_logits, LOGITS, LOGITS, labels)
