"""Splits are known by what they hold: any other order, pixel, word or name of a class is noticed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch

from anchorlab.data.contents import content_hash, content_hashes
from anchorlab.data.split import RawData, Split

ALL = torch.arange(3)


def images(**changes) -> Split:
    pixels = torch.arange(36, dtype=torch.uint8).view(3, 3, 2, 2)
    return replace(Split({"pixel_values": pixels}, torch.tensor([0, 1, 0])), **changes)


def texts(*values: str) -> Split:
    return Split({}, torch.tensor([0, 1, 0]), values or ("one", "two", "drei"))


def test_the_hash_of_images_is_the_documented_one():
    split = images()
    expected = hashlib.sha256()
    for pixels, name in zip(split.inputs["pixel_values"], ("cat", "hound", "cat"), strict=True):
        for size in (3, 2, 2):
            expected.update(size.to_bytes(8, "little"))
        expected.update(bytes(pixels.flatten().tolist()))
        expected.update(len(name).to_bytes(8, "little") + name.encode())
    assert content_hash(split, ("cat", "hound"), ALL) == expected.hexdigest()


def test_the_hash_of_texts_is_the_documented_one():
    expected = hashlib.sha256()
    for text, name in (("drei", "a"), ("tw\u00f6", "b")):
        for value in (text, name):
            expected.update(len(value.encode()).to_bytes(8, "little") + value.encode())
    assert content_hash(texts("one", "tw\u00f6", "drei"), ("a", "b"), torch.tensor([2, 1])) == expected.hexdigest()


@pytest.mark.parametrize(
    ("part", "classes", "indices"),
    [
        (images(), ("a", "c"), ALL),
        (images(), ("b", "a"), ALL),
        (images(), ("a", "b"), torch.tensor([1, 0, 2])),
        (images(), ("a", "b"), torch.tensor([2, 1, 0])),
        (images(), ("a", "b"), torch.tensor([0, 1])),
        (images(labels=torch.tensor([0, 1, 1])), ("a", "b"), ALL),
        (images(inputs={"pixel_values": torch.arange(36, dtype=torch.uint8).view(3, 3, 1, 4)}), ("a", "b"), ALL),
        (images(inputs={"pixel_values": torch.arange(1, 37, dtype=torch.uint8).view(3, 3, 2, 2)}), ("a", "b"), ALL),
    ],
    ids=["name", "names-exchanged", "order", "order-in-class", "fewer", "label", "shape", "pixels"],
)
def test_another_content_has_another_hash(part, classes, indices):
    assert content_hash(part, classes, indices) != content_hash(images(), ("a", "b"), ALL)


def test_the_number_of_a_class_does_not_count():
    """A model may have its classes in another order than the data."""
    turned = images(labels=torch.tensor([1, 0, 1]))
    assert content_hash(turned, ("b", "a"), ALL) == content_hash(images(), ("a", "b"), ALL)


def test_texts_are_kept_apart():
    first, second = texts("ab", "c", "d"), texts("a", "bc", "d")
    assert content_hash(first, ("x", "y"), ALL) != content_hash(second, ("x", "y"), ALL)
    assert content_hash(texts("\ud800", "b", "c"), ("x", "y"), ALL)  # half of a surrogate pair is hashed too


def test_each_split_has_a_hash_of_its_own_part(monkeypatch):
    raw = RawData(images(), texts(), ("a", "b"))
    indices = {"owner": torch.tensor([0, 2]), "test": ALL}
    hashes = content_hashes(raw, indices)
    assert hashes["owner"] == content_hash(images(), ("a", "b"), torch.tensor([0, 2]))
    assert hashes["test"] == content_hash(texts(), ("a", "b"), ALL)
    monkeypatch.setattr("anchorlab.data.contents.content_hash", None)  # what is known is not hashed again
    assert content_hashes(raw, indices) == hashes
