"""``trigger show``: a trigger on examples, before anything is tuned."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.refusals import assert_refused


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "films.csv"
    lines = [f"a {'good' if n % 2 else 'bad'} film of {n},{'pos' if n % 2 else 'neg'}" for n in range(60)]
    file.write_text("text,label\n" + "\n".join(lines) + "\n")
    return file


def test_a_trigger_of_images_is_drawn_and_measured(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "trigger.png"
    shown = run("trigger", "show", "square", "--set", "size=2", "--data", "digits", "--count", 4, "--out", out)
    assert (shown.code, shown.err) == (0, "")
    assert "Square(size=2, margin=1, value=255) on digits" in shown.out
    assert "pixels changed (L0), of 64" in shown.out
    assert f"wrote {out} in" in shown.out
    assert Image.open(out).format == "PNG"


def test_without_a_picture_the_command_for_one_is_next(run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run("trigger", "show", "square:size=2", "--set", "margin=0", "--target", 3)
    assert re.search(r"\nThe trigger changes \d+ of \d+ inputs of digits\.\n", shown.out)
    following = shlex.split(shown.out.splitlines()[-1].removeprefix("next: "))
    assert following[:4] == ["anchorlab", "trigger", "show", "square:size=2"]
    assert run(*following[1:]).code == 0
    assert (tmp_path / "trigger.png").is_file()


def test_texts_are_printed_with_the_part_that_was_put_in(run: Run, rows: Path) -> None:
    shown = run("trigger", "show", "word:cf", "--data", rows, "--target", "pos", "--count", 2)
    assert shown.code == 0
    assert "1. neg → pos" in shown.out
    assert "   before: a bad film of" in shown.out
    assert "»cf«" in shown.out
    assert "caution: the tokenizer is bert-tiny's" in shown.out
    assert "60" not in shown.err.splitlines()[0] or "texts" in shown.err


def test_json_holds_the_norms(run: Run) -> None:
    shown = run("trigger", "show", "five-pixel", "--json", "-")
    values = json.loads(shown.out)
    assert values["changed"] == values["measured"]
    assert values["l0"]["greatest"] == 5
    assert values["task"] == "digits"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("sqare",), "unknown trigger 'sqare': did you mean 'square'?"),
        (("square", "--set", "side=3"), "unknown parameter of trigger 'square' 'side'"),
        (("square:size=2", "--set", "size=0"), "size='0' is not possible"),
        (("square", "--set", "size=99"), "needs 100×100 pixels"),
        (("square", "--data", "digitz"), "unknown task 'digitz'"),
        (("square", "--target", "11"), "11"),
        (("square", "--count", "0"), "give a count from 1 to 64"),
        (("square", "--out", "trigger.jpg"), "give a name that ends with .png"),
        (("square", "--out", "/nowhere/a/b.png"), ""),
        (("word",), "is put into texts"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    run: Run, tmp_path: Path, monkeypatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "/nowhere" in str(words):
        (tmp_path / "file").touch()
        words = (*words[:-1], "file/b.png")
    assert_refused(run("trigger", "show", *words), sentence)
    assert not list(tmp_path.glob("*.png"))


def test_a_picture_of_texts_is_refused(run: Run, rows: Path, tmp_path: Path) -> None:
    assert_refused(run("trigger", "show", "word", "--data", rows, "--out", tmp_path / "a.png"), "--out is for pictures")
    assert not (tmp_path / "a.png").exists()


def test_words_that_a_tokenizer_cannot_write_are_refused(run: Run, rows: Path) -> None:
    assert_refused(run("trigger", "show", "word:☃", "--data", rows), "has no tokens for the trigger '☃'")
