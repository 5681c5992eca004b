"""Data out of the cache are what their files give: the same tensors, notes and hashes, and the same refusals."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
import torch
from datasets import DatasetDict, Value

from anchorlab.cache.store import digest
from anchorlab.cache.upkeep import entries
from anchorlab.data import DataColumns, RawData, Task, load_task, reader
from anchorlab.data import images as reading_images
from anchorlab.data import kept as kept_data
from anchorlab.data.named import fashion_mnist
from anchorlab.errors import AnchorlabError
from anchorlab.notices import Notice
from tests.data.copies import (
    CIFAR_NAMES,
    STARS,
    cifar_part,
    cifar_parts,
    frame,
    pictures,
    pixels,
    text_parts,
    write_parquet,
    written,
)
from tests.forgetting import forget


def cifar_folder(folder: Path) -> Task:
    parts = DatasetDict(
        train=cifar_part(pixels(40), [n % 10 for n in range(40)]), test=cifar_part(pixels(9, start=3), [1] * 9)
    )
    write_parquet(parts, folder)
    return load_task("cifar10", data=str(folder))


def class_folders(folder: Path) -> Task:
    """With a note: transparency is laid over white, a file is no image, and images lie deeper."""
    for place, picture in enumerate(pictures(pixels(30, size=9))):
        path = folder / f"class {place % 3}" / ("deeper" if place > 20 else "") / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if place == 7:
            picture.putalpha(100)
        picture.save(path)
    (folder / "class 0" / "words.txt").write_text("")
    return load_task(str(folder))


def saved_to_disk(folder: Path) -> Task:
    cifar_parts().save_to_disk(str(folder))
    return load_task(str(folder), columns=DataColumns(image="img"))


def reviews(ending: str) -> Callable[[Path], Task]:
    def make(folder: Path) -> Task:
        path = written(folder / f"reviews{ending}", frame())
        return load_task(str(path), columns=STARS)

    return make


def inferred(folder: Path) -> Task:
    path = written(folder / "reviews.csv", frame().drop(columns="other"))
    return load_task(str(path))


def sst2(folder: Path) -> Task:
    write_parquet(text_parts("sentence", ["negative", "positive"], "validation"), folder)
    return load_task("sst2", data=str(folder))


SOURCES = {
    "cifar10": cifar_folder,
    "class folders": class_folders,
    "saved to disk": saved_to_disk,
    "csv": reviews(".csv"),
    "jsonl": reviews(".jsonl"),
    "parquet": reviews(".parquet"),
    "columns inferred": inferred,
    "sst2": sst2,
}


def again(task: Task) -> Task:
    """The same task, as a new process loads it."""
    forget()
    return load_task(
        task.name if task.definition.columns is None else task.data, data=task.data, columns=task.definition.columns
    )


def must_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the data were read again")

    for module, name in ((kept_data, "open_source"), (reading_images, "read_images")):
        monkeypatch.setattr(module, name, refuse)


def assert_same(one: RawData, other: RawData) -> None:
    assert one.classes == other.classes
    assert one.reading == other.reading
    for part, its in ((one.train, other.train), (one.test, other.test)):
        assert part is not None
        assert its is not None
        assert part.texts == its.texts
        assert type(part.texts) is type(its.texts)
        assert list(part.inputs) == list(its.inputs)
        pairs = [(part.labels, its.labels), *((part.inputs[name], its.inputs[name]) for name in part.inputs)]
        for a, b in pairs:
            assert a.dtype == b.dtype
            assert a.stride() == b.stride()
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.filterwarnings("ignore::anchorlab.notices.Notice")
def test_data_from_the_cache_are_those_from_their_files(
    name: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setenv("ANCHORLAB_CACHE", "off")
        plain = SOURCES[name](tmp_path / "data")
        assert not cache.exists()
    first = again(plain)
    assert [entry.kind for entry in entries()] == ["data"]
    must_not_read(monkeypatch)
    second = again(plain)
    for other in (first, second):
        assert_same(plain.raw, other.raw)
        assert plain.describe() == other.describe()
        assert plain.hashes() == other.hashes()
        assert plain.contents() == other.contents()


def test_inferred_columns_are_said_each_time_and_found_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        with pytest.warns(Notice, match="texts are read from the column 'review', labels from the column 'stars'"):
            task = inferred(tmp_path / "data") if number == 0 else load_task(str(tmp_path / "data" / "reviews.csv"))
        assert task.definition.columns == DataColumns(text="review", label="stars")
        forget()
        must_not_read(monkeypatch)
        monkeypatch.setattr("anchorlab.data.inferred.open_source", None)


def test_idx_files_are_read_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fashion_mnist.DEBIAN_FOLDER.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    first = load_task("fashion-mnist")
    forget()
    monkeypatch.setattr(fashion_mnist, "read_idx", None)
    assert_same(first.raw, load_task("fashion-mnist").raw)


def test_a_note_is_kept_with_the_data(tmp_path: Path, cache: Path) -> None:
    lines = again(class_folders(tmp_path / "data")).describe()
    assert any("1 image had transparency" in line for line in lines)
    assert any("words.txt" in line for line in lines)
    assert any("in folders below the classes" in line for line in lines)


def test_what_is_refused_is_refused_again(tmp_path: Path, cache: Path) -> None:
    class_folders(tmp_path / "data")
    (tmp_path / "data" / "class 1" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    for _ in range(2):
        forget()
        with pytest.raises(AnchorlabError, match=r"class 1/1\.png"):
            load_task(str(tmp_path / "data"))


def test_a_file_of_the_same_length_and_time_is_read_again(tmp_path: Path, cache: Path) -> None:
    task = reviews(".csv")(tmp_path)
    path = tmp_path / "reviews.csv"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"number 7", b"number 8"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    changed = again(task)
    assert sum("number 8" in text for text in changed.raw.train.texts) > sum(
        "number 8" in text for text in task.raw.train.texts
    )


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_another_list_of_files_is_read_again(tmp_path: Path, cache: Path, change: str) -> None:
    task = class_folders(tmp_path / "data")
    path = tmp_path / "data" / "class 1" / "1.png"
    if change == "added":
        (path.parent / "new.png").write_bytes(path.read_bytes())
    elif change == "removed":
        path.unlink()
    else:
        path.rename(path.parent.parent / "class 2" / "1.png")
    other = again(task)
    assert other.contents() != task.contents()


def test_a_linked_folder_is_looked_into(tmp_path: Path, cache: Path) -> None:
    task = class_folders(tmp_path / "data")
    (tmp_path / "data" / "class 1").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "class 1").symlink_to(tmp_path / "elsewhere")
    linked = again(task)
    assert linked.contents() == task.contents()
    (tmp_path / "elsewhere" / "1.png").unlink()
    assert len(again(task).raw.train) + len(again(task).raw.test) == 29


def test_new_files_are_not_kept_because_they_may_change_within_one_tick(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anchorlab.data.source_files._TICK", 10**18)
    reviews(".csv")(tmp_path)
    assert list(entries()) == []


def test_files_that_change_while_they_are_read_are_not_kept(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = reviews(".csv")(tmp_path)
    other = written(tmp_path / "others.csv", frame(90))
    usual = kept_data.open_source

    def open_and_change(*given: object) -> object:
        parts = usual(*given)
        os.utime(other)
        return parts

    before = [entry.folder for entry in entries()]
    monkeypatch.setattr(kept_data, "open_source", open_and_change)
    load_task(str(other), columns=task.definition.columns)
    assert [entry.folder for entry in entries()] == before


@pytest.mark.parametrize(
    "columns", [DataColumns(text="other", label="stars"), DataColumns(text="review", label="other")]
)
def test_other_columns_are_other_data(tmp_path: Path, cache: Path, columns: DataColumns) -> None:
    table = frame()
    table["other"] = ["many words", "few words"] * 50
    path = written(tmp_path / "reviews.csv", table)
    first = load_task(str(path), columns=STARS)
    forget()
    assert load_task(str(path), columns=columns).contents() != first.contents()


def test_a_file_alone_does_not_serve_for_its_folder(tmp_path: Path, cache: Path) -> None:
    """A file is the training part whatever its name; a folder that holds it alone is refused, as without a cache."""
    path = written(tmp_path / "reviews" / "reviews.csv", frame())
    load_task(str(path), columns=STARS)
    forget()
    with pytest.raises(AnchorlabError, match="of which none is called so"):
        load_task(str(path.parent), columns=STARS)


def test_code_that_is_exchanged_while_a_process_runs_is_not_what_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reader.reader()
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"another version")
    assert reader.reader() == before
    assert reader._reader() != before


def test_other_code_reads_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = reviews(".csv")(tmp_path)
    monkeypatch.setattr(kept_data, "reader", lambda: "another version")
    must_not_read(monkeypatch)
    with pytest.raises(AssertionError, match="read again"):
        again(task)


def test_small_data_are_not_kept(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anchorlab.data.kept.LEAST", 2**20)
    reviews(".csv")(tmp_path)
    assert not cache.exists()


def wrong_parts(about: dict) -> None:
    about["value"]["parts"] = ["test", "train"]


def fewer_classes(about: dict) -> None:
    about["value"]["classes"] = about["value"]["classes"][:1]


def no_classes(about: dict) -> None:
    about["value"]["classes"] = [1, 2, 3]


def no_reading(about: dict) -> None:
    about["value"]["reading"] = [["train"]]


@pytest.mark.parametrize("tamper", [wrong_parts, fewer_classes, no_classes, no_reading])
def test_an_entry_that_says_something_else_is_made_again(tmp_path: Path, cache: Path, tamper) -> None:
    task = reviews(".csv")(tmp_path)
    (entry,) = entries()
    about = json.loads((entry.folder / "about.json").read_text())
    tamper(about)
    about["check"] = digest({name: value for name, value in about.items() if name != "check"})
    (entry.folder / "about.json").write_text(json.dumps(about))
    with pytest.warns(Notice, match="was damaged"):
        assert_same(task.raw, again(task).raw)
    assert_same(task.raw, again(task).raw)


def test_a_change_of_the_tensors_stays_in_this_process(tmp_path: Path, cache: Path) -> None:
    task = cifar_folder(tmp_path / "data")
    task.raw.train.inputs["pixel_values"].zero_()
    task.raw.train.labels.zero_()
    other = again(task)
    assert other.raw.train.inputs["pixel_values"].any()
    assert other.raw.train.labels.any()


def test_data_of_the_hub_are_asked_for_each_time_and_decoded_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = DatasetDict(train=cifar_part(pixels(40), [n % 10 for n in range(40)]), test=cifar_part(pixels(9), [1] * 9))
    parts.save_to_disk(str(tmp_path / "downloads"))
    asked = []

    def load_dataset(name: str) -> DatasetDict:
        asked.append(name)
        return datasets.load_from_disk(str(tmp_path / "downloads"))

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    first = load_task("cifar10")
    forget()
    monkeypatch.setattr("anchorlab.data.hub_images.read_images", None)
    assert_same(first.raw, load_task("cifar10").raw)
    assert first.classes == tuple(CIFAR_NAMES)
    assert len(asked) == 2


def test_a_saved_data_set_that_names_files_elsewhere_is_not_kept(tmp_path: Path, cache: Path) -> None:
    """Nobody would see a change of these."""
    saved_to_disk(tmp_path / "data")
    (kept_entry,) = entries()
    arrow = next((tmp_path / "data" / "train").glob("*.arrow")).rename(tmp_path / "elsewhere.arrow")
    state = tmp_path / "data" / "train" / "state.json"
    content = json.loads(state.read_text())
    content["_data_files"] = [{"filename": f"../../{arrow.name}"}]
    state.write_text(json.dumps(content))
    forget()
    load_task(str(tmp_path / "data"), columns=DataColumns(image="img"))
    assert [entry.folder for entry in entries()] == [kept_entry.folder]


def test_a_column_of_another_type_is_other_data(tmp_path: Path, cache: Path) -> None:
    first = sst2(tmp_path)
    forget()
    write_parquet(text_parts("sentence", ["neg", "pos"], "validation", label=Value("int64")), tmp_path)
    assert load_task("sst2", data=str(tmp_path)).contents() == first.contents()
    assert len(list(entries())) == 2
