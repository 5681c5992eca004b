"""Odd inputs of every kind at every place: each gets an answer or a refusal, and none an internal error or no end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.sweep import kinds, places
from tests.sweep.attempt import World, attempt

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]


#: Of the kinds each place takes every sixth one, and the next place others, so that the sweep takes minutes.
_EVERY = 6


def table(commands: str, names: list[str]) -> pytest.MarkDecorator:
    """Every command of a table with kinds of a list; neighbouring commands share the kinds between them."""
    pairs = [
        pytest.param(words, name, id=f"{' '.join(words)[:60]} {name}")
        for number, words in enumerate(places.commands(commands))
        for name in names[number % _EVERY :: _EVERY]
    ]
    return pytest.mark.parametrize(("command", "kind"), pairs)


@table(places.INPUTS, [*kinds.PATHS])
def test_a_path_to_read(world: World, capsys: Capture, command: list[str], kind: str) -> None:
    attempt(world, world.words(command, world.path(kinds.PATHS[kind])), capsys)


@table(places.NEW_FOLDERS, [*kinds.UNWRITABLE, *kinds.FOLDERS, "text file"])
def test_a_new_folder(world: World, capsys: Capture, command: list[str], kind: str) -> None:
    assert attempt(world, world.words(command, world.path(kinds.PATHS[kind])), capsys) == 2


@table(places.FILES, [*kinds.UNWRITABLE, *kinds.FOLDERS])
def test_a_file_to_write(world: World, capsys: Capture, command: list[str], kind: str) -> None:
    assert attempt(world, world.words(command, world.path(kinds.PATHS[kind])), capsys) == 2


@table(places.FILLED_FOLDERS, [*kinds.UNWRITABLE, "text file"])
def test_a_folder_to_fill(world: World, capsys: Capture, command: list[str], kind: str) -> None:
    assert attempt(world, world.words(command, world.path(kinds.PATHS[kind])), capsys) == 2


@table(places.COUNTS, [*kinds.NUMBERS])
def test_a_number(world: World, capsys: Capture, command: list[str], kind: str) -> None:
    attempt(world, world.words(command, kinds.NUMBERS[kind]), capsys)


@table(places.NAMES, [*kinds.TEXTS])
def test_a_name(world: World, capsys: Capture, command: list[str], kind: str) -> None:
    attempt(world, world.words(command, kinds.TEXTS[kind]), capsys)


@pytest.mark.parametrize("kind", kinds.YAML)
def test_a_suite_file(world: World, capsys: Capture, kind: str) -> None:
    content = kinds.YAML[kind]
    Path("odd.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert attempt(world, ["suite", "check", "odd.yaml", "--out", "new", "--no-timing"], capsys) == 2


@pytest.mark.parametrize("value", kinds.VALUES, ids=lambda value: value[:20])
@pytest.mark.parametrize("key", kinds.KEYS)
def test_a_value_in_a_suite_file(world: World, capsys: Capture, key: str, value: str) -> None:
    Path("odd.yaml").write_text(kinds.suite_with(key, value))
    attempt(world, ["suite", "check", "odd.yaml", "--out", "new", "--no-timing"], capsys)


@pytest.mark.parametrize("place", ["reference", "candidate", "labels", "both"])
@pytest.mark.parametrize("kind", kinds.NPY)
def test_an_array(world: World, capsys: Capture, kind: str, place: str) -> None:
    Path("odd.npy").write_bytes(kinds.NPY[kind])
    logits, labels = str(world.places["LOGITS"]), str(world.places["LABELS"])
    words = {
        "reference": ["compare", "odd.npy", logits, "--labels", labels],
        "candidate": ["compare", logits, "odd.npy", "--labels", labels],
        "labels": ["compare", logits, logits, "--labels", "odd.npy"],
        "both": ["compare", "odd.npy", "odd.npy", "--labels", labels],
    }
    attempt(world, words[place], capsys)


@pytest.mark.parametrize("kind", kinds.JSON)
@pytest.mark.parametrize("name", ["config.json", "anchorlab.json"])
@pytest.mark.parametrize("command", places.commands(places.MODELS), ids=lambda words: words[0])
def test_a_file_of_a_model(world: World, capsys: Capture, command: list[str], name: str, kind: str) -> None:
    damaged(world.places["CAND"], name, kinds.JSON[kind])
    attempt(world, world.words(command, "damaged"), capsys)


@pytest.mark.parametrize("kind", kinds.JSON)
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "anchorlab.json"])
@pytest.mark.parametrize("command", places.commands(places.TEXT_MODELS), ids=lambda words: words[0])
def test_a_file_of_a_model_of_texts(world: World, capsys: Capture, command: list[str], name: str, kind: str) -> None:
    damaged(world.places["TEXTREF"], name, kinds.JSON[kind])
    attempt(world, world.words(command, "damaged"), capsys)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("odd", ["pipe", "device", "folder", "loop", "dangling"])
@pytest.mark.parametrize("command", places.commands(places.MODELS), ids=lambda words: words[0])
def test_no_file_in_a_model(world: World, capsys: Capture, command: list[str], name: str, odd: str) -> None:
    shutil.copytree(world.places["CAND"], "damaged")
    path = Path("damaged") / name
    path.unlink()
    if odd == "pipe":
        os.mkfifo(path)
    elif odd == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "loop": path.absolute(), "dangling": "nothing"}[odd])
    attempt(world, world.words(command, "damaged"), capsys)


def damaged(folder: Path, name: str, content: bytes) -> None:
    """A copy of a folder, called ``damaged``, in which one file holds something else."""
    shutil.copytree(folder, "damaged")
    (Path("damaged") / name).write_bytes(content)
