"""Two tokenizers are refused with what differs; special tokens and templates that differ are said."""

from __future__ import annotations

import copy

import pytest
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.models.causal import CausalLM
from anchorlab.tokens.vocabulary import begins_with, check_vocabularies, encoder
from tests.causal import tokenizer


def model(told, source="model"):
    return CausalLM(nn.Module(), told, source)


def test_the_first_id_that_differs_is_named():
    with pytest.raises(AnchorlabError, match=r"id 290 is '.*' in one, which has 300 tokens, but no token in other"):
        check_vocabularies(model(tokenizer(), "one"), model(tokenizer(290), "other"))


def test_special_tokens_and_templates_that_differ_are_said():
    other = copy.deepcopy(tokenizer())
    assert check_vocabularies(model(tokenizer()), model(other)) == []
    other.pad_token, other.chat_template = "a", "{{ messages }}"
    special, template = check_vocabularies(model(tokenizer()), model(other))
    assert special.startswith("the pad token is None in the reference and 'a' in the candidate")
    assert template.startswith("the chat templates differ")


def test_tokenizers_of_one_vocabulary_that_read_a_text_differently_are_refused():
    from tokenizers import pre_tokenizers

    other = copy.deepcopy(tokenizer())
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    encode = encoder(tokenizer(), other)
    with pytest.raises(AnchorlabError, match=r"the tokenizers read 'film' differently: token 0 is 'f' .* and ' f"):
        encode("film")


def test_ids_have_no_special_tokens():
    encode = encoder(tokenizer(begins=True), tokenizer(begins=True))
    assert 0 not in encode("a film")
    assert begins_with(tokenizer(begins=True)) == 0
    assert begins_with(tokenizer()) is None
