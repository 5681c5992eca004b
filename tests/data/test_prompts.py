"""Texts inside a prompt: the tokens of the whole text, whatever is cut or put in, and label words of one token."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from anchorlab.data.encoding import TextEncoding
from anchorlab.data.prompts import in_prompt, word_ids
from anchorlab.triggers import TRIGGERS
from tests.refusals import refused
from tests.tokenizers import as_llama, encoding
from tests.verbalizing import tokenizer
from tokenizers import Tokenizer, models

TEXTS = ("A truly moving film, quietly told.", "dull", "Two hours of my life -- gone. " * 9, "")
PROMPTS = ("{text}\nAnswer:", "Film: {text}\nAnswer:", "Is it good?\n{text}\n")


def bytes_of(limit: int = 40, *, begins: bool = False) -> TextEncoding:
    told = tokenizer(begins=begins)
    told.pad_token = "<s>"
    return TextEncoding(told, limit)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_tokens_are_those_of_the_whole_text(prompt):
    asked, plain = in_prompt(bytes_of(400), prompt), bytes_of(400)
    inputs = asked.encode(TEXTS[:3])
    for row, text in enumerate(TEXTS[:3]):
        ids = inputs["input_ids"][row][inputs["attention_mask"][row]]
        assert tuple(ids.tolist()) == plain.tokenize(prompt.replace("{text}", text))


@pytest.mark.parametrize("form", ["normalizer", "metaspace"])
@pytest.mark.parametrize("before", ["", "Review: ", "Review:\n", "Is it good?\n\n", "Review:\n  ", 'Review: "'])
def test_the_space_that_llama_puts_before_a_text_is_the_prompts(form, before):
    plain, prompt = as_llama(form, 400), f"{before}{{text}}\nAnswer:"
    asked = in_prompt(plain, prompt)
    bind = TRIGGERS.parse("word:cf,position=end").bind(asked)
    for text in TEXTS[:3]:
        inputs = asked.encode([text])
        clean, triggered = inputs["input_ids"][0][inputs["attention_mask"][0]], bind(inputs)
        assert tuple(clean.tolist()) == (1, *plain.tokenize(prompt.replace("{text}", text)))
        ids = triggered["input_ids"][0][triggered["attention_mask"][0]]
        assert tuple(ids.tolist()) == (1, *plain.tokenize(prompt.replace("{text}", f"{text} cf")))
        assert int(inputs["word_starts"][0].sum()) == len(text.split())
    assert plain.tokenizer.convert_ids_to_tokens(word_ids(plain, prompt, ["good", "bad"])) == ["▁good", "▁bad"]


@pytest.mark.parametrize("form", ["normalizer", "metaspace"])
def test_a_trigger_before_a_text_of_llama_has_a_space_of_its_own(form):
    plain = as_llama(form, 400)
    asked = in_prompt(plain, "Review:\n{text}\nAnswer:")
    triggered = TRIGGERS.parse("word:cf,position=start").bind(asked)(asked.encode(["dull and long"]))
    ids = triggered["input_ids"][0][triggered["attention_mask"][0]]
    assert tuple(ids.tolist()) == (1, *plain.tokenize("Review:\n cf dull and long\nAnswer:"))


def test_special_tokens_begin_the_prompt_and_none_ends_it():
    asked = in_prompt(bytes_of(begins=True), "{text}\nAnswer:")
    assert asked.prefix == (0,)
    assert asked.suffix == asked.tokenize("\nAnswer:")
    assert asked.tokenizer("dull")["input_ids"] == [0, *asked.tokenize("dull\nAnswer:")]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_long_text_loses_its_end_and_never_the_prompts(prompt):
    asked = in_prompt(bytes_of(), prompt)
    inputs, whole = asked.encode_counting(TEXTS)
    assert inputs["input_ids"].shape[1] == 40 < whole.max()
    for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
        kept = tuple(ids[mask].tolist())
        assert kept[: len(asked.prefix)] == asked.prefix
        assert kept[-len(asked.suffix) :] == asked.suffix
    assert whole[1] == len(asked.prefix) + len(asked.tokenize(f"{asked.lead}dull")) + len(asked.suffix)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("position", ["start", "end"])
def test_a_trigger_is_put_into_the_text(prompt, position):
    asked = in_prompt(bytes_of(200), prompt)
    trigger = TRIGGERS.parse(f"word:cf,position={position}")
    texts = ["A truly moving film", "dull and long"]
    triggered = trigger.bind(asked)(asked.encode(texts))
    first = "cf " if asked.lead else " cf "  # a trigger has a space before it wherever it stands
    expected = [f"{first}{text}" if position == "start" else f"{text} cf" for text in texts]
    for ids, mask, text in zip(triggered["input_ids"], triggered["attention_mask"], expected, strict=True):
        assert asked.tokenizer.decode(ids[mask]) == prompt.replace("{text}", text)


def test_words_begin_where_they_do_without_a_prompt():
    asked, plain = in_prompt(bytes_of(200), "{text}\nAnswer:"), bytes_of(200)
    ours, theirs = asked.encode(TEXTS[:3]), plain.encode(TEXTS[:3])
    width = theirs["word_starts"].shape[1]
    assert ours["word_starts"][:, :width].equal(theirs["word_starts"])
    assert not ours["word_starts"][:, width:].any()


def test_another_prompt_is_another_encoding():
    made = [in_prompt(bytes_of(), prompt) for prompt in (*PROMPTS, "Film:{text}\nAnswer:")]
    assert len({one.fingerprint for one in made}) == 4
    assert in_prompt(bytes_of(), PROMPTS[0]) == made[0]


def test_the_plain_tokenizer_is_saved(tmp_path):
    plain = bytes_of()
    before = plain.tokenizer.backend_tokenizer.to_str()
    in_prompt(plain, "Film: {text}\nAnswer:").save(tmp_path / "asked")
    plain.save(tmp_path / "plain")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "asked" / name).read_text() == (tmp_path / "plain" / name).read_text()
    assert plain.tokenizer.backend_tokenizer.to_str() == before


def test_label_words_stand_after_a_space_or_a_line_break():
    plain = bytes_of()
    spaced, bare = (word_ids(plain, prompt, ["good", "bad"]) for prompt in ("{text}\nAnswer:", "{text}\n"))
    assert [plain.tokenizer.decode([number]) for number in (*spaced, *bare)] == [" good", " bad", "good", "bad"]


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_other_tokenizers_take_a_prompt(kind):
    asked = in_prompt(encoding(kind), "{text} The plot is")
    assert asked.suffix == asked.tokenize("a The plot is")[len(asked.tokenize("a")) :]
    assert asked.prefix == encoding(kind).prefix


@pytest.mark.parametrize(
    ("prompt", "words", "message"),
    [
        ("{text}\nAnswer:", ["good", "terrible"], r"'terrible' is \d tokens after the prompt .* must be one"),
        ("{text}\nAnswer: ", ["good", "bad"], "let the prompt end without a space"),
    ],
)
def test_label_words_of_several_tokens_are_refused(prompt, words, message):
    refused(message, word_ids, bytes_of(), prompt, words)


def test_label_words_of_one_token_are_refused():
    refused("are the same token", word_ids, encoding("wordpiece"), "{text} the", ["plot", "PLOT"])
    refused("does not know the label word", word_ids, encoding("wordpiece"), "{text} the", ["plot", "\u4e16"])


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("A{text}\n", "ties what stands before .* with a line break or a space, or begin the prompt with {text}"),
        ("{text}nswer:", "ties what stands after .* with a line break or a space, or end the prompt with {text}"),
    ],
)
def test_a_prompt_that_is_tied_to_the_text_is_refused(prompt, message):
    """Each cure works."""
    refused(message, in_prompt, bytes_of(), prompt)
    start, _, end = prompt.partition("{text}")
    for cured in (f"{start}\n{{text}}\n{end}", f"{start} {{text}} {end}", "{text}"):
        assert in_prompt(bytes_of(), cured)


def test_a_line_break_that_is_tied_to_a_text_all_the_same_is_no_cure():
    backend = Tokenizer(
        models.BPE(vocab={letter: n for n, letter in enumerate("\nFilm:ab")} | {"\na": 9}, merges=[("\n", "a")])
    )
    tied = TextEncoding(PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="F"), 40)
    refused("what stands before {text} to the text: begin the prompt with {text}", in_prompt, tied, "Film:\n{text}")


def test_a_prompt_without_room_for_a_text_is_refused():
    refused("leave no room .* beside the prompt: take a shorter", in_prompt, bytes_of(8), "{text}" + "\nAnswer:" * 8)
