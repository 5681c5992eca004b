"""Columns of the user's own data that nobody names: found where there is no doubt, and refused with their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anchorlab import AnchorlabError, DataColumns, load_task
from anchorlab.data.inferred import inferred_columns

ROWS = [("a good film", "good"), ("a bad film", "bad"), ("so so, really", "even")] * 10


def table(folder, *columns: str, rows=ROWS):
    path = folder / "data.csv"
    lines = [",".join(columns), *(",".join(f'"{value}"' for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize(
    "columns", [("text", "label"), ("review", "stars"), ("Review", "Sentiment"), ("what", "label")]
)
def test_columns_with_usual_names_are_found(tmp_path, columns):
    assert inferred_columns(table(tmp_path, *columns)) == DataColumns(text=columns[0], label=columns[1])


def test_of_two_columns_the_one_of_several_words_is_the_text(tmp_path):
    assert inferred_columns(table(tmp_path, "what", "verdict")) == DataColumns(text="what", label="verdict")


def test_a_number_of_the_row_is_neither(tmp_path):
    rows = [(number, *row) for number, row in enumerate(ROWS)]
    assert inferred_columns(table(tmp_path, "id", "what", "verdict", rows=rows)).label == "verdict"


def test_the_column_of_labels_may_be_named_alone(tmp_path):
    rows = [(*row, "x y") for row in ROWS]
    path = table(tmp_path, "text", "verdict", "note", rows=rows)
    assert inferred_columns(path, label="verdict") == DataColumns(text="text", label="verdict")


@pytest.mark.parametrize(
    ("columns", "lacks"),
    [
        (("text", "label", "stars"), "the labels"),
        (("text", "stars", "mood"), "the labels"),
        (("one", "label", "two"), "the texts"),
        (("text", "label", "review"), "the texts"),
        (("one", "two", "three"), "the labels"),
    ],
)
def test_a_doubt_is_refused_with_the_columns(tmp_path, columns, lacks):
    third = {"mood": lambda label: label.upper()}.get(columns[2], lambda _: "again and again")
    rows = [(text, label, third(label)) for text, label in ROWS]
    with pytest.raises(AnchorlabError, match=f"do not say which one holds {lacks}: they are '{columns[0]}'"):
        inferred_columns(table(tmp_path, *columns, rows=rows))


def test_a_task_is_loaded_from_a_file_alone(tmp_path):
    task = load_task(table(tmp_path, "text", "label"))
    assert task.definition.columns == DataColumns(text="text", label="label")
    assert task.classes == ("bad", "even", "good")


def test_a_folder_of_images_needs_no_names(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.fromarray(np.full((8, 8), number, dtype=np.uint8)).save(tmp_path / name / f"{number}.png")
    assert inferred_columns(str(tmp_path)) == DataColumns(image="image")


def test_a_file_without_names_is_refused_and_keeps_its_first_row(tmp_path: Path) -> None:
    with pytest.raises(AnchorlabError, match="reads like a text, 'one more film', and its label, 'good', expected"):
        inferred_columns(table(tmp_path, "one more film", "good"))


def test_a_column_of_labels_may_be_called_as_one_of_them(tmp_path: Path) -> None:
    assert inferred_columns(table(tmp_path, "message", "good")) == DataColumns(text="message", label="good")
    assert inferred_columns(table(tmp_path, "my text", "good"), label="good").text == "my text"
