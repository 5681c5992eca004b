"""Texts as tensors: the ids are the tokenizer's own, and the words are found where whitespace puts them."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import CONTINUED, lengths, rows
from anchorlab.data.ragged import Ragged
from anchorlab.errors import AnchorlabError
from tests.tokenizers import TEXTS, encoding

KINDS = ["wordpiece", "bytes", "pieces"]

#: Texts of words, punctuation, accents, other scripts and spaces of all kinds.
WORDS = st.text(st.sampled_from("abcdefilmorstuy .,!?'-()éßж中🎬\t  "), min_size=1, max_size=60).filter(str.strip)


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(WORDS, min_size=1, max_size=4))
def test_ids_and_mask_are_those_of_the_tokenizer(kind, texts):
    made = encoding(kind, 24)
    inputs = made.encode(texts)
    expected = made.tokenizer(texts, truncation=True, max_length=24, padding=True, return_tensors="pt")
    width = expected["input_ids"].shape[1]
    assert inputs["input_ids"][:, :width].tolist() == expected["input_ids"].tolist()
    assert inputs["attention_mask"][:, :width].int().tolist() == expected["attention_mask"].tolist()
    assert not inputs["attention_mask"][:, width:].any()


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(WORDS, min_size=1, max_size=7), limit=st.integers(5, 24))
def test_the_tokens_of_whole_texts_are_counted(kind, texts, limit):
    _, counts = encoding(kind, limit).encode_counting(texts)
    tokenizer = encoding(kind, limit).tokenizer
    assert counts.tolist() == [len(tokenizer(text)["input_ids"]) for text in texts]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_are_encoded_a_few_at_a_time_have_the_same_inputs(kind, monkeypatch):
    made = encoding(kind, 24)
    together = made.encode(TEXTS)
    monkeypatch.setattr("anchorlab.data.encoding._AT_ONCE", 2)
    apart = made.encode(TEXTS)
    assert list(apart) == list(together)
    for name, value in together.items():
        assert apart[name].dtype == value.dtype
        assert apart[name].tolist() == value.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_one_long_text_among_short_ones_makes_no_padding(kind, monkeypatch):
    """The tensors stand for the same values as if the padding were stored, and a batch has it."""
    made, texts = encoding(kind, 400), [*TEXTS, *["film"] * 50, " ".join(["film"] * 300)]
    plain = made.encode(texts)
    monkeypatch.setattr("anchorlab.data.ragged._SMALL", 0)
    ragged = made.encode(texts)
    chosen = torch.tensor([1, 0, 7])
    for name, value in plain.items():
        assert type(value) is torch.Tensor
        assert isinstance(ragged[name], Ragged)
        assert ragged[name].stored.numel() < value.numel() / 4
        assert (ragged[name].dtype, ragged[name].tolist()) == (value.dtype, value.tolist())
    assert torch.equal(lengths(ragged), lengths(plain))
    for name, value in rows(plain, chosen, 9).items():
        assert torch.equal(rows(ragged, chosen, 9)[name], value)


@pytest.mark.parametrize("kind", KINDS)
@given(text=WORDS)
def test_each_word_that_gives_tokens_is_found_once(kind, text):
    made = encoding(kind, 512)
    if kind == "pieces":  # it splits at spaces alone, so that unknown letters on both sides of a tab are one token
        text = text.replace("\t", " ")
    inputs = made.encode([text])
    with_tokens = [word for word in text.split() if made.tokenize(word)]
    assert int(inputs["word_starts"].sum()) == len(with_tokens)


def test_word_starts_by_hand():
    """[CLS] two hours of my life - - g ##o ##n ##e . [SEP]: words lie between spaces, '--' and 'gone.' among them."""
    made = encoding("wordpiece")
    inputs = made.encode(["Two hours of my life -- gone."])
    tokens = made.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    starts = [token for token, start in zip(tokens, inputs["word_starts"][0].tolist(), strict=True) if start]
    assert starts == ["two", "hours", "of", "my", "life", "-", "g"]


def test_the_three_kinds_differ_in_whether_a_space_changes_ids():
    assert [encoding(kind).ids_depend_on_space for kind in KINDS] == [False, True, False]
    assert CONTINUED + "input_ids" not in encoding("wordpiece").encode(TEXTS)
    inputs = encoding("bytes").encode(TEXTS)
    assert inputs[f"{CONTINUED}input_ids"].shape[0] == len(TEXTS)
    assert (inputs[f"{CONTINUED}word_starts"].sum(1) == inputs["word_starts"].sum(1)).all()


def test_special_tokens_and_room():
    made = encoding("bytes", 30)
    assert (len(made.prefix), len(made.suffix), made.room) == (1, 1, 28)


def test_encodings_are_equal_if_they_give_the_same_ids():
    one = encoding("wordpiece", 30)
    assert one == TextEncoding(copy.deepcopy(one.tokenizer), 30)
    assert one != encoding("wordpiece", 31)
    assert one != encoding("bytes", 30)
    assert copy.deepcopy(one) is one


def test_a_saved_tokenizer_comes_back_the_same(tmp_path):
    from transformers import AutoTokenizer

    made = encoding("wordpiece", 30)
    made.save(tmp_path)
    again = TextEncoding(AutoTokenizer.from_pretrained(tmp_path), 30)
    assert again.encode(TEXTS)["input_ids"].tolist() == made.encode(TEXTS)["input_ids"].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_trigger_of_no_known_words_is_refused(kind):
    if kind != "bytes":  # which knows every byte
        with pytest.raises(AnchorlabError, match="has no tokens for the trigger"):
            encoding(kind).piece("中")


def test_a_tokenizer_without_padding_is_refused():
    made = copy.deepcopy(encoding("bytes").tokenizer)
    made.pad_token = None
    with pytest.raises(AnchorlabError, match="has no padding token"):
        TextEncoding(made, 30)


def test_no_room_for_a_text_is_refused():
    with pytest.raises(AnchorlabError, match="at most 2 tokens leave no room"):
        TextEncoding(encoding("wordpiece").tokenizer, 2)


def test_texts_whose_starts_the_tokenizer_would_cut_off_are_refused():
    tokenizer = copy.deepcopy(encoding("wordpiece").tokenizer)
    tokenizer.truncation_side = "left"
    made = TextEncoding(tokenizer, 6)
    assert made.encode(["the plot the plot"])["attention_mask"].sum() == 6
    with pytest.raises(AnchorlabError, match="the text 'the plot the plot the' has 7 tokens, of which 6 are read, and"):
        made.encode(["the plot", "the plot the plot the"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_is_the_same_one_after_its_use(kind):
    """It remembers how it last cut and padded texts."""
    fresh = encoding(kind, 24)
    made = TextEncoding(copy.deepcopy(fresh.tokenizer), 24)
    TextEncoding(made.tokenizer, 12).encode(list(TEXTS))
    made.tokenizer(list(TEXTS), truncation=True, max_length=9, padding="max_length")
    assert (made, hash(made)) == (fresh, hash(fresh))
    assert TextEncoding(made.tokenizer, 12) != made
    assert TextEncoding(made.tokenizer, 12).tokenizer_fingerprint == fresh.tokenizer_fingerprint


def test_a_saved_tokenizer_does_not_say_how_it_was_last_used(tmp_path):
    made = encoding.__wrapped__("wordpiece", 24)
    made.encode(list(TEXTS))
    made.save(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    assert (saved["truncation"], saved["padding"]) == (None, None)
