"""Cutting: a partition, in the same proportions class by class, decided by the seed alone; rare classes together."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anchorlab.data.cut import Fractions, cut_splits, fewest_for
from anchorlab.data.split import index_hash
from anchorlab.seeding import generator

PARTS = ("owner", "held-out", "selection", "defender")

labels_strategy = st.lists(st.integers(0, 4), min_size=1, max_size=300).map(torch.tensor)
#: Sizes of classes, with many small ones.
sizes_strategy = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 150)), min_size=1, max_size=90)
fractions_strategy = st.builds(Fractions, *[st.floats(0, 0.3)] * 3)
#: Shares as tasks have them, which leave the owner half of each class or more.
usual_fractions = st.builds(Fractions, *[st.sampled_from([0.0, 0.05, 0.1, 0.15])] * 3)
seeds = st.integers(0, 2**32)


def labels_of(sizes: list[int]) -> torch.Tensor:
    """Classes of the given sizes, one after the other."""
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


def formerly(labels, fractions, *, seed):
    """How splits were cut before rare classes were taken together."""
    shares = {"held-out": fractions.held_out, "selection": fractions.selection, "defender": fractions.defender}
    parts = {name: {} for name in ("owner", *shares)}
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        order = members[torch.randperm(len(members), generator=generator(seed, "cut", label))]
        start = 0
        for name, share in shares.items():
            end = start + round(share * len(members))
            parts[name][label] = order[start:end].sort().values
            start = end
        parts["owner"][label] = order[start:].sort().values
    return parts


@settings(max_examples=50, deadline=None)
@given(sizes=sizes_strategy, fractions=fractions_strategy, seed=seeds)
def test_cut_uses_each_example_exactly_once(sizes, fractions, seed):
    parts = cut_splits(labels_of(sizes), fractions, seed=seed)
    assert set(parts) == set(PARTS)
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(sum(sizes)))


@settings(max_examples=50, deadline=None)
@given(labels=labels_strategy, fractions=fractions_strategy, seed=seeds)
def test_cut_gives_each_class_its_share_within_one_example(labels, fractions, seed):
    parts = cut_splits(labels, fractions, seed=seed)
    for name, share in fractions.by_split.items():
        for label in labels.unique():
            total = (labels == label).sum().item()
            got = (labels[parts[name]] == label).sum().item()
            assert abs(got - share * total) <= 1


@settings(max_examples=50, deadline=None)
@given(sizes=sizes_strategy, fractions=fractions_strategy, seed=seeds)
def test_the_owner_keeps_an_example_of_every_class(sizes, fractions, seed):
    labels = labels_of(sizes)
    assert labels[cut_splits(labels, fractions, seed=seed)["owner"]].unique().tolist() == list(range(len(sizes)))


@settings(max_examples=50, deadline=None)
@given(sizes=sizes_strategy, fractions=usual_fractions, seed=seeds)
def test_what_rounding_gave_to_a_split_is_still_the_same_examples(sizes, fractions, seed):
    """So that the models of data that were cut sensibly stay valid."""
    labels = labels_of(sizes)
    parts, former = cut_splits(labels, fractions, seed=seed), formerly(labels, fractions, seed=seed)
    for name in ("held-out", "selection", "defender"):
        for label, members in former[name].items():
            now = parts[name][labels[parts[name]] == label]
            assert now.tolist() == members.tolist() if len(members) else len(now) <= 1


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(20, 80), min_size=1, max_size=20), seed=seeds)
def test_without_rare_classes_the_cut_is_what_it_was(sizes, seed):
    labels = labels_of(sizes)
    parts, former = cut_splits(labels, Fractions(), seed=seed), formerly(labels, Fractions(), seed=seed)
    for name in PARTS:
        assert parts[name].tolist() == torch.cat(list(former[name].values())).sort().values.tolist()


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(4, 40), min_size=1, max_size=90), fractions=usual_fractions, seed=seeds)
def test_rare_classes_together_give_their_common_share_within_one(sizes, fractions, seed):
    labels = labels_of(sizes)
    parts = cut_splits(labels, fractions, seed=seed)
    for name, share in fractions.by_split.items():
        rare = [label for label, size in enumerate(sizes) if round(share * size) == 0]
        got = sum((labels[parts[name]] == label).sum().item() for label in rare)
        assert abs(got - share * sum(sizes[label] for label in rare)) <= 0.5 + 1e-9


def test_the_largest_of_the_rare_classes_give_first():
    """Twentieths of 9 and of four times 3 are 1.05 together: one example, of the class of 9."""
    parts = cut_splits(labels_of([9, 3, 3, 3, 3]), Fractions(0, 0.05, 0), seed=0)
    assert labels_of([9, 3, 3, 3, 3])[parts["selection"]].tolist() == [0]


def test_chance_decides_between_rare_classes_of_one_size():
    labels = labels_of([8] * 30)
    chosen = {tuple(labels[cut_splits(labels, Fractions(), seed=seed)["selection"]].tolist()) for seed in range(9)}
    assert len(chosen) == 9
    assert all(len(classes) == len(set(classes)) == 12 for classes in chosen)


def test_ten_examples_of_each_of_77_classes_fill_every_split():
    """A tenth of 8, rounded, is one; a twentieth of 616 together is 31."""
    parts = cut_splits(labels_of([8] * 77), Fractions(), seed=0)
    assert [len(parts[name]) for name in PARTS] == [616 - 77 - 31 - 31, 77, 31, 31]


def test_a_class_of_one_example_stays_with_the_owner():
    labels = labels_of([100, 100, 1])
    assert 200 in cut_splits(labels, Fractions(0.3, 0.3, 0.3), seed=0)["owner"].tolist()


@settings(max_examples=25, deadline=None)
@given(sizes=sizes_strategy, fractions=fractions_strategy, seed=seeds)
def test_cut_depends_on_the_seed_alone_and_sorts(sizes, fractions, seed):
    labels = labels_of(sizes)
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


@given(share=st.floats(1e-4, 1))
def test_the_fewest_examples_for_a_share_are_just_enough(share):
    fewest = fewest_for(share)
    assert round(share * fewest) >= 1
    assert fewest == 1 or round(share * (fewest - 1)) == 0


@given(st.integers(0, 50))
def test_equal_rare_classes_give_in_turn(seed):
    """Three classes of four give one example to each of three splits, and no class gives two."""
    labels = torch.arange(3).repeat_interleave(4)
    cut = cut_splits(labels, Fractions(), seed=seed)
    assert torch.bincount(labels[cut["owner"]]).tolist() == [3, 3, 3]
