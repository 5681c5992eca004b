"""Each token is scored once, from as much as its window holds before it, and no document is held whole."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from anchorlab import AnchorlabError
from anchorlab.tokens import windows as cutting
from anchorlab.tokens.vocabulary import encoder, parting
from anchorlab.tokens.windows import PART, Batch, check_windows, encoded, in_batches, windows_of
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

BEGIN = 999


@st.composite
def readings(draw):
    begins = draw(st.sampled_from([None, BEGIN]))
    context = draw(st.integers(2, 12))
    stride = draw(st.integers(1, context - (begins is not None)))
    sizes = draw(st.lists(st.integers(0, 15), max_size=5))
    return begins, context, stride, sizes


@settings(max_examples=100, deadline=None)
@given(readings())
def test_each_token_is_scored_once_after_what_its_window_holds(reading):
    begins, context, stride, sizes = reading
    tokens = np.arange(sum(sizes))
    parts = np.split(tokens, np.cumsum(sizes)[:-1]) if sizes else []
    windows = [*windows_of(parts, 4, context=context, stride=stride, begins=begins)]
    scored = [int(token) for window in windows for token in window.targets]
    assert scored == list(range(0 if begins is not None else 1, len(tokens)))
    own = context - (begins is not None)
    for number, window in enumerate(windows):
        assert window.document == 4
        assert len(window.inputs) <= context
        assert (window.inputs[0] == BEGIN) == (begins is not None)
        text = window.inputs[begins is not None :]
        assert text.tolist() == list(range(number * stride, number * stride + len(text)))
        assert len(window.targets) == len(window.inputs) - window.first
        # A target's position is the number of inputs before it, and these are the tokens just before it.
        for position, target in zip(window.positions, window.targets, strict=True):
            before = int(position) - (begins is not None)
            assert target == number * stride + before
            if number:
                assert before > own - stride
    assert all(len(window.targets) for window in windows)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(9, 40))
def test_batches_keep_the_order_and_the_room(sizes, room):
    windows = [
        window
        for number, size in enumerate(sizes)
        for window in windows_of([np.arange(size + 1)], number, context=9, stride=9, begins=None)
    ]
    batches = [*in_batches(windows, room)]
    assert [window for batch in batches for window in batch.windows] == windows
    for batch in batches:
        assert batch.ids.numel() <= max(room, len(batch.windows[0].inputs))
        assert batch.ids.shape[0] == len(batch.windows)


def test_scored_rows_are_found_in_all_answers_and_in_the_last_ones():
    first, second = windows_of([np.arange(8)], 0, context=5, stride=3, begins=None)
    batch = Batch((first, second))
    answers = torch.arange(2 * 5).reshape(2, 5, 1)
    whole = batch.scored(answers)
    assert [rows.flatten().tolist() for rows in whole] == [[0, 1, 2, 3, 4], [7, 8]]
    assert second.first == 2
    alone = Batch((second,))
    assert alone.last == 2
    assert alone.scored(answers[1:, 2:4])[0].flatten().tolist() == [7, 8]


def test_a_long_text_is_encoded_in_parts_that_end_between_words():
    text = "word " * (PART // 2)
    seen = []

    def encode(part):
        seen.append(part)
        return np.zeros(len(part), dtype=np.int64)

    assert sum(len(ids) for ids in encoded(text, encode, lambda first, second: True)) == len(text)
    assert "".join(seen) == text
    assert max(map(len, seen)) <= PART + 10
    assert all(part.startswith(" ") for part in seen[1:])
    seen.clear()
    assert [len(ids) for ids in encoded(text, encode)] == [len(text)]  # nothing says that a cut changes no token


def written_at_random(size, seed):
    """Words of several scripts, numbers, signs, and white space of all sorts, alone and in runs."""
    pieces = ["film", "dull", "Don't", "12", "34567", "été", "кино", "映画", ".", "--", "_", "'s", "e\u0301", "🎬"]
    spaces = [
        " ",
        " ",
        " ",
        " ",
        "",
        "  ",
        "\n",
        "\n\n",
        " \n",
        "\n ",
        "\t",
        " \t ",
        "\r\n",
        "\u00a0",
        "\u3000",
        " " * 30,
    ]
    rng = np.random.default_rng(seed)
    return "".join(pieces[one] + spaces[other] for one, other in rng.integers(0, (14, 16), (size, 2)))


LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def fast(kind):
    """A tokenizer that splits texts into words as those of well-known models do; merges of all sorts of white space."""
    backend = Tokenizer(models.BPE(unk_token="<s>"))
    alphabet = pre_tokenizers.ByteLevel.alphabet() if kind in ("GPT-2", "Llama 3") else []
    if kind == "GPT-2":
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif kind == "Llama 3":
        rule = pre_tokenizers.Split(Regex(LLAMA_3), "isolated")
        backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = pre_tokenizers.Sequence([rule, pre_tokenizers.ByteLevel(False, use_regex=False)])
    elif kind == "T5":
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
    elif kind == "Llama 2":
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=kind == "unsplit")
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([written_at_random(300, seed) for seed in range(20)], trainer)
    if kind == "unsplit":  # as sentencepiece: no token goes over a space, and merges see the whole text
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<s>")


@pytest.mark.parametrize("kind", ["GPT-2", "Llama 3", "T5", "unsplit", "Llama 2", "over spaces"])
def test_a_text_in_parts_has_the_tokens_of_the_whole_text(kind, monkeypatch):
    monkeypatch.setattr(cutting, "PART", 100)
    told = fast(kind)
    encode, apart = encoder(told, told), parting(told, told)
    text = written_at_random(4000, seed=20)
    parts = [*encoded(text, encode, apart)]
    assert np.concatenate(parts).tolist() == encode(text).tolist()
    if kind == "Llama 2":
        assert len(parts) == 1
    elif kind != "over spaces":
        assert len(parts) > len(text) / 100 / 2


def test_a_slow_tokenizer_reads_a_text_whole():
    assert not parting(SimpleNamespace(is_fast=False))("one", " two")


@pytest.mark.parametrize(("context", "stride", "begins"), [(1, None, None), (8, 9, None), (8, 8, 3), (8, 0, None)])
def test_windows_that_leave_tokens_out_are_refused(context, stride, begins):
    with pytest.raises(AnchorlabError):
        check_windows(context, stride, begins)


def test_the_stride_is_a_window_by_default():
    assert check_windows(8, None, None) == 8
    assert check_windows(8, None, 3) == 7
