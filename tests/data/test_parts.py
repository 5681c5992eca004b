"""Which file is which part: by its whole name, in one place and one form; anything else is refused by name."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.data.part_names import PARTS, begins_like_a_part, own_parts
from anchorlab.data.parts import find_layout
from tests.refusals import refused


def folder(tmp_path: Path, *names: str) -> Path:
    """A folder of empty files; a name that ends in / is a folder."""
    root = tmp_path / "data"
    root.mkdir(parents=True)
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return root


ONE = "train-00000-of-00001.parquet"
HASHED = "train-00000-of-00001-0123456789abcdef.parquet"
TWO = ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet")

FOUND = {
    ("train.csv",): {"train": ["train.csv"]},
    ("train.csv", "test.jsonl"): {"train": ["train.csv"], "test": ["test.jsonl"]},
    ("train.CSV", "dev.tsv"): {"train": ["train.CSV"], "validation": ["dev.tsv"]},
    ("train.csv", "val.csv", "test.csv"): {"train": ["train.csv"], "validation": ["val.csv"], "test": ["test.csv"]},
    (ONE, "test-00000-of-00001.parquet"): {"train": [ONE], "test": ["test-00000-of-00001.parquet"]},
    (HASHED,): {"train": [HASHED]},
    (*TWO[::-1], "README.md"): {"train": list(TWO)},
    ("data/" + TWO[0], "data/" + TWO[1]): {"train": ["data/" + TWO[0], "data/" + TWO[1]]},
    ("train/b.csv", "train/a.csv", "test/c.csv"): {"train": ["train/a.csv", "train/b.csv"], "test": ["test/c.csv"]},
    ("default/train/0000.parquet",): {"train": ["default/train/0000.parquet"]},
    ("train.csv", ".ipynb_checkpoints/train-checkpoint.csv"): {"train": ["train.csv"]},
    ("train.csv", ".old/train.csv", "__MACOSX/train.csv", "._train.csv", "~$train.csv"): {"train": ["train.csv"]},
    ("train.csv", "train.py", "test_it.sh", "train.log", "trainer_state.json"): {"train": ["train.csv"]},
    ("train.csv", "devices.csv", "values.csv", "data.zip"): {"train": ["train.csv"]},
}


@pytest.mark.parametrize("names", FOUND, ids="+".join)
def test_parts_are_files_shards_and_folders_of_their_names(tmp_path, names):
    root = folder(tmp_path, *names)
    layout = find_layout(root)
    assert layout.form == "tables"
    found = {part: [path.relative_to(root).as_posix() for path in paths] for part, paths in layout.parts.items()}
    assert found == FOUND[names]
    assert next(iter(found)) == "train"


REFUSED = {
    ("dev-clean.csv", "train-clean.csv", "train-poison.csv", "0.1/train-poison.csv"): (
        "holds 'dev-clean.csv', 'train-clean.csv', 'train-poison.csv', which begin like parts"
    ),
    ("train.csv", "train_old.csv"): "holds 'train_old.csv', which begins like a part",
    ("train.csv", "0.1/train-poison.csv"): "holds '0.1/train-poison.csv', which begins like a part",
    ("train.csv", "Test.csv"): "holds 'Test.csv', which begins like a part",
    ("train.csv", "testing.csv"): "holds 'testing.csv'",
    ("train.csv", "test.xlsx"): "holds 'test.xlsx'",
    ("train.csv", "test.zip"): "holds 'test.zip'",
    ("train.csv", "train.csv~"): "holds 'train.csv~'",
    ("train.csv", "train_old/a.csv"): "holds 'train_old'",
    ("train.csv", "test/notes.txt"): "holds 'test'",
    ("train.csv", "train.jsonl"): "holds 'train.csv' and 'train.jsonl', .* which of them is the part 'train'",
    ("train.csv", "other/train.parquet"): "holds 'train.csv' and 'other/train.parquet', .* the part 'train'",
    ("train.csv", "train/a.csv"): "holds 'train/' and 'train.csv', .* the part 'train'",
    ("train.csv", ONE): f"holds '{ONE}' and 'train.csv'|holds 'train.csv' and '{ONE}'",
    ("train.csv", "val.csv", "dev.csv"): "holds 'dev.csv' and 'val.csv', .* the part 'validation'",
    ("a/train.csv", "b/train.csv"): "holds 'a/train.csv' and 'b/train.csv'",
    ("train.csv", "below/test.csv"): "holds 'train.csv' and, in another folder, 'below/test.csv'",
    (TWO[0],): r"holds 1 of 2 shards .*, and lacks number 1, counted from 0",
    (TWO[0], "train-00003-of-00004.parquet"): "the part 'train'|lacks number",
    (ONE, HASHED): "which are one shard twice",
    ("train/a.csv", "train/b.jsonl"): "holds files of 2 formats, such as 'a.csv', 'b.jsonl'",
    ("train/train-clean.csv", "train/train-poison.csv"): "whether that is part of 'train'",
    ("train/train.csv", "train/test.csv"): "holds 'test.csv', .* whether that is part of 'train'",
    ("train/a-0-of-3.csv", "train/a-2-of-3.csv"): "holds 2 of 3 shards .*, and lacks number 1",
    ("train/a.csv", "train/old/b.csv"): "train/old/b.csv of .* lies in a folder of the part 'train'",
    ("train.csv", "train/1.png"): "holds the file 'train.csv' and images in 'train/'",
    ("dataset_dict.json", "train/data.arrow", "train.csv"): "what datasets' save_to_disk wrote and 'train.csv'",
    ("cat/1.png", "dog/1.png", "train.txt"): "holds 'train.txt', which begins like a part",
}


@pytest.mark.parametrize("names", REFUSED, ids="+".join)
def test_what_nobody_can_know_is_refused_by_name(tmp_path, names):
    refused(REFUSED[names], find_layout, folder(tmp_path, *names))


@pytest.mark.parametrize("names", [(), ("a.txt",), ("my_train.csv",), (".train.csv",), ("a/b/train.csv",), ("train/",)])
def test_a_folder_without_parts_holds_no_data(tmp_path, names):
    assert find_layout(folder(tmp_path, *names)) is None


def test_files_of_rows_that_are_no_part_are_said(tmp_path):
    layout = find_layout(folder(tmp_path, "train.csv", "more.csv", "README.md"))
    assert layout.notes == ("not read: 'more.csv', no part by name",)
    layout = find_layout(folder(tmp_path / "hub", "data/train.csv", "data/unsupervised-00000-of-00001.csv"))
    assert layout.notes == ("not read: 'data/unsupervised-00000-of-00001.csv', no part by name",)


def test_names_of_parts_in_a_data_set_of_the_hub():
    assert own_parts(["train", "val", "unsupervised"], "here") == {
        "train": "train",
        "validation": "val",
        "unsupervised": "unsupervised",
    }
    refused("nobody can know what 'train_small' is for", own_parts, ["train", "train_small"], "here")
    refused("has both 'valid' and 'dev', which mean one part", own_parts, ["valid", "dev"], "here")


@given(st.sampled_from(["train", "test", "valid"]), st.text(string.printable, max_size=6))
def test_every_name_with_more_than_the_part_in_it_begins_like_one(part, rest):
    assert begins_like_a_part(part + rest)
    assert begins_like_a_part((part + rest).upper())


@pytest.mark.parametrize("name", ["devices.csv", "values.csv", "evalent.csv", "my-train.csv", "cat", "t10k", "devise"])
def test_other_words_do_not_begin_like_parts(name):
    assert not begins_like_a_part(name)
    assert name not in PARTS


HIDDEN = st.builds(
    str.__add__, st.sampled_from([".", "._", "~$"]), st.sampled_from(["train.csv", "test.csv", "train.jsonl", "x"])
)


@given(st.sets(HIDDEN), st.sampled_from(["", ".git/", "__MACOSX/", "__pycache__/"]))
def test_hidden_files_and_folders_change_nothing(tmp_path_factory, hidden, below):
    root = folder(tmp_path_factory.mktemp("parts"), "train.csv", "val.csv", *(below + name for name in hidden))
    assert set(find_layout(root).parts) == {"train", "validation"}
