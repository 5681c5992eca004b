"""Splits and parts of data: what is selected, limited and cut keeps its examples together."""

from __future__ import annotations

import pytest
import torch

from anchorlab.data.reading import PartReading
from anchorlab.data.split import RawData, Split
from anchorlab.errors import AnchorlabError


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


@pytest.mark.parametrize(
    ("count", "wanted"), [(2, "give 3 or more, or a test part"), (60, "give two or more of some class, or a test part")]
)
def test_too_few_examples_for_a_test_part_are_refused(count, wanted):
    """One example of each class, all of which stay in training."""
    split = Split({"pixel_values": torch.arange(count).view(count, 1)}, torch.arange(count))
    with pytest.raises(AnchorlabError, match=f"of {count} examples, none is left for a test part .*: {wanted}"):
        RawData(split, None, tuple(map(str, range(count)))).with_test(3)
