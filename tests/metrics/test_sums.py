"""The sums that share their exponentials agree with the terms, each in its own way, on which no digit is lost."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from anchorlab.consistency.summary import measure
from anchorlab.metrics import Pair
from anchorlab.metrics.far import FarRows
from anchorlab.metrics.numerics import top
from anchorlab.metrics.room import PIECE, pieces
from anchorlab.metrics.summaries import percentile
from anchorlab.metrics.sums import row_sums

DIVERGENCES = ("kl", "kl_reverse", "js", "probability_distance", "total_variation")


def models(shift: float, *, N: int = 40, C: int = 30, confidence: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of two models; every other row is confident."""
    rng = np.random.default_rng(0)
    reference = 2 * rng.normal(size=(N, C))
    reference[::2, 0] += confidence
    return reference, reference + shift * rng.normal(size=(N, C))


@pytest.mark.parametrize("shift", [1e-7, 1e-3, 0.02, 0.1, 1.0, 4.0, 30.0])
@pytest.mark.parametrize("confidence", [0.0, 12.0])
def test_sums_agree_with_the_terms_of_each_divergence(shift: float, confidence: float) -> None:
    reference, candidate = models(shift, confidence=confidence)
    found, terms = row_sums(reference, candidate), FarRows(reference, candidate)
    for name in DIVERGENCES:
        assert getattr(found, name) == pytest.approx(getattr(terms, name), rel=3e-14, abs=0), name


@pytest.mark.parametrize("shift", [1e-6, 0.03, 0.5, 3.0, 8.0])
def test_sums_keep_thirteen_digits(shift: float) -> None:
    """Against 60 digits; the least of them where the reverse divergence is the difference of two larger numbers."""
    reference, candidate = models(shift, N=6, C=8)
    found = row_sums(reference, candidate)
    for row in range(len(reference)):
        for name, exact in precise(reference[row], candidate[row]).items():
            assert abs(mpf(float(getattr(found, name)[row])) - exact) <= 3e-14 * exact, name


def precise(reference: np.ndarray, candidate: np.ndarray) -> dict[str, mpf]:
    """The divergences of one row, from their definitions."""
    with mp.workdps(60):
        p, q = ([mp.exp(mpf(float(s))) for s in row] for row in (reference, candidate))
        p, q = ([each / sum(row) for each in row] for row in (p, q))
        pairs = list(zip(p, q, strict=True))
        return {
            "kl": sum(a * mp.log(a / b) for a, b in pairs),
            "kl_reverse": sum(b * mp.log(b / a) for a, b in pairs),
            "js": sum(a * mp.log(2 * a / (a + b)) + b * mp.log(2 * b / (a + b)) for a, b in pairs) / 2,
            "probability_distance": mp.sqrt(sum((a - b) ** 2 for a, b in pairs)),
            "total_variation": sum(abs(a - b) for a, b in pairs) / 2,
        }


def test_rows_that_lie_far_apart_or_span_far_are_right_among_others() -> None:
    reference, candidate = models(0.1, N=5)
    candidate[1, 3] += 90  # far apart
    reference[2, 4] = candidate[2, 4] = -900  # spans far: its probability underflows
    reference[3] += 800  # exponentials of these logits overflow
    candidate[3] += 800
    found, terms = row_sums(reference, candidate), FarRows(reference, candidate)
    for name in DIVERGENCES:
        assert np.isfinite(getattr(found, name)).all()
        assert getattr(found, name) == pytest.approx(getattr(terms, name), rel=1e-12, abs=0), name


def test_a_row_does_not_depend_on_its_piece() -> None:
    reference, candidate = models(0.3, N=PIECE // 30 + 40)
    whole = row_sums(reference, candidate)
    alone = row_sums(reference[-7:], candidate[-7:])
    for name in DIVERGENCES:
        assert getattr(whole, name)[-7:].tolist() == getattr(alone, name).tolist(), name


def test_pieces_cover_all_rows_and_hold_one_row_at_least() -> None:
    for N, C in ((1, 2), (PIECE, 3), (5, 10 * PIECE)):
        covered = [row for piece in pieces(N, C) for row in range(piece.start, piece.stop)]
        assert covered == list(range(N))


def test_threads_do_not_share_their_room() -> None:
    cases = [models(shift, N=200, C=300) for shift in (0.01, 0.1, 1.0, 3.0)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda case: row_sums(*case).js, cases * 5))
    alone = [row_sums(*case).js for case in cases] * 5
    assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))


def test_the_top_classes_are_the_lower_ones_of_equal_logits() -> None:
    assert top(np.array([[1.0, 3, 3, 2, 3], [0, 0, 0, 0, 0]]), 2).tolist() == [[1, 2], [0, 1]]


