"""The measures of a token equal mpmath's with 130 digits, and the rules of tokens that a model rules out hold."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anchorlab import AnchorlabError
from anchorlab.models.causal import open_causal
from anchorlab.tokens.measures import token_columns
from tests.causal import save_causal

NAMES = ("kl", "kl_reverse", "js", "delta_p", "nll_reference", "nll_candidate")


def exact(reference, candidate, true):
    """The measures of one row by their definitions, in 130 digits."""
    with mpmath.workdps(130):
        p, q = (_softmax([mpmath.mpf(float(each)) for each in row]) for row in (reference, candidate))
        mixed = [(one + other) / 2 for one, other in zip(p, q, strict=True)]
        return {
            "kl": _kl(p, q),
            "kl_reverse": _kl(q, p),
            "js": (_kl(p, mixed) + _kl(q, mixed)) / 2,
            "delta_p": q[true] - p[true],
            "nll_reference": -mpmath.log(p[true]) if p[true] else mpmath.inf,
            "nll_candidate": -mpmath.log(q[true]) if q[true] else mpmath.inf,
        }


def _softmax(logits):
    odds = [mpmath.exp(each) for each in logits]
    return [each / mpmath.fsum(odds) for each in odds]


def _kl(p, q):
    pairs = [(one, other) for one, other in zip(p, q, strict=True) if one]
    if any(not other for _, other in pairs):
        return mpmath.inf
    return mpmath.fsum(one * mpmath.log(one / other) for one, other in pairs)


def check(reference, candidate, true, *, relative=1e-9):
    found = token_columns(reference, candidate, np.asarray(true))
    for row in range(len(true)):
        expected = exact(reference[row], candidate[row], int(true[row]))
        for name in NAMES:
            value = float(found[name][row])
            assert value == pytest.approx(float(expected[name]), rel=relative, abs=1e-300), (name, row)


@pytest.mark.parametrize("noise", [1e-6, 1e-4, 1e-2, 0.5])
def test_the_measures_of_a_tiny_gpt_2_are_those_of_mpmath(noise, tmp_path):
    reference = open_causal(save_causal(tmp_path / "reference"))
    candidate = open_causal(save_causal(tmp_path / "candidate", noise=noise))
    ids = torch.randint(0, 300, (1, 12), generator=torch.Generator().manual_seed(1))
    first, second = (model.logits(ids)[0].numpy() for model in (reference, candidate))
    check(first, second, np.roll(ids[0].numpy(), -1))


@pytest.mark.parametrize("spread", [0.1, 5.0, 60.0])
@pytest.mark.parametrize("shift", [1e-10, 1e-7, 1e-5, 1e-4, 1e-3, 1e-1, 3.0, 40.0])
def test_no_shift_is_too_small_and_no_spread_too_large(spread, shift):
    """Shifts below float32's precision too, because logits may come in float64."""
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(6, 40)) * spread
    check(reference, reference + rng.normal(size=(6, 40)) * shift, rng.integers(0, 40, 6), relative=2e-9)


def test_a_token_that_is_nearly_certain_keeps_its_digits():
    reference = np.zeros((4, 30))
    reference[:, 3] = 40
    candidate = reference.copy()
    candidate[:, 7] = [1.0, 20.0, 39.0, 60.0]
    check(reference, candidate, [3, 3, 7, 7])


@pytest.mark.parametrize("model", ["reference", "candidate", "both", "other"])
def test_a_token_that_is_ruled_out_has_no_mass(model):
    rng = np.random.default_rng(5)
    reference, candidate = rng.normal(size=(2, 5, 20)) * 3
    if model in ("reference", "both"):
        reference[1:3, 4:8] = -np.inf
    if model in ("candidate", "both"):
        candidate[1:3, 4:8] = -np.inf
    if model == "other":
        reference[1, 4], candidate[1, 5] = -np.inf, -np.inf
    check(reference, candidate, [0, 1, 2, 3, 4])
    found = token_columns(reference, candidate, np.zeros(5, dtype=int))
    assert np.isfinite(found["js"]).all()
    assert np.isinf(found["kl"]).tolist() == [
        (row in (1, 2) and model == "candidate") or (row == 1 and model == "other") for row in range(5)
    ]
    assert np.isinf(found["kl_reverse"])[1] == (model in ("reference", "other"))


