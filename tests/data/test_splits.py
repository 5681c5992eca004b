"""Splits: a partition, in the same proportions class by class, decided by the seed alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anchorlab.data.split import Fractions, RawData, Split, cut
from anchorlab.data.task import Task, TaskDefinition, index_hash
from anchorlab.errors import AnchorlabError

PARTS = ("owner", "held-out", "selection", "defender")

labels_strategy = st.lists(st.integers(0, 4), min_size=1, max_size=300).map(torch.tensor)
fractions_strategy = st.builds(Fractions, *[st.floats(0, 0.3)] * 3)
seeds = st.integers(0, 2**32)


def make_task(count: int = 2000, *, channels: int = 1, seed: int = 0) -> Task:
    pixels = torch.randint(0, 256, (count, channels, 4, 4), generator=torch.Generator().manual_seed(7))
    train = Split({"pixel_values": pixels.to(torch.uint8)}, torch.arange(count) % 10)
    raw = RawData(train=train, test=train.select(torch.arange(5)), classes=tuple("0123456789"))
    definition = TaskDefinition(
        name="made-up", load=lambda data: raw, architecture="resnet-tiny", epochs=1, description="for tests"
    )
    indices = cut(train.labels, definition.fractions, seed=seed) | {"test": torch.arange(5)}
    return Task(definition=definition, raw=raw, seed=seed, indices=indices)


@settings(max_examples=50, deadline=None)
@given(labels=labels_strategy, fractions=fractions_strategy, seed=seeds)
def test_cut_uses_each_example_exactly_once(labels, fractions, seed):
    parts = cut(labels, fractions, seed=seed)
    assert set(parts) == set(PARTS)
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(len(labels)))


@settings(max_examples=50, deadline=None)
@given(labels=labels_strategy, fractions=fractions_strategy, seed=seeds)
def test_cut_gives_each_class_its_share_within_one_example(labels, fractions, seed):
    parts = cut(labels, fractions, seed=seed)
    shares = {
        "held-out": fractions.held_out,
        "selection": fractions.selection,
        "defender": fractions.defender,
    }
    for name, share in shares.items():
        for label in labels.unique():
            total = (labels == label).sum().item()
            got = (labels[parts[name]] == label).sum().item()
            assert abs(got - share * total) < 1


@settings(max_examples=25, deadline=None)
@given(labels=labels_strategy, fractions=fractions_strategy, seed=seeds)
def test_cut_depends_on_the_seed_alone_and_sorts(labels, fractions, seed):
    torch.manual_seed(1)
    first = cut(labels, fractions, seed=seed)
    torch.manual_seed(2)
    second = cut(labels, fractions, seed=seed)
    for name in PARTS:
        assert torch.equal(first[name], second[name])
        assert torch.equal(first[name], first[name].sort().values)


def test_seeds_cut_differently():
    labels = torch.arange(1000) % 10
    hashes = {index_hash(cut(labels, Fractions(), seed=seed)["defender"]) for seed in range(20)}
    assert len(hashes) == 20


def test_one_more_class_does_not_move_the_others():
    few = torch.arange(100) % 2
    more = torch.cat([few, torch.full((50,), 2)])
    first, second = cut(few, Fractions(), seed=3), cut(more, Fractions(), seed=3)
    for name in PARTS:
        assert torch.equal(first[name], second[name][second[name] < 100])


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
