"""A gate holds or breaks as the measurement says, and refuses what it cannot judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab import AnchorlabError
from anchorlab.consistency.compare import Comparison, compare_logits
from anchorlab.consistency.gate import Bound, parse_bound
from anchorlab.tokens.result import NAMES as TOKEN_NAMES
from tests.tokens.made_up import made_up


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(300, 5)) * 3
    return compare_logits(reference, reference + rng.normal(size=(300, 5)), rng.integers(0, 5, 300))


@given(
    st.sampled_from(["residual", "pearson", "shift"]),
    st.sampled_from([None, "lower", "upper"]),
    st.sampled_from([">", ">=", "<", "<="]),
    st.floats(-1e6, 1e6),
    st.sampled_from(["", " ", "  "]),
)
def test_what_is_written_is_read(name: str, end: str | None, sign: str, bound: float, space: str) -> None:
    text = f"{space}{name}{'' if end is None else '.' + end}{space}{sign}{space}{bound!r}{space}"
    assert parse_bound(text, [name]) == Bound(name, end, sign, bound)


def test_value_and_ends_of_the_interval_are_judged(comparison: Comparison) -> None:
    low, high = comparison.intervals["kl"]
    assert low < comparison.kl < high
    assert parse_bound(f"kl > {comparison.kl * 0.999}").broken(comparison)
    assert parse_bound(f"kl > {comparison.kl * 1.001}").broken(comparison) is None
    assert parse_bound(f"kl.upper > {comparison.kl * 1.001}").broken(comparison)
    assert parse_bound(f"kl.lower < {low * 1.001}").broken(comparison)
    assert parse_bound(f"churn >= {comparison.churn!r}").broken(comparison)
    assert parse_bound(f"churn > {comparison.churn!r}").broken(comparison) is None
    assert parse_bound("churn<=1").broken(comparison) == (
        f"the gate 'churn <= 1' is broken: churn is {comparison.churn:.6g}"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("churn", "is not of the form NAME > NUMBER"),
        ("churn = 1", "is not of the form"),
        ("chrun > 1", "did you mean 'churn'?"),
        ("kl.uper > 1", "did you mean 'upper'?"),
        ("kl > much", "'much', which is no number"),
        ("kl > nan", "would never break"),
        ("kl > inf", "would never break, because inf is beyond every number"),
        ("kl > 1e999", "would never break"),
        ("kl.lower < -inf", "would never break"),
        ("churn > 2", "the gate 'churn > 2' would never break, because churn is never above 1: give another bound"),
        ("churn > 1", "would never break, because churn is never above 1"),
        ("accuracy.lower < 0", "would never break, because accuracy is never below 0"),
        ("accuracy < 90", "would always break, because accuracy is never above 1"),
        ("kl > -0.5", "would always break, because kl is never below 0"),
        ("pearson_correct < -2", "would never break, because pearson_correct is never below -1"),
    ],
)
def test_mistakes_are_refused_before_anything_is_measured(text: str, words: str) -> None:
    with pytest.raises(AnchorlabError) as caught:
        parse_bound(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["unusual > 3", "unusual > 1", "unusual >= 1.5", "unusual < 0", "unusual > inf"])
def test_a_bound_that_yes_and_no_cannot_break_is_refused(text: str) -> None:
    with pytest.raises(AnchorlabError, match="would never break"):
        parse_bound(text, ["unusual"])
    for possible in ("unusual > 0.5", "unusual >= 1", "unusual < 1"):
        assert parse_bound(possible, ["unusual"]).name == "unusual"


@pytest.mark.parametrize("name", ["p", "p_joint"])
def test_a_bound_that_no_p_value_breaks_is_refused(name: str) -> None:
    with pytest.raises(AnchorlabError, match=f"would never break, because {name} is never below 0"):
        parse_bound(f"{name} < 0", [name])
    assert parse_bound(f"{name} <= 0.05", [name]).bound == 0.05


def test_ranges_that_are_given_decide_of_other_measurements() -> None:
    ranges = {"same_top": (0.0, 1.0)}
    with pytest.raises(AnchorlabError, match="would always break, because same_top is never above 1"):
        parse_bound("same_top < 95", ["same_top"], ranges)
    assert parse_bound("same_top <= 1", ["same_top"], ranges).bound == 1  # the end of the range fails nothing silently


def test_an_infinite_bound_that_can_break_is_read() -> None:
    assert parse_bound("kl_max >= inf", ["kl_max"]).bound == float("inf")


def test_what_cannot_be_judged_is_no_success(comparison: Comparison) -> None:
    with pytest.raises(AnchorlabError, match="asr is undefined: only logits"):
        parse_bound("asr < 0.5").broken(comparison)
    with pytest.raises(AnchorlabError, match="count has no interval"):
        parse_bound("count.upper > 1").broken(comparison)


def test_files_in_pieces_are_measured_as_arrays_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(1001, 7)).astype(np.float32)
    candidate = reference + rng.normal(size=(1001, 7)).astype(np.float32)
    labels = rng.integers(0, 7, 1001)
    for name, values in (("a", reference), ("b", candidate), ("y", labels)):
        np.save(tmp_path / f"{name}.npy", values)
    whole = compare_logits(reference, candidate, labels)
    monkeypatch.setattr("anchorlab.consistency.instances.CHUNK", 100)
    pieces = compare_logits(tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "y.npy")
    assert pieces == whole


@pytest.mark.parametrize(("text", "bound"), [("kl", "kl_infinite > 0"), (" kl_reverse ", "kl_reverse_infinite > 0")])
def test_the_name_of_a_divergence_of_tokens_alone_means_any_infinite_one(text: str, bound: str) -> None:
    assert str(parse_bound(text, TOKEN_NAMES)) == bound
    with pytest.raises(AnchorlabError, match="is not of the form NAME > NUMBER"):
        parse_bound(text)  # classifiers have no infinite divergence


def test_a_mean_beside_infinite_tokens_breaks_every_bound_from_above() -> None:
    assert parse_bound("kl", TOKEN_NAMES).judge(made_up(infinite=1).measured()).is_broken
    assert not parse_bound("kl", TOKEN_NAMES).judge(made_up().measured()).is_broken
    judgement = parse_bound("kl.upper > 1e9", TOKEN_NAMES).judge(made_up(infinite=1).measured())
    assert judgement.sentence == "the gate 'kl.upper > 1e+09' is broken: kl.upper is inf"


@pytest.mark.parametrize("name", ["kl_rms", "kl_reverse_rms"])
def test_a_root_mean_square_beside_infinite_tokens_breaks_every_bound_from_above(name: str) -> None:
    bound = parse_bound(f"{name}.upper > 1e9", TOKEN_NAMES)
    assert bound.judge(made_up(infinite=1).measured()).is_broken
    assert not bound.judge(made_up().measured()).is_broken


@pytest.mark.parametrize(
    "name", ["nll_reference", "nll_candidate", "log_ppl_ratio", "ppl_reference", "ppl_candidate", "ppl_ratio"]
)
def test_no_bound_on_a_perplexity_holds_while_it_leaves_tokens_out(name: str) -> None:
    """Which of the two models rules the tokens out is not known, so neither infinity nor 0 is."""
    bound = parse_bound(f"{name} > 1e9", TOKEN_NAMES)
    with pytest.raises(AnchorlabError, match="undefined: it leaves out 2 tokens that a model rules out, which nll_inf"):
        bound.judge(made_up(infinite=2).measured())
    assert not bound.judge(made_up().measured()).is_broken


def test_a_flag_stands_alone_and_a_measurement_does_not() -> None:
    assert parse_bound(" unusual ", ["unusual", "kl"]) == Bound("unusual", None, ">", 0.0)
    with pytest.raises(AnchorlabError, match="is not of the form"):
        parse_bound("kl", ["unusual", "kl"])
