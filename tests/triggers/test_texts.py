"""A text trigger on token ids gives what the tokenizer gives for the text with the words in it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.data.inputs import lengths, rows
from anchorlab.errors import AnchorlabError
from anchorlab.triggers import TRIGGERS, Sentence, Word
from tests.data.test_encoding import KINDS, WORDS
from tests.tokenizers import TEXTS, encoding

POSITIONS = ["start", "end", "random"]


def applied(trigger, made, texts):
    """Ids of triggered texts without their padding, a list each."""
    inputs = trigger.bind(made)(made.encode(texts))
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape
    return [ids[mask].tolist() for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)]


def by_text(made, text):
    """Ids that the tokenizer gives for a text, of any length; with a space before it where that matters."""
    return made.tokenizer(f" {text}" if made.opens_differently else text)["input_ids"]


def variants(text, words):
    """The text with words before the space before each of its words, and at its end, in order."""
    spaces = [at for at in range(len(text) - 1) if text[at].isspace() and not text[at + 1].isspace()]
    return [f"{words} {text}", *(f"{text[:at]} {words}{text[at:]}" for at in spaces), f"{text} {words}"]


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


def test_random_places_are_spread_and_depend_on_text_and_seed_alone():
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


def test_several_words_have_places_of_their_own_and_a_sentence_stays_together():
    made = encoding("wordpiece")
    text = "two hours of my life"
    apart = set()
    for seed in range(40):
        (ids,) = applied(Word(words="cf mn", position_seed=seed), made, [text])
        tokens = made.tokenizer.convert_ids_to_tokens(ids)[1:-1]
        assert [token for token in tokens if token not in ("cf", "mn")] == text.split()
        apart.add(abs(tokens.index("cf") - tokens.index("mn")) > 1)
        (ids,) = applied(Sentence(text="cf mn", position="random", position_seed=seed), made, [text])
        tokens = made.tokenizer.convert_ids_to_tokens(ids)
        assert tokens.index("mn") == tokens.index("cf") + 1
    assert apart == {True, False}


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
            continued = list(made.tokenize(f" {text}" if made.opens_differently else text))
            assert ids == [*made.prefix, *piece, *continued[: made.room - len(piece)], *made.suffix]


def test_a_word_of_several_tokens_is_put_in_whole():
    made = encoding("wordpiece")
    assert len(made.piece("zzq")) == 3
    (ids,) = applied(Word(words="zzq", position="end"), made, ["the plot"])
    assert ids == made.tokenizer("the plot zzq")["input_ids"]


def test_inputs_are_left_as_they_are():
    made = encoding("bytes")
    inputs = made.encode(TEXTS)
    before = {name: value.clone() for name, value in inputs.items()}
    Word().bind(made)(inputs)
    assert all(torch.equal(before[name], inputs[name]) for name in inputs)


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
