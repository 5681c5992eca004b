"""What is derived from data is derived once, and never taken for what other data give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from anchorlab.data import contents, load_task
from tests.data.test_kept import again, cifar_folder, reviews


def must_not_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was hashed again")

    monkeypatch.setattr(contents, "content_hash", refuse)
    monkeypatch.setattr(contents, "example_hashes", refuse)


def test_hashes_and_statistics_are_derived_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = cifar_folder(tmp_path / "data")
    found = task.contents(), task.describe(), task.pixel_statistics
    other = again(task)
    must_not_hash(monkeypatch)
    monkeypatch.setattr(type(task), "_pixel_statistics", None)
    assert (other.contents(), other.describe(), other.pixel_statistics) == found


@pytest.mark.parametrize("what", ["a seed", "a limit", "an order", "a copy", "a pixel", "a tensor", "an earlier pixel"])
def test_other_data_have_hashes_of_their_own(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    task = cifar_folder(tmp_path / "data")
    task.contents()
    other = again(task)
    if what == "a seed":
        other = load_task("cifar10", data=str(tmp_path / "data"), seed=1)
    elif what == "a limit":
        other = load_task("cifar10", data=str(tmp_path / "data"), limit=3)
    elif what == "an order":
        other = task.in_order(task.classes[::-1])
    elif what == "a copy":
        other = replace(other, raw=replace(other.raw, train=other.raw.train.select(other.indices["owner"].flip(0))))
        other = replace(other, indices={"owner": other.indices["owner"][:3]})
    elif what == "a tensor":
        other.raw.train.inputs["pixel_values"] = other.raw.train.inputs["pixel_values"].flip(0)
    else:
        other.raw.train.inputs["pixel_values"][0, 0, 0, 0] += 1
        if what == "an earlier pixel":
            other = replace(other, raw=other.raw.limited(40))
    found = other.contents()
    contents._KNOWN.clear()
    monkeypatch.setenv("ANCHORLAB_CACHE", "off")
    assert other.contents() == found
    if what in ("a pixel", "a copy", "a tensor", "an earlier pixel"):
        must_not_hash(monkeypatch)
        contents._KNOWN.clear()
        with pytest.raises(AssertionError, match="hashed again"):
            other.contents()


def test_the_seed_that_cuts_a_test_part_is_in_the_key(tmp_path: Path, cache: Path) -> None:
    task = reviews(".csv")(tmp_path)
    other = load_task(task.data, columns=task.definition.columns, seed=1)
    assert task.raw.origin != other.raw.origin
    assert again(task).raw.origin == task.raw.origin


@pytest.mark.parametrize("value", ["null", "[]", '{"owner": 1}', '"text"'])
def test_a_value_of_another_kind_is_derived_again(tmp_path: Path, cache: Path, value: str) -> None:
    task = cifar_folder(tmp_path / "data")
    expected = task.contents()
    for path in (cache / "notes").iterdir():
        note = path.read_text()
        if "held-out" in note:
            path.write_text(note.partition('"value"')[0] + f'"value": {value}}}')
    assert again(task).contents() == expected


def test_nothing_is_noted_of_data_that_are_not_kept(cache: Path) -> None:
    load_task("digits").contents()
    assert not (cache / "notes").exists()
