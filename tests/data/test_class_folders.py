"""Folders of images: each is a class, whatever it and its files are called, and every image is read or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from datasets import Image, load_dataset

from anchorlab.data import DataColumns, load_task
from anchorlab.data.sources import Source, open_source
from tests.data.copies import pictures, pixels, refused

IMAGES = DataColumns(image="image")


def written(root: Path, *names: str) -> Path:
    """A folder of 4×4 images, all different, with these names."""
    for name, picture in zip(names, pictures(pixels(len(names), size=4, channels=1)), strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / name, format="PNG")
    return root


def several(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{number}.png" for folder in folders for number in range(count)]


def opened(root: Path):
    return open_source(Source(task="mine"), str(root))


def counts(root: Path) -> dict[str, int]:
    """Class to the number of its images in all parts."""
    raw = load_task(str(root), columns=IMAGES).raw
    labels = [raw.classes[label] for part in (raw.train, raw.test) for label in part.labels.tolist()]
    return {name: labels.count(name) for name in raw.classes}


def test_a_class_may_be_called_like_a_part(tmp_path):
    assert counts(written(tmp_path / "vehicles", *several("bus", "car", "train"))) == {"bus": 3, "car": 3, "train": 3}


def test_files_may_be_called_like_parts(tmp_path):
    names = [f"{of}/{name}" for of in ("cat", "dog") for name in ("train_1.png", "ILSVRC2012_val_1.JPEG", "web.png")]
    assert counts(written(tmp_path / "animals", *names)) == {"cat": 3, "dog": 3}


def test_folders_are_parts_where_all_have_names_of_parts(tmp_path):
    root = written(tmp_path / "photos", *several("train/a", "train/b", "val/b"))
    raw = load_task(str(root), columns=IMAGES).raw
    assert raw.classes == ("a", "b")
    assert (raw.train.labels.tolist(), raw.test.labels.tolist()) == ([0, 0, 0, 1, 1, 1], [1, 1, 1])
    assert [part.part for part in raw.reading] == ["train", "validation"]


def test_images_in_folders_below_a_class_belong_to_it(tmp_path):
    names = [*several("ill/patient1", "ill/patient2/left", "well/patient1"), "well/1.png"]
    root = written(tmp_path / "scans", *names)
    assert counts(root) == {"ill": 6, "well": 4}
    assert opened(root)["train"].notes == (
        "9 in folders below the classes ('patient1', 'patient2'): of the class above",
    )


def test_an_image_that_was_moved_to_another_class_is_read_there(tmp_path):
    root = written(tmp_path / "scans", *several("ill", "well"), "well/9.png")
    assert counts(root) == {"ill": 3, "well": 4}
    (root / "well/9.png").rename(root / "ill/9.png")
    assert counts(root) == {"ill": 4, "well": 3}


def test_whole_numbers_are_in_their_order(tmp_path):
    root = written(tmp_path / "numbers", *several(*map(str, range(12)), count=1))
    rows = opened(root)["train"].rows
    assert rows.features["label"].names == [str(number) for number in range(12)]
    names = several("01", "1", "2", count=1)
    assert opened(written(tmp_path / "codes", *names))["train"].rows.features["label"].names == ["01", "1", "2"]


def test_an_ordinary_folder_has_the_rows_that_datasets_reads_in_the_same_order(tmp_path):
    """Splits are cut by the order of the rows, so the order must stay."""
    root = written(tmp_path / "photos", *several("a", "a-b", "a b", "B", count=11))
    part = opened(root)["train"]
    usual = load_dataset("imagefolder", data_dir=str(root), drop_labels=False)["train"]
    paths = [os.path.relpath(image["path"], root) for image in usual.cast_column("image", Image(decode=False))["image"]]
    assert list(part.files) == paths
    assert part.rows["label"][:] == usual["label"][:]
    assert part.rows.features["label"] == usual.features["label"]


def test_images_are_known_by_content_and_hidden_ones_never_count(tmp_path):
    names = [*several("a", "b"), "a/without_suffix", ".cache/a/1.png", "__MACOSX/a/1.png", "a/.1.png", "a/@eaDir/1.png"]
    assert counts(written(tmp_path / "photos", *names)) == {"a": 4, "b": 3}


def test_files_that_are_no_images_are_said(tmp_path):
    root = written(tmp_path / "photos", *several("train/a", "train/b", "test/a"))
    for name in ("README.txt", "train/a/Thumbs.db", "train/metadata.csv", "test/.DS_Store"):
        (root / name).write_text("x")
    reading = load_task(str(root), columns=IMAGES).raw.reading
    assert reading[0].notes == (
        "2 files that are no images were not read: 'train/a/Thumbs.db', 'train/metadata.csv'",
        "1 file that is no image was not read: 'README.txt'",
    )


def empty(*names: str):
    def write(root: Path) -> None:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()

    return write


REFUSED = {
    "one class": (several("a"), None, "holds images in the one folder 'a', expected a folder for each class"),
    "one class in train": (several("train/a"), None, "has the one label 'a', expected two classes"),
    "a folder around": (several("x/a", "x/b"), None, "in the one folder 'x', .* give .*/x if the classes are folders"),
    "an image of no class": ([*several("a", "b"), "c.png"], None, "the image c.png of .* stands beside the folders"),
    "an image of no part": ([*several("train/a", "train/b"), "c.png"], None, "the image c.png of .* stands beside"),
    "images alone": (["1.png"], empty("metadata.csv"), "holds images in no folder of a class"),
    "images of no class": (["train/1.png"], None, "the image train/1.png of .* stands beside the folders"),
    "an unread kind": (several("a", "b"), empty("a/1.heic"), "a/1.heic of .* is an image of another kind"),
    "an archive": (several("a", "b"), empty("more.zip"), "more.zip of .* is an archive, .*: unpack or remove it"),
    "an empty class": (several("a", "b"), lambda root: (root / "c").mkdir(), "c/ of .* holds no image"),
    "a part without images": (several("train/a", "train/b"), empty("test/a/1.heic"), "test has the name of a part"),
    "two spellings": (several("cat", "Cat"), None, "has the labels 'Cat' and 'cat', which differ in case"),
    "parts and another": (several("train/a", "test/a", "more/a"), None, "whether 'test' is a part"),
    "parts by other names": (several("Training/a", "Testing/a"), None, "whether 'Testing' is a part"),
    "parts in longer names": (several("seg_train/a", "seg_test/b", "seg_pred"), None, "whether 'seg_test' is a part"),
    "two parts of one kind": (several("val/a", "dev/a"), None, "the folders 'dev' and 'val', which mean one part"),
    "a new class in test": (several("train/a", "train/b", "test/c"), None, "test/c/0.png has the label 'c'"),
    "no training part": (several("test/a", "test/b"), None, "has the parts 'test', expected one named 'train'"),
    "a broken link": (several("a", "b"), lambda root: (root / "a/9.png").symlink_to("no"), "a/9.png of .* is no file"),
    "a circle of links": (several("a", "b"), lambda root: (root / "a/up").symlink_to(".."), "leads back to a folder"),
    "a pipe": (several("a", "b"), lambda root: os.mkfifo(root / "a/9.png"), "a/9.png of .* is no file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_neither_read_nor_said_is_refused(tmp_path, kind):
    names, more, message = REFUSED[kind]
    root = written(tmp_path / "photos", *names)
    if more is not None:
        more(root)
    refused(message, root, IMAGES)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    root = written(tmp_path / "photos", *several("a", "b"))
    (root / "a/0.png").rename(root / "a/\udcff.png")
    refused(r"the name of .*a/\\udcff.png is not UTF-8: rename it", root, IMAGES)


def test_the_root_of_the_machine_is_no_data():
    refused("is the root of this machine", Path("/"), IMAGES)


def test_a_home_or_a_disk_is_not_searched_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("anchorlab.data.class_folders._SEARCHED", 10)
    written(tmp_path, "cat/0.png", "cat/1.png")
    for number in range(20):
        (tmp_path / f"cat/{number}.txt").touch()
    refused("holds more than 10 files that are no images", tmp_path, IMAGES)
