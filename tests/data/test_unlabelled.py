"""A test part without labels is named, with the part that would serve in its place and how."""

from __future__ import annotations

import math

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from anchorlab.data import DataColumns, load_task
from tests.data.copies import refused

TEXTS = DataColumns(text="text")


def part(labels: list[object], feature: object | None = None) -> Dataset:
    rows = {"text": [f"text {row}" for row in range(len(labels))], "label": labels}
    return Dataset.from_dict(rows, features=Features({"text": Value("string"), "label": feature}) if feature else None)


TRUE = [0, 1] * 20


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_hidden_labels_are_named_with_the_part_that_serves(tmp_path, form):
    """As in GLUE: the labels of the test part are all -1, and the validation part has true ones."""
    feature = ClassLabel(names=["negative", "positive"]) if form == "parquet" else None
    for name, labels in {"train": TRUE, "validation": TRUE[:10], "test": [-1] * 10}.items():
        getattr(part(labels, feature), f"to_{form}")(tmp_path / f"{name}.{form}")
    message = (
        rf"the part 'test' has no labels in the column 'label' \(all are -1, .*\), .*: move 'test.{form}' out of the "
        "folder, then the part 'validation' serves as the test part"
    )
    refused(message, tmp_path, TEXTS)
    (tmp_path / f"test.{form}").unlink()
    raw = load_task(str(tmp_path), columns=TEXTS).raw
    assert [of.part for of in raw.reading] == ["train", "validation"]
    assert raw.test.labels.tolist() == TRUE[:10]


@pytest.mark.parametrize(("labels", "found"), [([None] * 4, "None"), ([math.nan] * 4, "nan"), ([""] * 4, "empty")])
def test_missing_labels_and_a_missing_column_are_named(tmp_path, labels, found):
    part(["a", "b"] * 20).to_parquet(tmp_path / "train.parquet")
    part(labels).to_parquet(tmp_path / "test.parquet")
    refused(rf"\(all are {found}, .*: move 'test.parquet' out .*, then a fifth of 'train' serves", tmp_path, TEXTS)
    part(labels).remove_columns("label").to_parquet(tmp_path / "test.parquet")
    refused(r"the part 'test' has no labels in the column 'label' \(there is no such column\)", tmp_path, TEXTS)


def test_minus_one_is_a_class_where_training_has_it(tmp_path):
    part([-1, 0, 1] * 20).to_parquet(tmp_path / "train.parquet")
    part([-1] * 4).to_parquet(tmp_path / "test.parquet")
    assert load_task(str(tmp_path), columns=TEXTS).raw.test.labels.tolist() == [0] * 4


def test_a_part_that_names_another_class_has_labels(tmp_path):
    DatasetDict(
        train=part(TRUE, ClassLabel(names=["a", "b"])), test=part([0] * 4, ClassLabel(names=["c"]))
    ).save_to_disk(str(tmp_path / "saved"))
    refused("part 'test', row 0 has the label 'c', which is not one of the classes", tmp_path / "saved", TEXTS)


def test_each_part_numbers_its_classes_by_itself(tmp_path):
    part([0, 1, 2] * 20, ClassLabel(names=["anger", "joy", "sadness"])).to_parquet(tmp_path / "train.parquet")
    part([0, 1, 1], ClassLabel(names=["joy", "sadness"])).to_parquet(tmp_path / "test.parquet")
    raw = load_task(str(tmp_path), columns=TEXTS).raw
    assert [raw.classes[label] for label in raw.test.labels] == ["joy", "sadness", "sadness"]
