"""Labels as people write them become classes, or are refused with what is wrong with them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anchorlab.data.labels import class_indices, class_names, label_index
from anchorlab.errors import AnchorlabError


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["pos", "neg", "pos"], ("neg", "pos")),
        ([1, 3, 2, 5, 4], ("1", "2", "3", "4", "5")),
        ([0, 1], ("0", "1")),
        ([10.0, 9.0, 11.0], ("9", "10", "11")),
        (list(np.array([2, 1])), ("1", "2")),
        ([True, False], ("False", "True")),
    ],
)
def test_names_and_indices(values, names):
    assert class_names(values, "here") == names
    found = class_indices(values, names, "here")
    whole = [str(int(value)) if isinstance(value, float) else str(value) for value in values]
    assert [names[index] for index in found] == whole


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", None], "here, row 1 has no label: give one"),
        (["a", ""], "row 1 has no label"),
        ([1, math.nan], "row 1 has no label"),
        (["a", 1, "b"], r"mixes labels that are texts \('[ab]'\) and numbers \(1\)"),
        ([1, 2, 4], "has the labels 1, 2, 4, which leave numbers out: number the classes without gaps"),
        ([0.5, 1.0], "has the label 0.5, expected a text or a whole number: round the ratings"),
        (["a", "a"], "has the one label 'a', expected two classes or more"),
        ([[1], [2]], r"has the label \[1\], expected a text or a whole number"),
    ],
)
def test_what_cannot_be_used_is_named(values, message):
    with pytest.raises(AnchorlabError, match=message):
        class_names(values, "here")


def test_a_label_that_training_lacks_is_named():
    with pytest.raises(AnchorlabError, match="there, row 1 has the label 'c', which no training example has"):
        class_indices(["a", "c"], ("a", "b"), "there")


@pytest.mark.parametrize(("label", "index"), [("pos", 1), ("neg", 0), ("1", 1), (0, 0), (None, None), (7, 7)])
def test_a_label_is_meant_by_name_or_number(label, index):
    assert label_index(label, ("neg", "pos")) == index


def test_a_name_goes_before_a_number():
    """Of one to five stars, '3' is the class of three stars, which is number 2."""
    assert label_index("3", ("1", "2", "3", "4", "5")) == 2


def test_a_label_that_is_nothing_is_named():
    with pytest.raises(AnchorlabError, match="the label 'good' is not one of the task's: give one of 'neg', 'pos'"):
        label_index("good", ("neg", "pos"))