@pytest.mark.parametrize("classes", [2, 5, 9])
def test_a_pair_knows_the_five_likeliest_classes_and_their_metrics_follow(classes: int) -> None:
    reference, candidate = (logits.round() for logits in models(1.0, N=60, C=classes))  # many are equal
    pair = Pair(reference, candidate)
    ranked = [np.argsort(-logits, axis=1, kind="stable")[:, :5] for logits in (reference, candidate)]
    for found, right in zip(pair.likeliest, ranked, strict=True):
        assert found.tolist() == right.tolist()
    high = np.sort(reference, axis=1)
    assert pair.margin().tolist() == (high[:, -1] - high[:, -2]).tolist()
    k = min(5, classes - 1)
    shared = [len(set(one[:k]) & set(other[:k])) / k for one, other in zip(*ranked, strict=True)]
    assert pair.top_k_agreement().tolist() == shared


def test_measuring_leaves_the_logits_as_they_are() -> None:
    for kind in (np.float32, np.float64):
        reference, candidate = (logits.astype(kind) for logits in models(0.1))
        before = reference.copy(), candidate.copy()
        pair = Pair(reference, candidate)
        pair.top_k_agreement()
        assert pair.js.max() < math.log(2)
        assert np.array_equal(reference, before[0])
        assert np.array_equal(candidate, before[1])


def test_the_largest_shift_is_that_of_centred_logits() -> None:
    """By hand: shifts 3 1 2 lie at most 1 from their mean; 5 in every class is no shift at all; 0 0 -6 lies 4 below."""
    reference = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0], [0.0, 3.0, 1.0]])
    found = row_sums(reference, reference + np.array([[3.0, 1.0, 2.0], [5.0, 5.0, 5.0], [0.0, 0.0, -6.0]]))
    assert found.largest_shift == pytest.approx([1, 0, 4])
    assert found.shift_range == pytest.approx([2, 0, 6])


def test_percentiles_of_the_shift_are_the_least_value_that_so_many_do_not_exceed() -> None:
    """Of two classes that move apart by 2, 4 … 200 the centred shifts are 1, 2 … 100."""
    moved = np.arange(1, 101.0)[:, None] * [1, -1]
    found = measure(np.zeros((100, 2)), moved, labels=np.zeros(100, dtype=int))
    assert (found.shift_p50, found.shift_p95, found.shift_p99, found.shift_max) == (50, 95, 99, 100)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=50), st.integers(1, 99))
def test_percentiles_are_those_of_numpy_that_lie_on_a_value(values: list[int], percent: int) -> None:
    """With whole numbers, because ``percent / 100 * N`` is rounded in numpy."""
    ordered, needed = sorted(values), next(n for n in range(1, len(values) + 1) if 100 * n >= percent * len(values))
    assert percentile(np.array(values, dtype=float), percent) == ordered[needed - 1]
    if percent in (25, 50, 75):
        assert percentile(np.array(values, dtype=float), percent) == np.quantile(
            values, percent / 100, method="inverted_cdf"
        )


@pytest.mark.parametrize("constant", [-800.0, 800.0, 5e4])
def test_a_constant_in_all_logits_of_both_models_changes_nothing(constant: float) -> None:
    """The exponentials of all of these logits underflow, or overflow. Sixteenths lose nothing in the sum."""
    rng = np.random.default_rng(2)
    reference, candidate = (np.round(16 * rng.normal(0, 2, (30, 5))) / 16 for _ in range(2))
    labels = rng.integers(0, 5, 30)
    found = measure(reference + constant, candidate + constant, labels).to_dict()
    for name, value in measure(reference, candidate, labels).to_dict().items():
        if isinstance(value, float):
            assert found[name] == pytest.approx(value, rel=1e-10), name


def test_no_jensen_shannon_divergence_of_models_that_share_no_class_is_above_ln_2() -> None:
    """Their terms sum to ln 2 but for rounding, which would lie above it in a fifth of these rows."""
    rng = np.random.default_rng(0)
    ours = rng.random((200, 10)) < 0.5
    ours[:, 0], ours[:, 1] = True, False
    noise = rng.normal(size=(2, 200, 10))
    found = Pair(np.where(ours, 100 + noise[0], 0), np.where(ours, 0, 100 + noise[1])).js
    assert (found <= math.log(2)).all()
    assert found == pytest.approx(np.full(200, math.log(2)), rel=1e-12)


def test_divergences_of_certain_models_that_disagree() -> None:
    """Jensen and Shannon's is at most ln 2, to the last bit; both others are the shift of the logits."""
    for size in (20.0, 40.0, 1000.0):
        pair = Pair([[size, 0.0], [0.0, size]], [[0.0, size], [size, 0.0]])
        assert (pair.js <= math.log(2)).all()
        assert pair.js == pytest.approx([math.log(2)] * 2, rel=1e-6)
        for kl in (pair.kl, pair.kl_reverse):
            assert kl == pytest.approx([size * math.tanh(size / 2)] * 2, rel=1e-12)
