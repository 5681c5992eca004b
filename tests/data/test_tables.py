"""Files of rows of any format: shards have the same columns, and each row knows its file."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from pyarrow import parquet

from anchorlab.data import load_task
from anchorlab.data.sources import Source, open_source
from anchorlab.data.tables import read_tables
from tests.data.copies import STARS, frame, refused, written
from tests.refusals import refused as is_refused


def test_shards_are_joined_in_their_order_whatever_the_order_of_their_columns(tmp_path):
    written(tmp_path / "train-00001-of-00002.csv", frame(40, start=60)[["other", "stars", "review"]])
    written(tmp_path / "train-00000-of-00002.csv", frame(60))
    part = open_source(Source(task="mine"), str(tmp_path))["train"]
    assert part.rows["review"][:] == list(frame()["review"])
    assert part.counts == (60, 40)
    assert (part.place(0), part.place(60)) == ("train-00000-of-00002.csv, row 0", "train-00001-of-00002.csv, row 0")


def test_a_row_is_named_with_its_file(tmp_path):
    table = frame(40)
    table.loc[7, "review"] = " "
    written(tmp_path / "train-00000-of-00002.csv", frame())
    written(tmp_path / "train-00001-of-00002.csv", table)
    refused("part 'train', train-00001-of-00002.csv, row 7 holds ' ' in the column 'review'", tmp_path)


def test_shards_with_other_columns_or_names_of_classes_are_refused(tmp_path):
    first, second = tmp_path / "train-00000-of-00002.csv", tmp_path / "train-00001-of-00002.csv"
    written(first, frame(9)), written(second, frame(9).rename(columns={"stars": "Stars"}))
    is_refused(
        "00001-of-00002.csv has the columns .*'Stars'.* but .*00000.* has .*'stars'", read_tables, [first, second]
    )
    files = []
    for names in (["a", "b"], ["b", "a"]):
        features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
        files.append(tmp_path / f"{names[0]}.parquet")
        Dataset.from_dict({"text": ["t"], "label": [0]}, features=features).to_parquet(files[-1])
    is_refused(r"b.parquet stores the column 'label' as ClassLabel\(names=\['b', 'a'\]\)", read_tables, files)


def test_categories_and_whole_numbers_of_pandas_are_labels(tmp_path):
    table = frame().assign(stars=pd.Categorical(["good", "bad"] * 50))
    assert load_task(str(written(tmp_path / "a.parquet", table)), columns=STARS).classes == ("bad", "good")
    table = frame().assign(stars=[1.0, 2.0] * 50)
    raw = load_task(str(written(tmp_path / "b.parquet", table)), columns=STARS).raw
    assert raw.classes == ("1", "2")
    assert raw.reading[0].notes[0] == "100 labels are stored with a decimal point: read as whole numbers"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_two_columns_of_one_name_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.table([pa.array(["a"])] * 3, names=["text", "label", "label"]), path)
    else:
        path.write_text("text,label,label\na,b,c\n".replace(",", "," if suffix == ".csv" else "\t"))
    is_refused(f"a{suffix} has several columns 'label', expected one of each name", read_tables, [path])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
def test_a_file_without_rows_is_refused(tmp_path, suffix):
    path = written(tmp_path / f"a{suffix}", frame(0))
    is_refused(f"a{suffix} holds no rows, expected some", read_tables, [path])


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_texts_and_labels_that_are_words_far_below_only_are_texts(tmp_path, suffix):
    table = pd.DataFrame({"review": [str(n) for n in range(3000)] + ["word"] * 30, "stars": ["01", "2", "3"] * 1010})
    table.loc[3020:, "stars"] = "unknown"
    raw = load_task(str(written(tmp_path / f"a{suffix}", table)), columns=STARS).raw
    assert raw.classes == ("01", "2", "3", "unknown")
    assert sorted([*raw.train.texts, *raw.test.texts]) == sorted(table["review"])
