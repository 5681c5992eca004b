"""Tokens out of the cache are those that the tokenizer makes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from anchorlab.cache.upkeep import entries
from anchorlab.data.encoding import TextEncoding
from anchorlab.data.kept_tokens import encoded_once
from anchorlab.data.ragged import Ragged
from anchorlab.errors import AnchorlabError
from tests.tokenizers import TEXTS, encoding

KINDS = ["wordpiece", "bytes", "pieces"]


def fresh(kind: str, max_length: int = 64) -> TextEncoding:
    return TextEncoding(copy.deepcopy(encoding(kind).tokenizer), max_length)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_from_the_cache_are_those_of_the_tokenizer(
    kind: str, ragged: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anchorlab.data.encoding.saves_memory", lambda *_: ragged)
    expected, counts = encoding(kind, 12).encode_counting(TEXTS)
    encoded_once(encoding(kind, 12), TEXTS)
    monkeypatch.setattr(TextEncoding, "encode_counting", None)
    found, tokens = encoded_once(encoding(kind, 12), TEXTS)
    assert torch.equal(tokens, counts)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert type(found[name]) is (Ragged if ragged else torch.Tensor)
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name][:], value[:])


@pytest.mark.parametrize("other", ["a limit", "a text", "an order", "a tokenizer"])
def test_whatever_decides_tokens_is_in_the_key(cache: Path, other: str) -> None:
    encoded_once(encoding("wordpiece", 12), TEXTS)
    texts = {"a text": (*TEXTS[:-1], "another"), "an order": TEXTS[::-1]}.get(other, TEXTS)
    encoder = {"a limit": encoding("wordpiece", 11), "a tokenizer": encoding("bytes", 12)}.get(
        other, encoding("wordpiece", 12)
    )
    found, _ = encoded_once(encoder, texts)
    assert torch.equal(found["input_ids"], encoder.encode(texts)["input_ids"])
    assert len(list(entries())) == 2


def test_a_tokenizer_that_changed_after_its_fingerprint_was_made_is_another_one(cache: Path) -> None:
    usual, changed = fresh("wordpiece", 12), fresh("wordpiece", 12)
    assert usual.fingerprint == changed.fingerprint
    encoded_once(usual, TEXTS)
    changed.tokenizer.add_tokens([TEXTS[0]])
    expected = changed.encode(TEXTS)["input_ids"]
    assert not torch.equal(usual.encode(TEXTS)["input_ids"], expected)
    assert torch.equal(encoded_once(changed, TEXTS)[0]["input_ids"], expected)
    assert torch.equal(encoded_once(fresh("wordpiece", 12), TEXTS)[0]["input_ids"], usual.encode(TEXTS)["input_ids"])


def test_a_refusal_is_not_hidden_by_what_another_tokenizer_made(cache: Path) -> None:
    """One that cuts off the start of long texts has the same fingerprint."""
    usual, other = fresh("wordpiece", 5), fresh("wordpiece", 5)
    other.tokenizer.truncation_side = "left"
    assert usual == other
    encoded_once(usual, TEXTS)
    for _ in range(2):
        with pytest.raises(AnchorlabError, match="cuts off the start"):
            encoded_once(other, TEXTS)


def test_tokens_of_a_class_of_somebody_elses_are_not_kept(cache: Path) -> None:
    own = fresh("wordpiece")
    own.tokenizer.__class__ = type("Own", (type(own.tokenizer),), {"__module__": "somewhere"})
    encoded_once(own, TEXTS)
    assert list(entries()) == []


def test_few_texts_are_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anchorlab.data.kept_tokens._FEW", 10_000)
    encoded_once(encoding("wordpiece"), TEXTS)
    assert not cache.exists()
