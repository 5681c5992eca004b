"""Whole sentences, their phrases, and a cut that keeps both together."""

from __future__ import annotations

import random

import pytest
import torch

from anchorlab.data import load_task
from anchorlab.data.cut import Fractions
from anchorlab.data.reading import PartReading
from anchorlab.data.sentences import cut_by_sentence, phrases_of, whole_sentences, with_further_test
from anchorlab.data.split import RawData, Split
from tests.data.copies import text_parts

NAMES = ("negative", "positive")


def treebank(sentences: int = 120, *, order: int = 0) -> RawData:
    """Made-up sentences of ten words with all their phrases of one, three and six words, in a random order.

    Words are shared between sentences, so that short phrases belong to many of them. The test part has five sentences
    more, of which one stands in the training part too.
    """
    draw = random.Random(3)
    words = [f"w{number}" for number in range(400)]
    made = [" ".join(draw.sample(words, 10)) for _ in range(sentences + 4)]
    train = [*made[:sentences]]
    for sentence in made[:sentences]:
        parts = sentence.split()
        train += [" ".join(parts[start : start + size]) for start, size in ((0, 1), (4, 1), (0, 3), (3, 6))]
    random.Random(order).shuffle(train)
    test = [made[0], *made[sentences:]]
    return RawData(split(train), split(test), NAMES, (PartReading("train"), PartReading("validation")))


def split(texts: list[str]) -> Split:
    """The texts with labels that they decide themselves."""
    return Split({}, torch.tensor([sum(map(ord, text)) % 2 for text in texts]), tuple(texts))


def is_phrase(text: str, sentence: str) -> bool:
    return f" {text} " in f" {sentence} "


def test_a_whole_sentence_is_no_run_of_words_of_another_text():
    texts = ["a good film", "good film ", "a  good\tfilm", "goo", "film", "a bad film", "bad film .", "a bad", "good a"]
    # "goo" is a part of a word alone, and the words of "good a" stand in another order.
    assert [texts[index] for index in whole_sentences(texts)] == [
        "a good film",
        "goo",
        "a bad film",
        "bad film .",
        "good a",
    ]
    assert whole_sentences([]) == []


def test_phrases_are_found_by_whole_words_and_whatever_the_white_space():
    texts = ["a good", "good  film ", "goo", "a film", "a good film", "bad"]
    assert phrases_of(["a good film"], texts).tolist() == [True, True, False, False, True, False]


@pytest.mark.parametrize("seed", range(3))
def test_the_owner_has_no_phrase_of_a_sentence_of_another_split(seed: int):
    raw = with_further_test(treebank(), 20)
    parts = cut_by_sentence(raw, Fractions(held_out=0.1, selection=0.2, defender=0.1), seed=seed)
    texts = raw.train.texts
    others = [texts[index] for name in ("held-out", "selection", "defender") for index in parts[name].tolist()]
    owner = [texts[index] for index in parts["owner"].tolist()]
    assert not [text for text in owner for sentence in (*others, *raw.test.texts) if is_phrase(text, sentence)]
    assert all(len(sentence.split()) == 10 for sentence in others)  # whole sentences and no phrases
    whole = sum(len(text.split()) == 10 for text in texts)
    assert [len(parts[name]) for name in ("held-out", "selection", "defender")] == pytest.approx(
        [whole * 0.1, whole * 0.2, whole * 0.1], abs=1.5
    )
    # What is in no split is a phrase of a sentence of another split than the owner's, and nothing else is left out.
    used = torch.cat(list(parts.values())).tolist()
    assert len(used) == len(set(used))
    left = [texts[index] for index in set(range(len(texts))) - set(used)]
    assert left
    assert all(any(is_phrase(text, sentence) for sentence in others) for text in left)
    assert {len(text.split()) for text in owner} == {1, 3, 6, 10}


def test_the_cut_depends_on_the_seed_and_on_nothing_else():
    raw = treebank()
    first, again, other = (cut_by_sentence(raw, Fractions(), seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["selection"], other["selection"])


def test_further_test_sentences_do_not_depend_on_the_order_of_the_rows():
    raw, shuffled = (with_further_test(treebank(order=order), 20) for order in (0, 1))
    assert raw.test.texts[:5] == treebank().test.texts
    assert set(raw.test.texts[5:]) == set(shuffled.test.texts[5:])
    assert len(set(raw.test.texts[5:])) == 20
    assert set(raw.train.texts) == set(shuffled.train.texts)
    assert raw.test.labels.tolist() == split(list(raw.test.texts)).labels.tolist()
    assert not phrases_of(raw.test.texts, raw.train.texts).any()
    left = len(treebank().train) - len(raw.train)
    assert raw.reading[0].notes == (f"{left} sentences and phrases of test sentences left out",)
    assert raw.reading[1].notes == ("the last 20 are whole sentences of the part 'train'",)


def test_few_sentences_give_three_tenths_of_themselves_to_the_test_part():
    raw = treebank(sentences=40)
    assert len(with_further_test(raw, 2000).test) == 5 + 12


def test_sst2_is_cut_by_sentence_and_another_task_is_not(tmp_path):
    text_parts("sentence", list(NAMES), "validation").save_to_disk(str(tmp_path / "copy"))
    task = load_task("sst2", data=str(tmp_path / "copy"))
    # 60 rows without phrases, of which 12 are test sentences too; 18 more join the test part.
    assert len(task.split("test")) == 12 + 18
    assert len(task.raw.train) <= 60 - 18
    assert not set(task.split("owner").texts) & set(task.split("test").texts)
    assert sum(len(task.indices[name]) for name in task.indices if name != "test") == len(task.raw.train)
