"""A comparison of two language models in sentences."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.tokens.words import most_moved, words_of_tokens
from tests.tokens.made_up import made_up, measurement, measurements


def test_the_sentences_are_on_divergence_perplexity_top_tokens_and_noise() -> None:
    divergence, moved, perplexity, top, noise = words_of_tokens(made_up())
    assert divergence.startswith(
        "The mean KL is 0.0137 [0.0123, 0.0151] nats over 12,340 tokens of 40 documents; one token"
    )
    assert divergence.endswith("the worst 9.31.")
    assert moved == "So on average at most 8.28% of the next token's probability has moved to other tokens."
    assert perplexity.startswith(
        "The candidate's perplexity is 12.55 against the reference's 12.31, a ratio of 1.020 [0.9176, 1.121], which "
    )
    assert top.startswith("Both models hold the same token for the likeliest at 95.12% [")
    assert "where the reference is sure (its likeliest token is 10 times as likely as the next one or more)" in top
    assert "at 41.20% of the tokens, the candidate's likeliest is another at 0.31%" in top
    assert noise.startswith("The noise floor, the reference in batches of 1, is a mean KL of 1.37e-5")


def test_infinite_tokens_are_counted_and_in_no_mean() -> None:
    mean, infinite, *_ = words_of_tokens(made_up(infinite=3))
    assert "the worst" not in mean
    assert infinite.startswith("At 3 tokens the candidate rules out what the reference allows")
    assert "The perplexities leave out 3 tokens that a model rules out." in words_of_tokens(made_up(infinite=3))
    assert not any("leave out" in sentence for sentence in words_of_tokens(made_up()))


def test_no_pair_of_models_moves_more_probability_than_is_said() -> None:
    """For small and large KL. Where .9 and .1 change places, .8 of the probability moves, and .91 is said."""
    draw = np.random.default_rng(0)
    for scale in (0.01, 0.3, 3.0, 30.0):
        logits = draw.normal(size=(2, 500, 20))
        logits[1] = logits[0] + scale * (logits[1] - logits[0])
        p, q = np.exp(logits - np.logaddexp.reduce(logits, axis=2, keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            kl = float((p * (np.log(p) - np.log(q))).sum(axis=1).mean())
        assert np.abs(p - q).sum(axis=1).mean() / 2 <= most_moved(kl)
    assert most_moved(0.8 * np.log(9)) == pytest.approx(0.91, abs=0.01)


def test_a_candidate_that_answers_exactly_alike_is_called_so() -> None:
    equal, exact, *_ = words_of_tokens(made_up(kl=0.0, identical_weights=True))
    assert equal == "All weights of the two models are equal, so that only their configurations can differ."
    assert exact == "The candidate answers exactly like the reference: every KL is 0 on 12,340 tokens of 40 documents."


def test_a_base_file_whose_divergences_are_the_least_possible_bounds_nothing_from_above() -> None:
    scoring = made_up().scoring.model_copy(update={"base_file": True})
    assert not any("on average at most" in sentence for sentence in words_of_tokens(made_up(scoring=scoring)))
    first, *_ = words_of_tokens(made_up(kl=0.0, scoring=scoring))
    assert first.startswith("The base file shows no difference between candidate and reference: every KL is 0 on")


def test_a_ratio_that_excludes_1_is_not_called_chance() -> None:
    for ratio, words in ((1.5, "worse"), (0.5, "better")):
        clear = measurements() | {"ppl_ratio": measurement(ratio, width=0.01)}
        _, _, perplexity, *_ = words_of_tokens(made_up(measurements=clear))
        assert perplexity.endswith(f": it predicts these texts {words}.")
