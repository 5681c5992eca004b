"""What lists of likeliest tokens and sampled tokens say of two models' distance: by hand, and against all of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import anchorlab.scoring.token_answers
from anchorlab.scoring.token_answers import (
    ReferenceDraws,
    Watcher,
    counted,
    listed,
    low_margin_queries,
    sampled,
    top_probabilities,
)
from anchorlab.seeding import derive
from anchorlab.tokens.windows import Batch, Window


def random_logits(rows: int, tokens: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=2, size=(rows, tokens)).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(np.float64))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def lists(logits: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    return top_probabilities(logits, k, np.log(np.exp(logits.astype(np.float64)).sum(axis=1)))


def surprise(logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -np.log(softmax(logits)[np.arange(len(tokens)), tokens])


def test_two_lists_by_hand():
    """Of A .6, B .3 against A .2, C .7, which leaves .1: A lost .4, B at least .3 - .1; C won at least .7 - .1."""
    tv, missing = listed(np.array([[0, 1]]), np.array([[0.6, 0.3]]), np.array([[2, 0]]), np.array([[0.7, 0.2]]))
    assert tv == pytest.approx([0.6])
    assert missing == pytest.approx([0.5])


def test_another_likeliest_token_counts_although_both_are_as_likely():
    """Of A .9 against B .9: the second model has at most .1 left for A, so that .8 moved at least."""
    tv, missing = listed(np.array([[0]]), np.array([[0.9]]), np.array([[1]]), np.array([[0.9]]))
    assert tv == pytest.approx([0.8])
    assert missing == pytest.approx([1])


def test_missing_tokens_share_what_the_other_list_leaves():
    """Of A .4, B .4 against C .5, D .3: A and B share .2 of the second, C and D .2 of the first, so that .6 moved."""
    tv, _ = listed(np.array([[0, 1]]), np.array([[0.4, 0.4]]), np.array([[2, 3]]), np.array([[0.5, 0.3]]))
    assert tv == pytest.approx([0.6])


def test_lists_of_the_whole_vocabulary_give_the_distance_itself_and_shorter_ones_never_more():
    first, second = random_logits(50, 12, 0), random_logits(50, 12, 1)
    exact = np.abs(softmax(first) - softmax(second)).sum(axis=1) / 2
    bounds = []
    for k in (1, 3, 6, 12):
        tv, missing = listed(*lists(first, k), *lists(second, k))
        assert (tv <= exact + 1e-12).all()
        bounds.append(tv.mean())
        for row in range(len(first)):
            ours, theirs = ({*np.argsort(-logits[row])[:k]} for logits in (first, second))
            assert missing[row] == pytest.approx(len(ours - theirs) / k)
    assert tv == pytest.approx(exact)
    assert bounds == sorted(bounds)


def test_equal_answers_have_no_distance():
    logits = random_logits(4, 9, 0)
    tv, missing = listed(*lists(logits, 4), *lists(logits, 4))
    assert (tv.max(), missing.max()) == (0, 0)


def test_samples_are_drawn_from_the_softmax_by_their_seed():
    logits = np.array([0.0, np.log(3.0), -np.inf], dtype=np.float32)
    counts = sampled(logits, 40_000, 0)
    assert counts.sum() == 40_000
    assert counts[2] == 0
    assert counts[1] / 40_000 == pytest.approx(0.75, abs=0.01)
    assert (sampled(logits, 100, 5) == sampled(logits, 100, 5)).all()
    assert any((sampled(logits, 100, seed) != sampled(logits, 100, 5)).any() for seed in range(3))


def test_the_distance_of_counts_by_hand():
    """3, 1, 0 against 1, 1, 2 of 4 draws: (2 + 0 + 2) / 8, and 2 of 4 are new."""
    assert counted(np.array([3, 1, 0]), np.array([1, 1, 2])) == (0.5, 0.5)
    assert counted(np.array([2, 2]), np.array([2, 2])) == (0, 0)


def test_what_is_seen_of_blocks_is_what_plain_loops_give():
    """Sampled tokens are those of each model's own seeds at each query, whichever blocks they come in.

    True tokens that a model rules out are among them.
    """
    first, second = random_logits(70, 8, 0), random_logits(70, 8, 1)
    tokens = np.random.default_rng(2).integers(0, 8, 70)
    first[[3, 5], tokens[[3, 5]]] = -np.inf
    queries = np.array([3, 40, 69])
    watcher = Watcher(3, queries, ReferenceDraws(10, 7), "candidate")
    columns = {
        "document": np.repeat([0, 1], [50, 20]),
        "token": tokens,
        "nll_reference": surprise(first, tokens),
        "nll_candidate": surprise(second, tokens),
    }
    for start, end in ((0, 50), (50, 70)):
        own = {name: values[start:end] for name, values in columns.items()}
        watcher.see(start, own, first[start:end], second[start:end])
    seen = watcher.seen()
    assert seen.asked.tolist() == [0, 0, 1]
    whole = listed(*lists(first, 3), *lists(second, 3))
    np.testing.assert_allclose(seen.top_tv, whole[0], atol=1e-12)
    np.testing.assert_allclose(seen.top_missing, whole[1])
    for number, row in enumerate(queries):
        draws = []
        for name, logits in (("reference", first), ("candidate", second), ("reference again", first)):
            rng = np.random.default_rng(derive(7, "samples", name, number))
            draws.append(rng.multinomial(10, softmax(logits[row])))
        assert seen.sampled_tv[number] == np.abs(draws[0] - draws[1]).sum() / 20
        assert seen.sampled_new[number] == draws[1][draws[0] == 0].sum() / 10
        assert seen.sampled_again[number] == np.abs(draws[0] - draws[2]).sum() / 20


def test_the_reference_is_asked_once_for_all_models(monkeypatch):
    """Whichever model comes first, so that all are held against the same answers and are exchangeable."""
    drawn = []
    draw = anchorlab.scoring.token_answers.sampled
    monkeypatch.setattr(
        anchorlab.scoring.token_answers, "sampled", lambda *given: drawn.append(given[2]) or draw(*given)
    )
    reference, models = random_logits(2, 8, 0), {name: random_logits(2, 8, seed) for seed, name in enumerate("abc", 1)}
    tokens = np.array([1, 2])

    def seen(names):
        draws = ReferenceDraws(50, 7)
        found = {}
        for name in names:
            watcher = Watcher(3, np.array([0, 1]), draws, name)
            nll = {"nll_reference": surprise(reference, tokens), "nll_candidate": surprise(models[name], tokens)}
            watcher.see(0, {"document": np.array([0, 1]), "token": tokens, **nll}, reference, models[name])
            found[name] = watcher.seen().sampled_tv.tolist()
        return found

    one_way = seen("abc")
    assert len(drawn) == len({*drawn}) == 2 * (2 + 3)  # at each query two of the reference, and one of each model
    assert seen("cba") == one_way
    assert one_way["a"] != one_way["b"]


class Answering:
    """Answers a window by rows whose two likeliest tokens are so far apart as its targets say, in tenths."""

    def rows(self, batch: Batch) -> list[torch.Tensor]:
        return [torch.tensor([[0.0, target / 10, -5.0] for target in window.targets]) for window in batch.windows]


def test_queries_are_where_the_reference_wavers_and_no_document_has_them_all():
    margins = {0: [5, 1, 2, 9], 1: [8, 7], 2: [3]}
    windows = tuple(
        Window(document, np.zeros(len(values), dtype=np.int64), 0, np.array(values))
        for document, values in margins.items()
    )
    batches = [Batch(windows[:2]), Batch(windows[2:])]
    # Rows 0 to 3 are of the first document, 4 and 5 of the second, 6 of the third.
    assert low_margin_queries(batches, Answering(), 3).tolist() == [1, 5, 6]
    assert low_margin_queries(batches, Answering(), 4).tolist() == [1, 2, 5, 6]
    assert low_margin_queries(batches, Answering(), 99).tolist() == [0, 1, 2, 3, 4, 5, 6]
