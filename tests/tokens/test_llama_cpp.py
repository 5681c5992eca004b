"""The statistics of llama.cpp's block equal its formulas, redone by hand or as its loop does them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from anchorlab.tokens.kld import open_base
from anchorlab.tokens.llama_answers import tokens_of
from anchorlab.tokens.llama_block import LINES, read_block
from anchorlab.tokens.llama_compare import compare_as_llama_cpp
from anchorlab.tokens.llama_cpp import Scored, block_of, joined, log_probabilities, score, scored_positions
from tests.causal import tokenizer


def test_the_second_half_of_a_chunk_is_scored_without_its_last_position() -> None:
    """Of 512 tokens 255, of 5 tokens 2: positions 2 and 3, which predict tokens 3 and 4."""
    assert len(range(512)[scored_positions(512)]) == 255
    assert list(range(5)[scored_positions(5)]) == [2, 3]


def test_a_token_is_scored_as_by_hand() -> None:
    """Base (1/2, 1/4, 1/4), candidate (1/4, 1/2, 1/4), true token 0.

    KL = 1/2 ln 2 - 1/4 ln 2 = ln(2) / 4; Δp = 1/4 - 1/2; the likeliest tokens are 0 and 1.
    """
    scored = score(np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.5, 0.25]]), np.array([0]))
    assert scored.kl == pytest.approx([math.log(2) / 4])
    assert scored.delta_p == pytest.approx([-0.25])
    assert (scored.nll_base, scored.nll) == (pytest.approx([math.log(2)]), pytest.approx([math.log(4)]))
    assert not scored.same_top[0]


def test_entries_at_most_16_nats_deep_in_the_base_are_left_out() -> None:
    """The entry at -16 would add e^-16 (-16 + 1); that just above is added. So a divergence can be negative."""
    deep = score(np.array([[0.0, -16.0]]), np.array([[0.0, -1.0]]), np.array([0]))
    above = score(np.array([[0.0, -15.999]]), np.array([[0.0, -1.0]]), np.array([0]))
    assert deep.kl[0] == 0
    assert above.kl[0] == pytest.approx(math.exp(-15.999) * -14.999)


def test_an_entry_that_only_the_candidate_forbids_makes_the_divergence_infinite() -> None:
    both = np.array([[0.0, -np.inf]])
    assert score(both, both, np.array([0])).kl[0] == 0
    assert score(np.log([[0.5, 0.5]]), both, np.array([0])).kl[0] == math.inf


def test_of_equal_entries_the_first_is_the_likeliest() -> None:
    tied = np.log([[0.4, 0.4, 0.2]])
    assert score(tied, np.log([[0.5, 0.3, 0.2]]), np.array([0])).same_top[0]
    assert not score(tied, np.log([[0.3, 0.5, 0.2]]), np.array([0])).same_top[0]


def test_log_probabilities_are_those_of_the_softmax_however_large_the_logits() -> None:
    assert log_probabilities(np.array([[1000.0, 1000.0, -np.inf]])) == pytest.approx(
        np.array([[-math.log(2), -math.log(2), -np.inf]])
    )


CHUNKS, EACH = 6, 25


@pytest.fixture
def scored() -> Scored:
    rng = np.random.default_rng(5)
    base = log_probabilities(rng.normal(size=(CHUNKS * EACH, 7)) * 2)
    candidate = log_probabilities(base + rng.normal(size=base.shape) * 0.4)
    return score(base, candidate, rng.integers(7, size=len(base)))


def test_pieces_join_in_order(scored: Scored) -> None:
    whole = joined([scored, scored])
    assert np.array_equal(whole.kl[: len(scored.kl)], scored.kl)
    assert len(whole.same_top) == 2 * len(scored.same_top)


def test_means_and_their_uncertainties_are_those_of_its_running_sums(scored: Scored) -> None:
    """Sums of x, x² and x y, as the program keeps them, in its formulas."""
    block, n = block_of(scored, CHUNKS), len(scored.kl)

    def mean(x: np.ndarray) -> tuple[float, float]:
        first, second = sum(x) / n, sum(x * x) / n
        return first, math.sqrt((second - first * first) / (n - 1))

    q, base = mean(scored.nll), mean(scored.nll_base)
    covariance = (sum(scored.nll * scored.nll_base) / n - q[0] * base[0]) / (n - 1)
    ratio, ratio_error = q[0] - base[0], math.sqrt(q[1] ** 2 + base[1] ** 2 - 2 * covariance)
    ppl, ppl_base = math.exp(q[0]), math.exp(base[0])
    difference = math.sqrt((ppl * q[1]) ** 2 + (ppl_base * base[1]) ** 2 - 2 * ppl * ppl_base * covariance)
    square = mean(scored.delta_p**2)
    same = float(np.mean(scored.same_top))
    wanted = {
        "ppl_candidate": (ppl, ppl * q[1]),
        "ppl_reference": (ppl_base, ppl_base * base[1]),
        "log_ppl_ratio": (ratio, ratio_error),
        "ppl_ratio": (math.exp(ratio), math.exp(ratio) * ratio_error),
        "ppl_difference": (ppl - ppl_base, difference),
        "kl": mean(scored.kl),
        "delta_p": mean(scored.delta_p),
        "delta_p_rms": (math.sqrt(square[0]), 0.5 / math.sqrt(square[0]) * square[1]),
        "same_top": (same, math.sqrt(same * (1 - same) / (n - 1))),
    }
    for name, (value, error) in wanted.items():
        assert block[name].value == pytest.approx(value, rel=1e-9), name
        assert block[name].error == pytest.approx(error, rel=1e-6), name
    assert block["nll_correlation"].value == pytest.approx(covariance / (q[1] * base[1]))


def test_quantiles_interpolate_between_neighbours(scored: Scored) -> None:
    """At the share f the position is f (n - 1); extremes and the median are what their names say."""
    block, ordered = block_of(scored, CHUNKS), np.sort(scored.kl)
    place = 0.9 * (len(ordered) - 1)
    below = int(place)
    wanted = ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])
    assert block["kl_p90"].value == pytest.approx(wanted)
    assert block["kl_p50"].value == pytest.approx(np.median(ordered))
    assert (block["kl_min"].value, block["kl_max"].value) == (ordered[0], ordered[-1])
    assert block["delta_p_p5"].value == pytest.approx(np.quantile(scored.delta_p, 0.05))


def test_our_interval_is_students_over_the_means_of_chunks(scored: Scored) -> None:
    means = scored.kl.reshape(CHUNKS, EACH).mean(axis=1)
    half = t.ppf(0.975, CHUNKS - 1) * means.std(ddof=1) / math.sqrt(CHUNKS)
    assert block_of(scored, CHUNKS)["kl"].interval == pytest.approx((means.mean() - half, means.mean() + half))


def test_the_interval_of_a_perplexity_is_the_exponential_of_that_of_its_logarithm(scored: Scored) -> None:
    block = block_of(scored, CHUNKS)
    logarithm, ratio = block["log_ppl_ratio"].interval, block["ppl_ratio"].interval
    assert logarithm is not None
    assert ratio == pytest.approx(tuple(map(math.exp, logarithm)))


def test_one_chunk_has_no_interval(scored: Scored) -> None:
    assert all(entry.interval is None for entry in block_of(scored, 1).values())


def test_a_model_beside_itself_has_no_divergence_and_no_nan_but_a_correlation_of_one(scored: Scored) -> None:
    same = Scored(np.zeros(50), scored.nll[:50], scored.nll[:50], np.ones(50, dtype=bool))
    block = block_of(same, 5)
    assert (block["kl"].value, block["kl"].error, block["kl"].interval) == (0, 0, None)
    assert (block["delta_p_rms"].value, block["delta_p_rms"].error) == (0, 0)
    assert (block["ppl_ratio"].value, block["ppl_ratio"].error) == (1, 0)
    assert block["nll_correlation"].value == pytest.approx(1)


def test_an_infinite_divergence_makes_the_mean_infinite_and_its_uncertainty_undefined(scored: Scored) -> None:
    kl = scored.kl.copy()
    kl[3] = math.inf
    block = block_of(Scored(kl, scored.nll_base, scored.nll, scored.same_top), CHUNKS)
    assert block["kl"].value == block["kl_max"].value == math.inf
    assert math.isnan(block["kl"].error or 0)
    assert block["kl"].interval is None
    assert math.isfinite(block["kl_p50"].value)


#: Files that llama-perplexity wrote itself; README.md says how.
WRITTEN = Path(__file__).parent / "llama_cpp"


def test_the_statistics_of_its_own_files_are_those_that_it_printed() -> None:
    """From its base file and the very logits that it measured: equal to a unit of the last digit, or to 1e-6.

    The program sums in float32, and anchorlab in float64.
    """
    base, logits = open_base(WRITTEN / "base.kld"), np.load(WRITTEN / "logits.npy")
    true = base.tokens[:, base.context // 2 + 1 :].astype(np.int64)
    parts = [score(base.rows(i, 0, base.scored), log_probabilities(logits[i]), true[i]) for i in range(len(true))]
    ours, printed = block_of(joined(parts), len(true)), read_block(WRITTEN / "candidate.log")
    assert list(printed) == list(LINES)
    for name, line in LINES.items():
        unit = 10.0 ** -int(line.digits.partition(".")[2]) / (100 if line.percent else 1)
        assert ours[name].value == pytest.approx(printed[name].value, rel=1e-6, abs=1.01 * unit), name
        if line.error:
            assert ours[name].error == pytest.approx(printed[name].error, rel=1e-6, abs=1.01 * unit), name


def test_two_of_its_files_give_what_it_printed_to_their_16_bits() -> None:
    """Nothing lies deeper than 16 nats here, so that a step of 16 / 65,535 nats in each log-probability remains."""
    comparison = compare_as_llama_cpp(WRITTEN / "base.kld", WRITTEN / "candidate.kld")
    printed = read_block(WRITTEN / "candidate.log")
    assert comparison.cut == 0
    for name in ("kl", "kl_max", "kl_p99", "kl_p50", "kl_min", "log_ppl_ratio", "delta_p", "same_top"):
        assert comparison.statistics[name].value == pytest.approx(printed[name].value, abs=16 / 65535), name


def test_its_tokens_are_those_of_our_tokenizer(tmp_path: Path) -> None:
    """BOS first, "<s>" as plain text, and the last line break left out."""
    text = (WRITTEN / "text.txt").read_text(encoding="utf-8").removesuffix("\n")
    tokens = tokens_of(text, tokenizer(260, begins=True))
    stored = open_base(WRITTEN / "base.kld").tokens.ravel()
    assert np.array_equal(tokens[: stored.size], stored)
