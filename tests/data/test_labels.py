"""Labels as people write them become classes, or are refused with what is wrong with them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.data.labels import Labels, counted, decide_classes, in_order, label_index, numbered_labels, read_labels
from tests.refusals import refused


def classes_of(values, **others) -> tuple[str, ...]:
    parts = {"train": read_labels(values, "here")}
    return decide_classes(parts | {part: read_labels(of, part) for part, of in others.items()})


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["pos", "neg", "pos"], ("neg", "pos")),
        ([1, 3, 2, 5, 4], ("1", "2", "3", "4", "5")),
        ([0, 1], ("0", "1")),
        ([str(number) for number in range(12)], tuple(str(number) for number in range(12))),
        ([-1, 0, 1], ("-1", "0", "1")),
        ([10.0, 9.0, 11.0], ("9", "10", "11")),
        ([True, False], ("False", "True")),
        (["1_0", "10", "1_1"], ("10", "1_0", "1_1")),
        (["01", "1", "2"], ("01", "1", "2")),
        (["00", "01", "02"], ("00", "01", "02")),
        (["2", "10", "unknown"], ("10", "2", "unknown")),
        (["1", "+1", "1.0"], ("+1", "1", "1.0")),
        (["NA", "null", "nan"], ("NA", "nan", "null")),
        ([" pos", "neg"], (" pos", "neg")),
    ],
)
def test_names_are_texts_and_whole_numbers_have_their_order(values, names):
    assert classes_of(values) == names
    whole = [str(int(value)) if type(value) is float else str(value) for value in values]
    assert [names[index] for index in read_labels(values, "here").indices(names)] == whole


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", None], "here, row 1 has no label: give one"),
        (["a", ""], "row 1 has no label"),
        (["a", "  "], "row 1 has no label"),
        ([1, math.nan], "row 1 has no label"),
        ([1, 2, 4], "has the labels 1, 2, 4, which leave numbers out: number the classes without gaps"),
        ([0.5, 1.0], "has the label 0.5, expected a text or a whole number: round the ratings"),
        (["a", "a"], "has the one label 'a', expected two classes or more"),
        ([[1], [2]], r"has the label \[1\], expected a text or a whole number"),
        (["pos", "neg", "Pos"], "has the labels 'Pos' and 'pos', which differ in case, outer spaces"),
        (["pos", "neg", "pos "], "has the labels 'pos' and 'pos ', which differ in case, outer spaces"),
        (["caf\u00e9", "cafe\u0301"], "which differ in case, outer spaces or the encoding of signs alone"),
        ([f"text {row}" for row in range(200)], "has 200 labels in 200 rows, .*: name the column of labels"),
    ],
)
def test_what_cannot_be_used_is_named(values, message):
    refused(message, classes_of, values)


def test_a_part_may_lack_classes_and_never_has_others():
    assert classes_of(["a", "b", "c"], test=["c", "c"]) == ("a", "b", "c")
    with_other = read_labels(["a", "c"], "there")
    refused(
        "there, row 1 has the label 'c', which is not one of the classes, expected 'a', 'b'", with_other.indices, "ab"
    )
    refused("has the labels 'B' and 'b', which differ in case", classes_of, ["a", "b"], test=["B"])


def test_numbers_where_training_has_names_are_explained():
    refused(
        "expected 'neg', 'pos': write names in place of numbers", read_labels(["0", "1"], "a").indices, ["neg", "pos"]
    )


def test_whole_numbers_with_a_decimal_point_are_said():
    assert read_labels([1.0, 2.0, None], "here").notes == (
        "2 labels are stored with a decimal point: read as whole numbers",
    )
    assert read_labels(["1.0"], "here").notes == ()


def test_numbers_are_translated_by_the_names_of_each_part():
    train = numbered_labels([0, 1, 2, 0], ["anger", "joy", "sadness"], "train")
    test = numbered_labels([0, 1], ["joy", "sadness"], "test")
    classes = decide_classes({"train": train, "test": test})
    assert classes == ("anger", "joy", "sadness")
    assert test.indices(classes).tolist() == [1, 2]
    other = numbered_labels([0, 2, 1], ["z", "b", "a"], "train")
    assert decide_classes({"train": other}) == ("z", "b", "a")


def test_a_numbered_label_that_is_missing_or_without_a_name_is_named():
    labels = numbered_labels([0, -1, 1], ["a", "b"], "here")
    refused("here, row 1 has no label", decide_classes, {"train": labels})
    refused("here, row 1 has the label 2, expected a number from 0 to 1", numbered_labels, [0, 2], ["a", "b"], "here")
    assert isinstance(labels, Labels)


@pytest.mark.parametrize(
    ("values", "indices"), [(["0", "1"], [0, 1]), ([1, 0], [1, 0]), ([1.0], [1]), (["neg", "pos"], [0, 1])]
)
def test_known_classes_are_meant_by_number_or_name(values, indices):
    assert counted(read_labels(values, "here"), ("neg", "pos")).tolist() == indices


@pytest.mark.parametrize("values", [[2], ["1", "neg"], ["good"], ["01"]])
def test_what_is_no_known_class_is_refused(values):
    refused("is not one of the classes, expected", counted, read_labels(values, "here"), ("neg", "pos"))


@given(st.sets(st.integers(-50, 50), min_size=1))
def test_whole_numbers_are_in_their_order(numbers):
    assert in_order([str(number) for number in numbers], "here") == tuple(str(number) for number in sorted(numbers))


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=5)))
def test_a_text_keeps_its_spelling_or_is_missing(texts):
    assert list(read_labels(texts, "here").names) == [text if text.strip() else None for text in texts]


@pytest.mark.parametrize(("label", "index"), [("pos", 1), ("neg", 0), ("1", 1), (0, 0), (None, None), (7, 7)])
def test_a_label_is_meant_by_name_or_number(label, index):
    assert label_index(label, ("neg", "pos")) == index


def test_a_name_goes_before_a_number():
    """Of one to five stars, '3' is the class of three stars, which is number 2."""
    assert label_index("3", ("1", "2", "3", "4", "5")) == 2


def test_a_label_that_is_nothing_is_named():
    refused("the label 'good' is not one of the task's: give one of 'neg', 'pos'", label_index, "good", ("neg", "pos"))
