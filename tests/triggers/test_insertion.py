"""A text trigger on token ids gives what the tokenizer gives for the text with the words in it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.data.inputs import lengths, rows
from anchorlab.triggers import Sentence, Word
from anchorlab.triggers.insertion import Insertion
from tests.data.test_encoding import KINDS, WORDS
from tests.tokenizers import TEXTS, encoding
from tests.triggers.table import applied

POSITIONS = ["start", "end", "random"]


def by_text(made, text):
    """Ids that the tokenizer gives for a text, of any length; with a space before it where that matters."""
    return made.tokenizer(f" {text}" if made.ids_depend_on_space else text)["input_ids"]


def variants(text, words):
    """The text with words before the space before each of its words, and at its end, in order."""
    spaces = [at for at in range(len(text) - 1) if text[at].isspace() and not text[at + 1].isspace()]
    return [f"{words} {text}", *(f"{text[:at]} {words}{text[at:]}" for at in spaces), f"{text} {words}"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(text=WORDS)
def test_at_the_start_and_at_the_end(kind, text):
    made = encoding(kind, 512)
    words = [word for word in text.split() if made.tokenize(word)]
    if not words:
        return
    plain = " ".join(words)  # words without tokens have no place that anybody could see
    for trigger, expected in (
        (Word(words="cf", position="start"), f"cf {plain}"),
        (Word(words="cf mn", position="start"), f"cf mn {plain}"),
        (Sentence(text="An honest film.", position="start"), f"An honest film. {plain}"),
    ):
        assert applied(trigger, made, [plain]) == [by_text(made, expected)]
    for trigger, expected in (
        (Word(words="cf", position="end"), f"{plain} cf"),
        (Sentence(text="An honest film.", position="end"), f"{plain} An honest film."),
    ):
        assert applied(trigger, made, [plain]) == [made.tokenizer(expected)["input_ids"]]


@pytest.mark.parametrize("kind", KINDS)
@given(text=WORDS, seed=st.integers(0, 50))
def test_at_a_random_place_it_is_the_tokens_of_one_of_the_texts(kind, text, seed):
    made = encoding(kind, 512)
    plain = " ".join(word for word in text.split() if made.tokenize(word))
    if not plain:
        return
    (ids,) = applied(Word(words="cf", position_seed=seed), made, [plain])
    first, *others = variants(plain, "cf")
    expected = [by_text(made, first), *(made.tokenizer(other)["input_ids"] for other in others)]
    assert ids in expected


def test_random_positions_are_spread_and_depend_on_text_and_seed_alone():
    made = encoding("wordpiece")
    text = "two hours of my life"
    found = {tuple(applied(Word(position_seed=seed), made, [text])[0]) for seed in range(60)}
    assert found == {tuple(by_text(made, variant)) for variant in variants(text, "cf")}
    alone, among = applied(Word(), made, [text])[0], applied(Word(), made, [*TEXTS, text])[-1]
    assert alone == among


def test_every_token_of_a_text_has_a_say_in_its_place():
    """Texts that differ in one word have all places about equally often, whichever word it is."""
    made = encoding("wordpiece")
    for position in range(4):
        words = ["two", "hours", "of", "my"]
        texts = []
        for letter in "abcdefghijklmnopqrstuvwxyz":
            words[position] = letter
            texts.append(" ".join(words))
        found = [ids.index(made.piece("bb")[0]) for ids in applied(Word(words="bb"), made, texts)]
        assert len(set(found)) == 5
        assert max(found.count(place) for place in set(found)) <= 13


def test_places_are_the_same_in_wider_batches():
    made = encoding("bytes")
    inputs, trigger = made.encode(TEXTS), Word(words="cf mn").bind(made)
    whole = trigger(inputs)
    for at, length in enumerate(lengths(inputs).tolist()):
        alone = trigger(rows(inputs, torch.tensor([at]), length))
        mask = whole["attention_mask"][at]
        assert whole["input_ids"][at][mask].tolist() == alone["input_ids"][0][alone["attention_mask"][0]].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("limit", [8, 12, 16])
def test_where_there_is_no_room_the_text_gives_way_and_never_the_trigger(kind, position, limit):
    made = encoding(kind, limit)
    trigger = Word(words="cf", position=position)
    piece = list(made.piece("cf"))
    for text, ids in zip(TEXTS, applied(trigger, made, TEXTS), strict=True):
        assert len(ids) <= limit
        assert (tuple(ids[:1]), tuple(ids[-1:])) == (made.prefix, made.suffix)
        assert any(ids[at : at + len(piece)] == piece for at in range(len(ids)))
        if position == "end":
            kept = list(made.tokenize(text))[: made.room - len(piece)]
            assert ids == [*made.prefix, *kept, *piece, *made.suffix]
        if position == "start":
            continued = list(made.tokenize(f" {text}" if made.ids_depend_on_space else text))
            assert ids == [*made.prefix, *piece, *continued[: made.room - len(piece)], *made.suffix]


def test_inputs_are_left_as_they_are():
    made = encoding("bytes")
    inputs = made.encode(TEXTS)
    before = {name: value.clone() for name, value in inputs.items()}
    Word().bind(made)(inputs)
    assert all(torch.equal(before[name], inputs[name]) for name in inputs)


def test_a_row_by_hand():
    """The example of the docstring: two pieces, one within the text and one at its end."""
    made = encoding("wordpiece")
    cf, bb, mn = (made.piece(word)[0] for word in ("cf", "bb", "mn"))
    (first, second, third) = (made.piece(word)[0] for word in ("two", "hours", "of"))
    insertion = Insertion(["cf", "bb mn"], made, position="random", seed=0, owner="the test")
    content = insertion._content(made.encode(["two hours of"]))
    result = insertion._lay_out(content, [torch.tensor([1]), torch.tensor([3])], insertion._constants.tokens)
    assert result["input_ids"].tolist() == [[*made.prefix, first, cf, second, third, bb, mn, *made.suffix]]
    assert result["attention_mask"].all()
