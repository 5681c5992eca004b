"""The metrics against a case by hand, other libraries, high precision, and their theory."""

import doctest
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional as tm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mpmath import mp, mpf
from pydantic import ValidationError
from scipy import special, stats
from sklearn.metrics import accuracy_score, matthews_corrcoef

from anchorlab.consistency.summary import Consistency, measure
from anchorlab.metrics import (
    METRICS,
    kl_divergence,
    log_softmax,
    logit_distance,
    predictions,
    probability_distance,
    total_variation,
    true_class_score,
)
from anchorlab.metrics.summaries import pearson

#: What is undefined without an attack, and with fewer than six classes.
NOT_HERE = {
    *("asr", "asr_reference", "asr_plus_accuracy", "robust_accuracy", "robust_accuracy_reference", "leakage"),
    *("top_5_accuracy", "top_5_accuracy_reference"),
}

DISTANCES = ["logit_distance", "logit_distance_centred", "probability_distance", "kl", "kl_symmetric"]


def random_case(seed, N=200, C=5, scale=1.0):
    """Logits of two models [N, C] and labels [N], on which both models are right about half the time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, C, N)
    reference = 2 * rng.normal(size=(N, C)) + 2 * np.eye(C)[labels]
    return reference, reference + scale * rng.normal(size=(N, C)), labels


# ---------------------------------------------------------------------------------------------------
# By hand


def test_three_instances_three_classes_by_hand():
    """With L = ln 2 = 0.693147, L^2 = 0.480453, and labels 0, 1, 0:

    =========  =============  =============  =============  ===============  ===============
    instance   s / L          s* / L         d / L          p                p*
    =========  =============  =============  =============  ===============  ===============
    1          1 0 0          0 1 0          -1 1 0         1/2 1/4 1/4      1/4 1/2 1/4
    2          0 1 0          1 3 1           1 2 1         1/4 1/2 1/4      1/6 2/3 1/6
    3          0 0 1          1 0 0           1 0 -1        1/4 1/4 1/2      1/2 1/4 1/4
    =========  =============  =============  =============  ===============  ===============

    Predictions 0 1 2 become 1 1 0: right, right, wrong become wrong, right, right. So both accuracies are
    2/3, churn 2/3, one flip each way. Right is (1 1 0) and (0 1 1): deviations (1 1 -2)/3 and (-2 1 1)/3,
    product -3/9, squares 6/9 each, phi = -1/2.
    logit_distance: L^2 (2/3 + 6/3 + 2/3) / 3 = 10/9 L^2.
    centred: row 2 is (-1/3 2/3 -1/3) L, so L^2 (2/3 + 2/9 + 2/3) / 3 = 14/27 L^2.
    probability_distance: rows sqrt(1/8), sqrt(6)/12, sqrt(1/8).
    kl: rows 1/2 L - 1/4 L = L/4; 1/2 ln(3/2) + 1/2 ln(3/4) = 1/2 ln(9/8); L/4.
    reverse: L/4; 1/3 ln(2/3) + 2/3 ln(4/3) = 0.056633; L/4.
    log p_y: -L, -L, -2L become -2L, ln(2/3) = -0.584963 L, -L. Deviations (1/3 1/3 -2/3) L and
    (-0.805012 0.610025 0.194988) L, product -0.194988, squares 2/3 and 1.058196, correlation -0.232151.
    """
    L = math.log(2)
    reference = L * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    candidate = L * np.array([[0, 1, 0], [1, 3, 1], [1, 0, 0]])
    row_2 = (0.5 * math.log(9 / 8), math.log(2 / 3) / 3 + 2 * math.log(4 / 3) / 3)
    expected = {
        "accuracy": 2 / 3,
        "accuracy_reference": 2 / 3,
        "logit_distance": 10 / 9 * L**2,
        "logit_distance_centred": 14 / 27 * L**2,
        "probability_distance": (2 * math.sqrt(1 / 8) + math.sqrt(6) / 12) / 3,
        "kl": (L / 2 + row_2[0]) / 3,
        "kl_symmetric": (L / 2 + sum(row_2) / 2) / 3,
        "pearson_correct": -0.5,
        "pearson_score": pytest.approx(-0.232151, abs=1e-6),
        "churn": 2 / 3,
        "negative_flips": 1 / 3,
        "positive_flips": 1 / 3,
        "count": 3,
    }
    found = measure(reference, candidate, [0, 1, 0]).to_dict()
    assert {*found.pop("undefined")} == NOT_HERE
    assert set(expected) < set(found)
    for name, value in expected.items():
        assert found[name] == (value if name == "pearson_score" else pytest.approx(value, rel=1e-14)), name
    assert found["kl"] == pytest.approx(0.135155, abs=1e-6)
    assert found["kl_symmetric"] == pytest.approx(0.134779, abs=1e-6)
    assert total_variation(reference, candidate) == pytest.approx([1 / 4, 1 / 6, 1 / 4], rel=1e-14)


def test_the_lowest_of_equal_logits_is_predicted():
    assert predictions([[1, 1, 0], [0, 2, 2], [3, 3, 3]]).tolist() == [0, 1, 0]


# ---------------------------------------------------------------------------------------------------
# Other libraries


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scipy(seed):
    reference, candidate, labels = random_case(seed)
    p, q = special.softmax(reference, axis=1), special.softmax(candidate, axis=1)
    each = np.arange(len(labels)), labels
    found = measure(reference, candidate, labels)
    assert log_softmax(reference) == pytest.approx(special.log_softmax(reference, axis=1), rel=1e-12)
    assert kl_divergence(reference, candidate) == pytest.approx(special.rel_entr(p, q).sum(axis=1), rel=1e-11)
    assert found.kl == pytest.approx(stats.entropy(p, q, axis=1).mean(), rel=1e-12)
    reverse = stats.entropy(q, p, axis=1).mean()
    assert found.kl_symmetric == pytest.approx((found.kl + reverse) / 2, rel=1e-12)
    assert probability_distance(reference, candidate) == pytest.approx(np.linalg.norm(p - q, axis=1), rel=1e-11)
    assert total_variation(reference, candidate) == pytest.approx(np.abs(p - q).sum(axis=1) / 2, rel=1e-11)
    assert true_class_score(reference, labels) == pytest.approx(np.log(p)[each], rel=1e-12)
    assert found.pearson_score == pytest.approx(stats.pearsonr(np.log(p)[each], np.log(q)[each])[0], rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_sklearn(seed):
    reference, candidate, labels = random_case(seed)
    right = predictions(reference) == labels, predictions(candidate) == labels
    found = measure(reference, candidate, labels)
    assert found.accuracy_reference == pytest.approx(accuracy_score(labels, reference.argmax(axis=1)))
    assert found.accuracy == pytest.approx(accuracy_score(labels, candidate.argmax(axis=1)))
    assert found.churn == pytest.approx(1 - accuracy_score(predictions(reference), predictions(candidate)))
    assert found.pearson_correct == pytest.approx(matthews_corrcoef(*right), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_torchmetrics(seed):
    arrays_ = random_case(seed)
    reference, candidate, labels = (torch.from_numpy(array) for array in arrays_)
    found = measure(*arrays_)
    log_p, log_q = reference.log_softmax(1), candidate.log_softmax(1)
    accuracy = tm.accuracy(candidate, labels, task="multiclass", num_classes=reference.shape[1])
    score = tm.pearson_corrcoef(log_p[range(len(labels)), labels], log_q[range(len(labels)), labels])
    assert found.kl == pytest.approx(tm.kl_divergence(log_p, log_q, log_prob=True).item(), rel=1e-12)
    assert found.accuracy == pytest.approx(accuracy.item(), rel=1e-6)
    assert found.pearson_score == pytest.approx(score.item(), rel=1e-9)
    squared = tm.mean_squared_error(candidate, reference).item()
    assert found.logit_distance == pytest.approx(squared, rel=1e-12)


def test_takes_tensors_and_half_precision_arrays_in_float64():
    reference, candidate, labels = random_case(0)
    stored = reference.astype(np.float16), candidate.astype(np.float16)
    widened = measure(stored[0].astype(float), stored[1].astype(float), labels)
    assert measure(*stored, labels) == widened
    assert measure(*map(torch.from_numpy, (*stored, labels))) == widened


# ---------------------------------------------------------------------------------------------------
# High precision


def precise(reference, candidate):
    """KL, L2 distance and total variation of one row of float64 logits, at 60 digits."""
    with mp.workdps(60):
        before, after = [mpf(float(s)) for s in reference], [mpf(float(s)) for s in candidate]
        p, q = ([mp.exp(s) / sum(map(mp.exp, row)) for s in row] for row in (before, after))
        changes = [b - a for a, b in zip(p, q, strict=True)]
        kl = sum(a * mp.log(a / b) for a, b in zip(p, q, strict=True))
        return kl, mp.sqrt(sum(c * c for c in changes)), sum(map(abs, changes)) / 2


@pytest.mark.parametrize("scale", [10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize("confidence", [0.0, 5.0, 30.0])
def test_distances_keep_twelve_digits_at_every_size_of_shift(scale, confidence):
    reference, candidate, labels = random_case(seed=1, N=20, C=4, scale=scale)
    favour = confidence * np.eye(4)[labels]
    reference, candidate = reference + favour, candidate + favour
    found = zip(
        kl_divergence(reference, candidate),
        probability_distance(reference, candidate),
        total_variation(reference, candidate),
        strict=True,
    )
    for row, metrics in enumerate(found):
        for value, exact in zip(metrics, precise(reference[row], candidate[row]), strict=True):
            assert abs(mpf(value) - exact) <= 1e-12 * exact


def test_a_nearly_certain_class_keeps_its_log_probability():
    assert log_softmax([[50.0, 0.0]])[0] == pytest.approx([-math.exp(-50), -50.0], rel=1e-14, abs=0)


@pytest.mark.filterwarnings("error")
def test_huge_shifts_stay_finite_and_right():
    reference = np.array([[1000.0, 0, 0], [0, 0, -1000], [0, 0, -500], [1000, -1000, 0], [0, 0, -1000]])
    candidate = np.array([[0.0, 1000, 0], [0, 0, 1000], [0, 0, 200], [1000, -1000, 0], [0, 1e-6, -100]])
    # In the last row p_3 = e^-1000 underflows and its e^900 overflows, but all that counts are classes 1, 2.
    log_cosh = 2 * math.sinh(2.5e-7) ** 2  # of 5e-7
    expected = [1000, 1000 - math.log(2), 200 - math.log(2), 0, log_cosh]
    assert kl_divergence(reference, candidate) == pytest.approx(expected, rel=1e-12, abs=0)
    assert probability_distance(reference, candidate)[0] == pytest.approx(math.sqrt(2))
    assert total_variation(reference, candidate) == pytest.approx([1, 1, 1, 0, 2.5e-7])
    found = measure(reference, candidate, [0, 1, 2, 0, 0]).to_dict()
    assert all(np.isfinite(found[name]) for name in METRICS if name not in NOT_HERE)


# ---------------------------------------------------------------------------------------------------
# Properties

every_case = settings(max_examples=80, deadline=None, derandomize=True)
SHIFTS = st.sampled_from([1e-9, 1e-6, 1e-3, 1e-1, 1.0, 10.0, 100.0])


@st.composite
def cases(draw):
    """Logits of two models and labels, shifted by 1e-9 to 100, unsure to certain."""
    N, C = draw(st.integers(1, 6)), draw(st.integers(2, 6))
    reference = draw(arrays(float, (N, C), elements=st.floats(-40, 40)))
    shift = draw(SHIFTS) * draw(arrays(float, (N, C), elements=st.floats(-1, 1)))
    return reference, reference + shift, draw(arrays(np.int64, N, elements=st.integers(0, C - 1)))


def at_most(lower, upper, slack=1e-11):
    """Whether ``lower <= upper`` but for rounding."""
    return bool((np.asarray(lower) <= np.asarray(upper) * (1 + slack) + 1e-300).all())


@every_case
@given(cases())
def test_identity_gives_exactly_zero(case):
    reference, _, labels = case
    found = measure(reference, reference.copy(), labels)
    for name in (*DISTANCES, "churn", "negative_flips", "positive_flips"):
        assert getattr(found, name) == 0.0, name
    assert (total_variation(reference, reference) == 0).all()
    assert found.accuracy == found.accuracy_reference
    assert found.pearson_score is None or found.pearson_score == pytest.approx(1, rel=1e-12)
    assert found.pearson_correct is None or found.pearson_correct == pytest.approx(1, rel=1e-12)


@every_case
@given(cases())
def test_swapping_the_models_mirrors_the_result(case):
    reference, candidate, labels = case
    one, other = measure(reference, candidate, labels), measure(candidate, reference, labels)
    for name in ("logit_distance", "logit_distance_centred", "kl_symmetric", "js", "churn", "shift_p95"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12, abs=1e-300), name
    for name, mirrored in (("kl", "kl_reverse"), ("nll", "nll_reference"), ("brier", "brier_reference")):
        assert getattr(one, name) == pytest.approx(getattr(other, mirrored), rel=1e-9, abs=1e-300), name
    assert one.pearson_correct == other.pearson_correct
    assert one.pearson_score == other.pearson_score
    assert (one.accuracy, one.negative_flips) == (other.accuracy_reference, other.positive_flips)
    for metric in (probability_distance, total_variation):
        there, back = metric(reference, candidate), metric(candidate, reference)
        assert there == pytest.approx(back, rel=1e-11, abs=1e-300)


@every_case
@given(cases(), st.integers(-64, 64))
def test_a_constant_added_to_a_row_is_seen_by_the_raw_logit_distance_alone(case, constant):
    # Multiples of 1/1024 below 2^16, so that adding an integer loses nothing.
    reference, candidate, _ = (np.round(array * 1024) / 1024 for array in case)
    moved = candidate + constant
    for metric in (kl_divergence, probability_distance, total_variation):
        assert metric(reference, moved) == pytest.approx(metric(reference, candidate), rel=1e-11, abs=1e-300)
        assert metric(reference + constant, candidate) == pytest.approx(metric(reference, moved), rel=1e-11, abs=1e-300)
    centred = logit_distance(reference, candidate, centred=True)
    assert logit_distance(reference, moved, centred=True) == pytest.approx(centred, rel=1e-9, abs=1e-24)
    mean_shift = (moved - reference).mean(axis=1)
    assert logit_distance(reference, moved) == pytest.approx(centred + mean_shift**2, rel=1e-9, abs=1e-24)


@every_case
@given(cases())
def test_rates_and_bounds_of_their_definitions(case):
    reference, candidate, labels = case
    found = measure(reference, candidate, labels)
    flips = found.positive_flips + found.negative_flips
    assert found.accuracy - found.accuracy_reference == pytest.approx(
        found.positive_flips - found.negative_flips, abs=1e-15
    )
    assert found.churn >= flips - 1e-15
    assert (kl_divergence(reference, candidate) >= 0).all()
    assert at_most(probability_distance(reference, candidate), math.sqrt(2))
    assert at_most(total_variation(reference, candidate), 1)
    assert at_most(found.logit_distance_centred, found.logit_distance)
    for value in (found.pearson_correct, found.pearson_score):
        assert value is None or -1 <= value <= 1


@every_case
@given(cases())
def test_logit_distance_bounds_every_other_distance(case):
    """Bounds (1) to (5): anchoring is a sufficient control of all that softmax lets through."""
    reference, candidate, labels = case
    C = reference.shape[1]
    squared = C * logit_distance(reference, candidate, centred=True)
    span = np.ptp(candidate - reference, axis=1)
    forward, reverse = kl_divergence(reference, candidate), kl_divergence(candidate, reference)
    p, q = special.softmax(reference, axis=1), special.softmax(candidate, axis=1)
    m = (p + q) / 2
    jensen_shannon = (special.rel_entr(p, m) + special.rel_entr(q, m)).sum(axis=1) / 2
    variation = total_variation(reference, candidate)
    loss_change = true_class_score(reference, labels) - true_class_score(candidate, labels)
    largest = np.sort(reference, axis=1)
    margin = largest[:, -1] - largest[:, -2]
    safe = (span < margin * (1 - 1e-12)) & (margin > 1e-9)  # rounding makes equals of logits that are nearly so

    assert at_most(forward, span**2 / 8)
    assert at_most(span**2 / 8, squared / 4)
    assert at_most((forward + reverse) / 2, squared / 4)
    assert (jensen_shannon <= span**2 / 32 + 1e-14).all()
    assert (jensen_shannon <= squared / 16 + 1e-14).all()
    assert at_most(probability_distance(reference, candidate), np.sqrt(squared) / 2)
    assert at_most(variation, np.tanh(span / 4))
    assert (np.abs(loss_change) <= span + 1e-12).all()
    assert (predictions(reference) == predictions(candidate))[safe].all()


def test_the_constant_of_the_kl_bound_is_attained_by_two_even_classes():
    shift = 0.01
    kl = kl_divergence([[0, 0]], [[shift, -shift]])[0]
    assert kl == pytest.approx(math.log(math.cosh(shift)), rel=1e-10)
    assert kl / (2 * shift**2) == pytest.approx(0.2499958, abs=1e-7)


@every_case
@given(cases())
def test_loss_change_is_kl_plus_a_residual(case):
    """CE(s*, y) - CE(s, y) = KL(p || p*) + (p - e_y) . d: equal accuracy or loss does not mean a small KL."""
    reference, candidate, labels = case
    p = special.softmax(reference, axis=1)
    residual = ((p - np.eye(p.shape[1])[labels]) * (candidate - reference)).sum(axis=1).mean()
    change = (true_class_score(reference, labels) - true_class_score(candidate, labels)).mean()
    assert change == pytest.approx(measure(reference, candidate, labels).kl + residual, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_phi_follows_from_the_accuracies_and_negative_flips(seed):
    found = measure(*random_case(seed, scale=2.0))
    a, b = found.accuracy_reference, found.accuracy
    phi = (a - found.negative_flips - a * b) / math.sqrt(a * (1 - a) * b * (1 - b))
    assert found.pearson_correct == pytest.approx(phi, rel=1e-10)


@every_case
@given(arrays(float, (2, 8), elements=st.floats(-1e3, 1e3)), st.floats(0.1, 10), st.floats(-10, 10))
def test_pearson_ignores_origin_and_unit_but_not_sign(vectors, unit, origin):
    x, y = np.round(vectors, 3)
    r = pearson(x, y)
    if r is not None:
        assert pearson(unit * x + origin, y) == pytest.approx(r, abs=1e-8)
        assert pearson(-x, y) == pytest.approx(-r, abs=1e-12)
        assert pearson(x, x) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("size", [1e-200, 1e-9, 1e100])
def test_pearson_of_very_small_and_large_numbers(size):
    assert pearson(size * np.array([1, 2, 4]), [1, 2, 3]) == pytest.approx(3 / math.sqrt(28 / 3), rel=1e-12)


# ---------------------------------------------------------------------------------------------------
# Undefined values and mistakes


def test_correlations_of_one_instance_are_undefined():
    found = measure([[1, 0]], [[0, 1]], [0])
    assert found.pearson_correct is None
    assert found.pearson_score is None
    where = "does not vary over the 1 instance(s) for the reference and the candidate"
    rest = "so it correlates with nothing; the two vectors are not identical"
    assert {name: why for name, why in found.undefined.items() if name not in NOT_HERE} == {
        "pearson_correct": f"being right {where}, {rest}",
        "pearson_score": f"the true-class score {where}, {rest}",
    }


def test_a_perfect_model_has_no_correlation_of_correctness_even_with_itself():
    reference, labels = np.array([[2.0, 0], [0, 1], [3, 0]]), [0, 1, 0]
    same = measure(reference, reference, labels)
    assert same.pearson_correct is None
    assert same.pearson_score == pytest.approx(1)
    assert same.undefined["pearson_correct"].endswith("the two vectors are identical")
    changed = measure(reference, -reference * [[1], [1], [-1]], labels)
    assert {*changed.undefined} == {"pearson_correct"} | NOT_HERE
    assert "for the reference, so" in changed.undefined["pearson_correct"]
    assert changed.undefined["pearson_correct"].endswith("the two vectors are not identical")


def test_a_constant_that_float64_cannot_average_exactly_is_still_constant():
    assert pearson([0.1] * 3, [1, 2, 3]) is None
    assert pearson([1, 2, 3], [0.1] * 3) is None


GOOD = [[1.0, 0.0], [0.0, 1.0]]
MISTAKES = {
    "shapes differ": ((GOOD, [[1, 2, 3], [4, 5, 6]], [0, 1]), r"shape \(2, 2\) but the candidate's \(2, 3\)"),
    "lengths differ": ((GOOD, GOOD[:1], [0, 1]), r"shape \(2, 2\) but the candidate's \(1, 2\)"),
    "one class": (([[1.0]], [[1.0]], [0]), r"the reference have shape \(1, 1\).*at least two classes"),
    "no instance": (
        (np.zeros((0, 3)), np.zeros((0, 3)), []),
        r"the reference have shape \(0, 3\).*at least one",
    ),
    "not a matrix": ((GOOD, [1.0, 2.0], [0, 1]), r"the candidate have shape \(2,\)"),
    "nan": (
        (GOOD, [[1, math.nan], [math.nan, math.nan]], [0, 1]),
        r"the candidate are not finite in 2 of 2 rows",
    ),
    "too large": (
        (GOOD, [[1, -2e150], [1, 0]], [0, 1]),
        r"the candidate reach 2e\+150, but squares of more than 1e\+150",
    ),
    "infinity": (([[1, 2], [math.inf, 0]], GOOD, [0, 1]), r"the reference are not finite in 1 of 2 rows"),
    "label too large": ((GOOD, GOOD, [0, 2]), r"1 of 2 labels .* first is 2: give labels from 0 to 1"),
    "label below zero": ((GOOD, GOOD, [-1, -1]), r"2 of 2 labels .* first is -1"),
    "too few labels": ((GOOD, GOOD, [0]), r"labels have shape \(1,\)"),
    "labels not integers": (
        (GOOD, GOOD, [0.0, 1.0]),
        r"type float64: give one integer for each of the 2 rows",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        measure(*arguments)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2, 3]), ([], []), ([[1, 2]], [[1, 2]])])
def test_pearson_refuses_what_are_not_two_vectors(x, y):
    with pytest.raises(ValueError, match="give two vectors of one length"):
        pearson(x, y)


def test_a_result_is_an_immutable_json_record():
    found = measure(*random_case(0))
    assert Consistency(**json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(ValidationError, match="frozen"):
        found.kl = 0.0


def test_the_documentation_runs_and_names_every_field():
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert doctest.testfile(str(page), module_relative=False).failed == 0
    for name in Consistency.model_fields:
        assert f"`{name}`" in page.read_text(), name


def test_the_declared_fields_are_the_metrics_in_their_order():
    assert [name for name in Consistency.model_fields if name not in ("by_class", "undefined")] == list(METRICS)


def test_the_fields_say_what_the_metrics_are():
    for name in METRICS:
        assert Consistency.model_fields[name].description == METRICS[name].definition
