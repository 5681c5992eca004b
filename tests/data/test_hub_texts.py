"""Named text tasks of the hub: small local copies of the same columns are read back."""

from __future__ import annotations

import pytest
from datasets import Value

from anchorlab.data import load_task
from anchorlab.errors import AnchorlabError
from tests.data.copies import text_parts

HUB = {
    "sst2": ("sentence", ["negative", "positive"], "validation"),
    "imdb": ("text", ["neg", "pos"], "test"),
    "imdb-2500": ("text", ["neg", "pos"], "test"),
    "ag-news": ("text", ["World", "Sports", "Business", "Sci/Tech"], "test"),
}


@pytest.mark.parametrize("name", HUB)
@pytest.mark.parametrize("form", ["saved", "parquet", "csv"])
def test_local_copies_of_the_hubs_columns_are_read(tmp_path, name, form):
    column, names, test = HUB[name]
    copy = text_parts(column, names, test)
    if form == "saved":
        copy.save_to_disk(str(tmp_path / "copy"))
    else:
        for part, rows in copy.items():
            (tmp_path / "copy").mkdir(exist_ok=True)
            path = str(tmp_path / "copy" / (f"{part}-00000-of-00001.parquet" if form == "parquet" else f"{part}.csv"))
            rows.to_parquet(path) if form == "parquet" else rows.to_csv(path)
    task = load_task(name, data=str(tmp_path / "copy"))
    assert task.kind == "text"
    assert task.split("test").texts[:12] == tuple(f"text {n}" for n in range(12))
    assert task.split("test").labels.tolist()[:12] == [n % len(names) for n in range(12)]
    assert len(task.split("test")) == (12 + 18 if name == "sst2" else 12)  # see test_sentences.py
    assert len(task.classes) == len(names)


def test_a_missing_part_or_a_label_outside_the_classes_is_named(tmp_path):
    text_parts("sentence", ["negative", "positive"], "other").save_to_disk(str(tmp_path / "copy"))
    with pytest.raises(AnchorlabError, match="has the parts 'train', 'other', expected 'train' and 'validation'"):
        load_task("sst2", data=str(tmp_path / "copy"))
    text_parts("sentence", ["a", "b", "c"], "validation", label=Value("int64")).save_to_disk(str(tmp_path / "third"))
    with pytest.raises(AnchorlabError, match="has the label '2', which is not one of the classes, expected '0', '1'"):
        load_task("sst2", data=str(tmp_path / "third"))
