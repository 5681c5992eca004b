"""Triggers for texts need a tokenizer, know their words, and are text themselves."""

from __future__ import annotations

import pytest
import torch

from anchorlab.errors import AnchorlabError
from anchorlab.triggers import TRIGGERS, Sentence, Word
from tests.tokenizers import TEXTS, encoding


def test_a_trigger_longer_than_the_model_reads_is_refused():
    with pytest.raises(AnchorlabError, match="takes 13 tokens, but the model's texts have at most 6"):
        Sentence(text="the plot is thin the acting is not").bind(encoding("wordpiece", 8))


def test_without_a_tokenizer_it_is_refused():
    with pytest.raises(AnchorlabError, match="needs the model's tokenizer"):
        Word().bind(None)
    with pytest.raises(AnchorlabError, match=r"apply what bind\(encoding\) returns"):
        Word()(encoding("wordpiece").encode(TEXTS))
    with pytest.raises(AnchorlabError, match="is put into texts, but the inputs are pixel_values"):
        Word().check({"pixel_values": torch.zeros(1, 1, 8, 8)}, None)


@pytest.mark.parametrize(
    "text", ["word:cf", "word:cf mn bb", "word:cf,position=end", "sentence:I saw it, again", "word"]
)
def test_text_to_trigger_and_back(text):
    trigger = TRIGGERS.parse(text)
    assert TRIGGERS.from_dict(TRIGGERS.to_dict(trigger)) == trigger


@pytest.mark.parametrize("text", ["word: ", "sentence:text= ", "word:cf,position=middle"])
def test_impossible_triggers_are_refused(text):
    with pytest.raises(AnchorlabError, match="trigger '"):
        TRIGGERS.parse(text)
