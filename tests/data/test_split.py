"""Cutting: a partition, in the same proportions class by class, decided by the seed alone."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anchorlab.data.reading import PartReading
from anchorlab.data.split import Fractions, RawData, Split, cut_splits, index_hash

PARTS = ("owner", "held-out", "selection", "defender")

labels_strategy = st.lists(st.integers(0, 4), min_size=1, max_size=300).map(torch.tensor)
fractions_strategy = st.builds(Fractions, *[st.floats(0, 0.3)] * 3)
seeds = st.integers(0, 2**32)


@settings(max_examples=50, deadline=None)
@given(labels=labels_strategy, fractions=fractions_strategy, seed=seeds)
def test_cut_uses_each_example_exactly_once(labels, fractions, seed):
    parts = cut_splits(labels, fractions, seed=seed)
    assert set(parts) == set(PARTS)
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(len(labels)))


@settings(max_examples=50, deadline=None)
@given(labels=labels_strategy, fractions=fractions_strategy, seed=seeds)
def test_cut_gives_each_class_its_share_within_one_example(labels, fractions, seed):
    parts = cut_splits(labels, fractions, seed=seed)
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
    first = cut_splits(labels, fractions, seed=seed)
    torch.manual_seed(2)
    second = cut_splits(labels, fractions, seed=seed)
    for name in PARTS:
        assert torch.equal(first[name], second[name])
        assert torch.equal(first[name], first[name].sort().values)


def test_seeds_cut_differently():
    labels = torch.arange(1000) % 10
    hashes = {index_hash(cut_splits(labels, Fractions(), seed=seed)["defender"]) for seed in range(20)}
    assert len(hashes) == 20


def test_one_more_class_does_not_move_the_others():
    few = torch.arange(100) % 2
    more = torch.cat([few, torch.full((50,), 2)])
    first, second = cut_splits(few, Fractions(), seed=3), cut_splits(more, Fractions(), seed=3)
    for name in PARTS:
        assert torch.equal(first[name], second[name][second[name] < 100])


def test_limited_keeps_the_first_of_each_class_in_their_order():
    """Of the labels 0 1 0 0 1, two of each class are the first four but one."""
    split = Split({"pixel_values": torch.arange(5).view(5, 1)}, torch.tensor([0, 1, 0, 0, 1]))
    limited = RawData(split, None, ("a", "b")).limited(2)
    assert limited.train.inputs["pixel_values"].flatten().tolist() == [0, 1, 2, 4]
    assert limited.test is None


def test_a_missing_test_part_is_a_fifth_of_each_class():
    split = Split({"pixel_values": torch.arange(100).view(100, 1)}, torch.arange(100) % 2)
    raw = RawData(split, None, ("a", "b")).with_test(3)
    assert raw.test is not None
    assert raw.test.labels.bincount().tolist() == [10, 10]
    everything = torch.cat([raw.train.inputs["pixel_values"], raw.test.inputs["pixel_values"]])
    assert sorted(everything.flatten().tolist()) == list(range(100))
    assert raw.with_test(4) is raw


def test_select_and_to_keep_texts():
    split = Split({}, torch.tensor([0, 1, 1]), ("a", "b", "c")).select(torch.tensor([2, 0])).to("cpu")
    assert (split.labels.tolist(), split.texts) == ([1, 0], ("c", "a"))


def test_what_was_read_stays_with_the_data_and_a_cut_test_part_says_so():
    split = Split({"pixel_values": torch.arange(40).view(40, 1)}, torch.arange(40) % 2)
    train = PartReading("train", ("a.csv",), ("read as it is",))
    raw = RawData(split, None, ("a", "b"), (train,)).limited(10).with_test(3)
    assert raw.reading == (
        train,
        PartReading("test", (), ("a fifth of each class of the part 'train', cut with the seed 3",)),
    )
