"""A task: its splits, the examples drawn from them, their hashes and statistics."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from anchorlab.data.cut import Fractions, cut_splits
from anchorlab.data.named import TASKS
from anchorlab.data.split import RawData, Split, index_hash
from anchorlab.data.task import Task, TaskDefinition
from anchorlab.errors import AnchorlabError

PARTS = ("owner", "held-out", "selection", "defender")


def make_task(count: int = 2000, *, channels: int = 1, seed: int = 0) -> Task:
    pixels = torch.randint(0, 256, (count, channels, 4, 4), generator=torch.Generator().manual_seed(7))
    train = Split({"pixel_values": pixels.to(torch.uint8)}, torch.arange(count) % 10)
    raw = RawData(train=train, test=train.select(torch.arange(5)), classes=tuple("0123456789"))
    definition = TaskDefinition(
        name="made-up", load=lambda data: raw, architecture="resnet-tiny", epochs=1, description="for tests"
    )
    indices = cut_splits(train.labels, definition.fractions, seed=seed) | {"test": torch.arange(5)}
    return Task(definition=definition, raw=raw, seed=seed, indices=indices)


def test_splits_hold_the_examples_of_their_indices():
    task = make_task()
    for name in PARTS:
        split = task.split(name)
        assert torch.equal(split.labels, task.raw.train.labels[task.indices[name]])
        assert torch.equal(split.inputs["pixel_values"], task.raw.train.inputs["pixel_values"][task.indices[name]])
    assert task.split("test") is task.raw.test


def test_an_unknown_split_names_the_nearest():
    with pytest.raises(AnchorlabError, match="unknown split 'ownr': did you mean 'owner'"):
        make_task().split("ownr")


def test_fewer_anchors_are_a_part_of_more():
    task = make_task()
    few, many = task.anchor_indices(64, seed=5), task.anchor_indices(640, seed=5)
    assert len(set(many.tolist())) == 640
    assert set(few.tolist()) < set(many.tolist())


def test_anchors_come_from_their_source_and_their_seed():
    task = make_task()
    owner, held_out = task.anchors(64, seed=5), task.anchors(64, seed=5, source="held-out")
    at = task.indices["held-out"][task.anchor_indices(64, seed=5, source="held-out")]
    assert torch.equal(held_out.inputs["pixel_values"], task.raw.train.inputs["pixel_values"][at])
    at = task.indices["owner"][task.anchor_indices(64, seed=5)]
    assert torch.equal(owner.inputs["pixel_values"], task.raw.train.inputs["pixel_values"][at])
    assert not torch.equal(task.anchor_indices(64, seed=5), task.anchor_indices(64, seed=6))


def test_all_anchors_are_the_split_itself():
    task = make_task()
    assert task.anchors(None, seed=5) is task.split("owner")
    assert task.anchor_indices(None, seed=5).tolist() == list(range(1600))


@pytest.mark.parametrize("count", [-1, 0, 1601])
def test_impossible_numbers_of_anchors_are_refused(count):
    message = f"{count:,} anchors are not possible: the split 'owner' of made-up has 1,600 examples; give a number"
    with pytest.raises(AnchorlabError, match=message):
        make_task().anchors(count, seed=0)


def test_hashes_are_of_little_endian_int64():
    assert index_hash(torch.tensor([1, 258])) == hashlib.sha256(b"\1" + bytes(7) + b"\2\1" + bytes(6)).hexdigest()


def test_hashes_name_every_split():
    task = make_task()
    assert task.hashes() == {name: index_hash(at) for name, at in task.indices.items()}
    assert set(task.hashes()) == {*PARTS, "test"}


def test_pixel_statistics_are_those_of_numpy_on_the_owners_images():
    task = make_task(channels=3)
    images = task.split("owner").inputs["pixel_values"].numpy() / 255
    mean, std = task.pixel_statistics
    np.testing.assert_allclose(mean, images.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, images.std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_constant_image_has_a_standard_deviation_one_can_divide_by():
    split = Split({"pixel_values": torch.full((10, 1, 2, 2), 255, dtype=torch.uint8)}, torch.zeros(10).long())
    task = make_task()
    constant = Task(
        definition=task.definition,
        raw=RawData(train=split, test=split, classes=("one",)),
        seed=0,
        indices={"owner": torch.arange(10)},
    )
    assert constant.pixel_statistics == ([1.0], [1e-6])


def test_a_draw_is_a_permutation_of_which_fewer_are_the_beginning():
    task = make_task()
    everything = task.draw("held-out", None, "tests", seed=3)
    assert sorted(everything.tolist()) == list(range(200))
    assert task.draw("held-out", 7, "tests", seed=3).tolist() == everything[:7].tolist()
    assert task.draw("held-out", 7, "others", seed=3).tolist() != everything[:7].tolist()
    assert task.draw("held-out", 7, "tests", seed=4).tolist() != everything[:7].tolist()


def test_a_draw_of_what_is_not_there_says_what_there_is():
    with pytest.raises(AnchorlabError, match="2,000 queries are not possible: the split 'test' of made-up has 5 exam"):
        make_task().draw("test", 2000, seed=0, what="queries")
    with pytest.raises(AnchorlabError, match="0 examples are not possible"):
        make_task().check_count("owner", 0)


def test_a_split_without_examples_says_how_many_it_takes():
    """A twentieth of 10, rounded to the even number, is none."""
    split = Split({"pixel_values": torch.zeros(10, 1, 2, 2, dtype=torch.uint8)}, torch.arange(10) % 2)
    indices = cut_splits(split.labels, Fractions(), seed=0) | {"test": torch.arange(10)}
    task = Task(TASKS["fashion-mnist"], RawData(split, split, ("a", "b")), 0, indices)
    with pytest.raises(AnchorlabError, match=r"'selection' of .* 5% of the 10 that .* give 11 or more"):
        task.check_filled("selection")
    with pytest.raises(AnchorlabError, match="give 11 or more"):
        task.draw("selection", None, "a purpose", seed=0)


def test_a_split_that_single_examples_leave_empty_says_so():
    split = Split({"pixel_values": torch.zeros(30, 1, 2, 2, dtype=torch.uint8)}, torch.arange(30))
    indices = cut_splits(split.labels, Fractions(), seed=0)
    task = Task(TASKS["fashion-mnist"], RawData(split, split, tuple(map(str, range(30)))), 0, indices)
    with pytest.raises(AnchorlabError, match="two or more of some class"):
        task.check_filled("selection")


def test_the_classes_that_a_split_lacks_are_named():
    split = Split({"pixel_values": torch.zeros(9, 1, 2, 2, dtype=torch.uint8)}, torch.tensor([0, 2] * 4 + [1]))
    indices = {"owner": torch.arange(8), "selection": torch.tensor([8])}
    task = Task(TASKS["digits"], RawData(split, split, ("a", "b", "c")), 0, indices)
    assert (task.lacking("owner"), task.lacking("selection")) == (("b",), ("a", "c"))