def test_a_true_token_that_both_rule_out_is_infinitely_surprising():
    reference, candidate = np.zeros((2, 1, 5))
    reference[0, 2] = candidate[0, 2] = -np.inf
    found = token_columns(reference, candidate, np.array([2]))
    assert found["nll_reference"][0] == found["nll_candidate"][0] == math.inf
    assert found["delta_p"][0] == found["kl"][0] == found["js"][0] == 0


@st.composite
def rows(draw):
    V = draw(st.integers(2, 12))
    logit = st.one_of(st.floats(-50, 50, width=32), st.just(-math.inf))
    both = [draw(st.lists(logit, min_size=V, max_size=V)) for _ in range(2)]
    for row in both:
        row[draw(st.integers(0, V - 1))] = draw(st.floats(-5, 5, width=32))
    return np.asarray(both[0], dtype=np.float32)[None], np.asarray(both[1], dtype=np.float32)[None]


@settings(max_examples=300, deadline=None)
@given(rows())
def test_the_rules_of_ruled_out_tokens_hold_for_any_rows(pair):
    """Both -inf: mass 0. The candidate alone: KL is infinite. The reference alone: the reverse is. JS is finite."""
    reference, candidate = pair
    out = np.isneginf(reference[0]), np.isneginf(candidate[0])
    found = token_columns(reference, candidate, np.zeros(1, dtype=int))
    assert np.isinf(found["kl"][0]) == (out[1] & ~out[0]).any()
    assert np.isinf(found["kl_reverse"][0]) == (out[0] & ~out[1]).any()
    assert 0 <= found["js"][0] <= math.log(2)
    assert found["kl"][0] >= 0
    assert found["kl_reverse"][0] >= 0
    assert not any(np.isnan(found[name]).any() for name in NAMES)
    kept = ~(out[0] & out[1])
    if kept.sum() > 1 and kept[0]:
        smaller = token_columns(reference[:, kept], candidate[:, kept], np.zeros(1, dtype=int))
        for name in NAMES:
            np.testing.assert_allclose(found[name], smaller[name], rtol=1e-9, atol=1e-300, err_msg=name)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(2, 200), st.booleans(), st.integers(0, 10**6))
def test_tops_and_ranks_are_those_of_a_stable_sort(n, V, tied, seed):
    rng = np.random.default_rng(seed)
    reference, candidate = rng.normal(size=(2, n, V)).round(0 if tied else 12)
    found = token_columns(reference, candidate, np.zeros(n, dtype=int))
    k = min(10, V)
    for row in range(n):
        first, second = (np.lexsort((np.arange(V), -logits[row])) for logits in (reference, candidate))
        assert found["top_reference"][row] == first[0]
        assert found["same_top"][row] == (first[0] == second[0])
        assert found["rank"][row] == 1 + second.tolist().index(first[0])
        assert found["top_overlap"][row] == pytest.approx(len({*first[:k]} & {*second[:k]}) / k)
        assert found["margin"][row] == reference[row][first[0]] - reference[row][first[1]]


def test_plain_numpy_agrees_as_far_as_it_goes():
    """By hand, three tokens: p = (.5, .25, .25), q = (.25, .5, .25)."""
    reference, candidate = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.5, 0.25]])
    found = token_columns(reference, candidate, np.array([1]))
    assert found["kl"][0] == pytest.approx(0.25 * math.log(2))
    assert found["kl_reverse"][0] == pytest.approx(0.25 * math.log(2))
    assert found["delta_p"][0] == pytest.approx(0.25)
    assert found["nll_candidate"][0] == pytest.approx(math.log(2))
    assert not found["same_top"][0]
    assert found["rank"][0] == 2
    assert found["margin"][0] == pytest.approx(math.log(2))


def test_identical_rows_have_no_divergence_at_all():
    logits = np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)
    found = token_columns(logits, logits.copy(), np.zeros(20, dtype=int))
    for name in ("kl", "kl_reverse", "js", "delta_p"):
        assert (found[name] == 0).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_other_infinities_are_refused(value):
    logits = np.zeros((2, 5))
    broken = logits.copy()
    broken[1, 2] = value
    with pytest.raises(AnchorlabError, match="the candidate answers with logits that are NaN or"):
        token_columns(logits, broken, np.zeros(2, dtype=int))
    with pytest.raises(AnchorlabError, match="that rule out every token"):
        token_columns(np.full((1, 4), -math.inf), np.zeros((1, 4)), np.zeros(1, dtype=int))


def test_other_vocabularies_are_refused():
    with pytest.raises(AnchorlabError, match="5 logits a token and the candidate with 6"):
        token_columns(np.zeros((1, 5)), np.zeros((1, 6)), np.zeros(1, dtype=int))
