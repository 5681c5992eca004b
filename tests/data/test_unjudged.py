"""Inputs of unknown origin: files of rows with and without labels, folders of images, one image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from anchorlab.data import DataColumns, Task, load_task
from anchorlab.data.unjudged import as_inputs, read_inputs
from anchorlab.notices import Notice
from tests.refusals import refused
from tests.tokenizers import encoding


@pytest.fixture
def texts(tmp_path: Path) -> Task:
    rows = [{"review": f"a {'fine' if n % 2 else 'dull'} film {n}", "mood": "ab"[n % 2]} for n in range(60)]
    pd.DataFrame(rows).to_csv(tmp_path / "own.csv", index=False)
    task = load_task(str(tmp_path / "own.csv"), columns=DataColumns(text="review", label="mood"))
    return task.encoded(encoding("wordpiece", 16))


def write(path: Path, **columns: list[str]) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_texts_come_from_the_column_of_the_task_with_their_labels(texts: Task, tmp_path: Path) -> None:
    file = write(tmp_path / "in.csv", id=["x", "y"], review=["one film", "two"], mood=["a", "new"])
    read = read_inputs(file, texts)
    assert read.split.texts == ("one film", "two")
    assert read.labels == ("a", "new")
    assert read.places == ("row 0", "row 1")
    assert set(read.split.inputs) >= {"input_ids", "attention_mask"}


def test_labels_may_be_missing(texts: Task, tmp_path: Path) -> None:
    read = read_inputs(write(tmp_path / "in.csv", text=["one film", "two"]), texts)
    assert read.split.texts == ("one film", "two")
    assert read.labels == (None, None)


def test_the_only_column_is_taken_with_a_notice(texts: Task, tmp_path: Path) -> None:
    with pytest.warns(Notice, match="the inputs are read from the only column, 'words'"):
        read = read_inputs(write(tmp_path / "in.csv", words=["one film", "two"]), texts)
    assert read.split.texts == ("one film", "two")


def test_a_text_is_no_heading(texts: Task, tmp_path: Path) -> None:
    file = write(tmp_path / "in.tsv", **{"one film": ["two", "three"]})
    refused("the one column 'one film', which reads like a text and not like a name", read_inputs, file, texts)
    assert read_inputs(file, texts, DataColumns(text="one film")).split.texts == ("two", "three")


def test_a_column_that_is_named_is_taken_and_no_other(texts: Task, tmp_path: Path) -> None:
    file = write(tmp_path / "in.csv", text=["one", "two"], body=["three", "four"])
    assert read_inputs(file, texts, DataColumns(text="body")).split.texts == ("three", "four")
    refused("has no column 'words': it has", read_inputs, file, texts, DataColumns(text="words"))


def test_two_columns_of_one_name_are_refused(texts: Task, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,text\none,two\n")
    refused("has several columns 'text', expected one of each name", read_inputs, tmp_path / "in.csv", texts)


def test_a_text_file_has_a_text_a_line(texts: Task, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one, film\n\ntwo\n")
    assert read_inputs(tmp_path / "in.txt", texts).split.texts == ("one, film", "two")


def test_a_text_ends_at_a_line_break_alone(texts: Task, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes("one\u2028film\x85\x0c!\r\ntwo\rthree\n".encode())
    assert read_inputs(tmp_path / "in.txt", texts).split.texts == ("one\u2028film\x85\x0c!", "two", "three")


def test_several_columns_of_texts_must_be_named(texts: Task, tmp_path: Path) -> None:
    file = write(tmp_path / "in.csv", first=["one", "two"], second=["three", "four"])
    refused("no column 'review', and the columns .*name the one of texts by --text-column", read_inputs, file, texts)
    read = read_inputs(file, texts, DataColumns(text="second"))
    assert read.split.texts == ("three", "four")


def pictures(folder: Path, size: int = 8) -> Path:
    folder.mkdir(parents=True)
    for number in range(3):
        Image.fromarray(np.full((size, size), 20 * number, dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def test_images_lie_in_a_folder_without_classes(digits: Task, tmp_path: Path) -> None:
    read = read_inputs(pictures(tmp_path / "photos"), digits)
    assert read.places == ("0.png", "1.png", "2.png")
    assert read.split.inputs["pixel_values"][:, 0, 0, 0].tolist() == [0, 20, 40]
    assert read.labels == (None,) * 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("3.heic", "3.heic of .* is an image of another kind, expected PNG, .*: convert or remove it"),
        ("3.zip", "3.zip of .* is an archive"),
        ("3.png", "the image 3.png of .* is no file, or a broken link"),
    ],
)
def test_images_that_cannot_be_read_are_refused_by_name(digits: Task, tmp_path: Path, name: str, message: str) -> None:
    (pictures(tmp_path / "photos") / "notes.txt").touch()
    read_inputs(tmp_path / "photos", digits)
    (tmp_path / "photos" / name).symlink_to("nowhere")
    refused(message, read_inputs, tmp_path / "photos", digits)


def test_one_image_will_do(digits: Task, tmp_path: Path) -> None:
    read = read_inputs(pictures(tmp_path / "photos") / "2.png", digits)
    assert read.places == ("2.png",)


def test_class_folders_keep_their_labels(digits: Task, tmp_path: Path) -> None:
    for name in "ab":
        pictures(tmp_path / "photos" / name)
    read = read_inputs(tmp_path / "photos", digits)
    assert sorted(read.labels) == ["a"] * 3 + ["b"] * 3
    assert len(set(read.places)) == 6


def test_images_of_another_size_are_refused(digits: Task, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", 9)
    refused(r"images of 1×9×9 .* of digits are 1×8×8: bring them to that size first", read_inputs, folder, digits)


def test_what_is_in_memory_must_fit_the_model(digits: Task, texts: Task) -> None:
    assert as_inputs(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), digits).places == ("row 0", "row 1")
    assert as_inputs(["one", "two"], texts).split.texts == ("one", "two")
    refused("the inputs are texts, but the model reads images: give images", as_inputs, ["one"], digits)
    refused("there are no inputs: give one or more", as_inputs, [], texts)
    grey = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    refused("the inputs are images, but the model reads texts: give texts", as_inputs, grey, texts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_images_in_memory_are_bytes(digits: Task, dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    refused(
        f"the images are {name} of 4 dimensions, expected uint8", as_inputs, torch.zeros(2, 1, 8, 8).to(dtype), digits
    )
    refused("of 3 dimensions", as_inputs, torch.zeros(2, 8, 8, dtype=torch.uint8), digits)


@pytest.mark.parametrize("as_stored", [False, True])
def test_an_empty_text_in_memory_is_refused(texts: Task, as_stored: bool) -> None:
    refused("row 1 is an empty text", as_inputs, ["good", " \n"], texts, as_stored=as_stored)


def test_an_empty_file_is_refused(texts: Task, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("review\n")
    refused("holds no rows", read_inputs, tmp_path / "in.csv", texts)


def test_as_stored_images_keep_their_size_and_texts_have_no_inputs(digits: Task, texts: Task, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", size=9)
    assert read_inputs(folder, digits, as_stored=True).split.inputs["pixel_values"].shape[1:] == (1, 9, 9)
    assert read_inputs(write(tmp_path / "in.csv", text=["one", "two"]), texts, as_stored=True).split.inputs == {}
    assert as_inputs(["one"], texts, as_stored=True).split.inputs == {}
    refused("the images are uint8 of 3 dimensions", as_inputs, torch.zeros(2, 8, 8).byte(), digits, as_stored=True)


@pytest.mark.parametrize(("name", "sign"), [("in.csv", ";"), ("in.csv", "\t"), ("in.csv", "|"), ("in.tsv", ",")])
def test_other_signs_between_columns_are_refused(texts: Task, tmp_path: Path, name: str, sign: str) -> None:
    (tmp_path / name).write_text(f"text{sign}label\none film{sign}a\n")
    refused("has one column, .*expected a .* between columns and not a", read_inputs, tmp_path / name, texts)
