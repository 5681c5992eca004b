"""Texts that their hashes choose."""

from __future__ import annotations

import torch

from anchorlab.data import load_task
from anchorlab.data.by_hash import first_by_hash, with_smaller_test
from anchorlab.data.reading import PartReading
from anchorlab.data.split import RawData, Split
from tests.data.copies import text_parts


def reviews(texts: list[str]) -> Split:
    return Split({}, torch.tensor([int(text.split()[-1]) % 2 for text in texts]), tuple(texts))


def test_the_choice_does_not_depend_on_the_order_and_a_smaller_one_is_a_part_of_a_larger():
    texts = [f"review {number}" for number in range(50)]
    chosen = {texts[index] for index in first_by_hash(texts, 10).tolist()}
    backwards = texts[::-1]
    assert {backwards[index] for index in first_by_hash(backwards, 10).tolist()} == chosen
    assert chosen < {texts[index] for index in first_by_hash(texts, 20).tolist()}
    assert first_by_hash(texts, 10).tolist() != list(range(10))
    assert first_by_hash(texts, 99).tolist() == list(range(50))


def test_the_hash_is_sha_256_of_the_text_in_utf_8():
    # SHA-256 of "abc" begins with ba78, of "b" with 3e23, of "é" with 4a99.
    assert first_by_hash(["abc", "é", "b"], 1).tolist() == [2]
    assert first_by_hash(["abc", "é", "b"], 2).tolist() == [1, 2]


def test_a_smaller_test_part_keeps_its_labels_and_says_what_it_is():
    texts = [f"review {number}" for number in range(50)]
    raw = RawData(reviews(texts), reviews(texts), ("a", "b"), (PartReading("train"), PartReading("test")))
    smaller = with_smaller_test(raw, 10)
    assert len(smaller.test) == 10
    assert smaller.test.labels.tolist() == reviews(list(smaller.test.texts)).labels.tolist()
    assert smaller.train is raw.train
    assert smaller.reading[1].notes == ("10 of 50 texts, chosen by their hashes",)


def test_imdb_2500_reads_what_imdb_reads(tmp_path):
    text_parts("text", ["neg", "pos"], "test").save_to_disk(str(tmp_path / "copy"))
    smaller, whole = (load_task(name, data=str(tmp_path / "copy")) for name in ("imdb-2500", "imdb"))
    assert smaller.split("test").texts == whole.split("test").texts  # because there are no more than 2,500
    assert smaller.split("owner").texts == whole.split("owner").texts
    assert smaller.classes == whole.classes
