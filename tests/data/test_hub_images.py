"""Image data through ``datasets``: small local copies in the hub's own schema, read back pixel by pixel."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Pictures

from anchorlab.data import load_task
from anchorlab.data.named.cifar10 import CIFAR10
from anchorlab.data.named.tiny_imagenet import TINY_IMAGENET
from anchorlab.errors import AnchorlabError
from tests.data.copies import (
    CIFAR_NAMES,
    TEST_LABELS,
    TRAIN_LABELS,
    cifar_part,
    cifar_parts,
    pictures,
    pixels,
    write_parquet,
)

WORDNET_NAMES = [f"n{number:08d}" for number in range(200)]


def write_saved(parts: DatasetDict, folder: Path) -> None:
    parts.save_to_disk(str(folder))


def write_parquet_below(parts: DatasetDict, folder: Path) -> None:
    write_parquet(parts, folder / "data")


def write_shards(parts: DatasetDict, folder: Path) -> None:
    folder.mkdir(parents=True)
    parts["train"].select([0, 1]).to_parquet(str(folder / "train-00000-of-00002.parquet"))
    parts["train"].select([2]).to_parquet(str(folder / "train-00001-of-00002.parquet"))
    parts["test"].to_parquet(str(folder / "test-00000-of-00001.parquet"))


def write_folder(folder: Path, part: str, images: torch.Tensor, labels: list[int], names: list[str]) -> None:
    for name in names:
        (folder / part / name).mkdir(parents=True)
    for at, (picture, label) in enumerate(zip(pictures(images), labels, strict=True)):
        picture.save(folder / part / names[label] / f"{at}.png")


@pytest.mark.parametrize("column", ["img", "image"])
@pytest.mark.parametrize("write", [write_parquet, write_parquet_below, write_shards, write_saved])
def test_cifar10_comes_back_exactly(tmp_path, write: Callable[[DatasetDict, Path], None], column):
    write(cifar_parts(column=column), tmp_path / "copy")
    raw = CIFAR10.load(str(tmp_path / "copy"))
    assert raw.train.inputs["pixel_values"].dtype == torch.uint8
    assert raw.train.labels.dtype == torch.int64
    assert raw.train.inputs["pixel_values"].is_contiguous()
    assert torch.equal(raw.train.inputs["pixel_values"], pixels(3))
    assert torch.equal(raw.test.inputs["pixel_values"], pixels(2, start=99))
    assert raw.train.labels.tolist() == TRAIN_LABELS
    assert raw.test.labels.tolist() == TEST_LABELS
    assert raw.classes == tuple(CIFAR_NAMES)


def test_an_image_folder_comes_back_exactly(tmp_path):
    labels = list(range(10))
    write_folder(tmp_path, "train", pixels(10), labels, CIFAR_NAMES)
    write_folder(tmp_path, "test", pixels(10, start=99), labels, CIFAR_NAMES)
    raw = CIFAR10.load(str(tmp_path))
    order = raw.train.labels.argsort()
    assert torch.equal(raw.train.inputs["pixel_values"][order], pixels(10))
    assert torch.equal(raw.test.inputs["pixel_values"][raw.test.labels.argsort()], pixels(10, start=99))
    assert raw.classes == tuple(CIFAR_NAMES)


def test_plain_integer_labels_take_the_names_of_the_task(tmp_path):
    write_parquet(cifar_parts(label=Value("int64")), tmp_path / "copy")
    raw = CIFAR10.load(str(tmp_path / "copy"))
    assert raw.classes == tuple(CIFAR_NAMES)
    assert raw.train.labels.tolist() == TRAIN_LABELS


def tiny_parts(images: list[Pictures.Image], labels: list[int], test_part: str) -> DatasetDict:
    features = Features({"image": Image(), "label": ClassLabel(names=WORDNET_NAMES)})
    part = Dataset.from_dict({"image": images, "label": labels}, features=features)
    return DatasetDict({"train": part, test_part: part})


def test_tiny_imagenet_takes_valid_as_its_test_part_and_makes_grey_images_colour(tmp_path):
    colour, grey = pixels(1, size=64), pixels(1, size=64, channels=1, start=50)
    write_parquet(tiny_parts(pictures(colour) + pictures(grey), [0, 199], "valid"), tmp_path / "copy")
    raw = TINY_IMAGENET.load(str(tmp_path / "copy"))
    expected = torch.cat([colour, grey.expand(1, 3, 64, 64)])
    assert torch.equal(raw.train.inputs["pixel_values"], expected)
    assert torch.equal(raw.test.inputs["pixel_values"], expected)
    assert raw.test.labels.tolist() == [0, 199]
    assert raw.classes == tuple(WORDNET_NAMES)


def test_tiny_imagenet_prefers_valid_to_an_unlabelled_test_part(tmp_path):
    parts = tiny_parts(pictures(pixels(1, size=64)), [7], "valid")
    parts["test"] = tiny_parts(pictures(pixels(1, size=64, start=9)), [-1], "test")["test"]
    write_saved(parts, tmp_path / "copy")
    assert TINY_IMAGENET.load(str(tmp_path / "copy")).test.labels.tolist() == [7]


def test_a_tiny_imagenet_image_folder_may_call_its_test_part_val(tmp_path):
    for part in ("train", "val"):
        write_folder(tmp_path, part, pixels(200, size=64), list(range(200)), WORDNET_NAMES)
    raw = TINY_IMAGENET.load(str(tmp_path))
    assert raw.test.labels.bincount().tolist() == [1] * 200
    assert raw.classes == tuple(WORDNET_NAMES)


def test_a_local_copy_makes_a_task(tmp_path):
    labels = [label for label in range(10) for _ in range(20)]
    parts = DatasetDict(train=cifar_part(pixels(200), labels), test=cifar_part(pixels(2), TEST_LABELS))
    write_parquet(parts, tmp_path / "copy")
    task = load_task("cifar10", data=str(tmp_path / "copy"))
    assert {name: len(at) for name, at in task.indices.items()} == {
        "owner": 160,
        "held-out": 20,
        "selection": 10,
        "defender": 10,
        "test": 2,
    }


def with_train(images: torch.Tensor, labels: list[Any], label: Any = None) -> DatasetDict:
    return DatasetDict(train=cifar_part(images, labels, label=label), test=cifar_part(pixels(2), TEST_LABELS))


ODD_SIZE = torch.zeros(1, 3, 32, 31, dtype=torch.uint8)
WRONG = {
    "columns 'picture', 'label', expected 'img' or 'image' and": lambda: cifar_parts(column="picture"),
    "columns 'img', 'fine', expected .* and 'label'": lambda: cifar_parts().rename_column("label", "fine"),
    "parts 'train', expected 'train' and 'test'": lambda: DatasetDict(train=cifar_parts()["train"]),
    "parts 'test', expected 'train' and 'test'": lambda: DatasetDict(test=cifar_parts()["test"]),
    "image in row 0 of .*, part 'train' is 32×31, expected 32×32 pixels": lambda: with_train(ODD_SIZE, [0]),
    "has 2 classes, expected 10": lambda: with_train(pixels(1), [0], ClassLabel(names=["cat", "dog"])),
    "numbers its classes differently": lambda: with_train(pixels(1), [0], ClassLabel(names=CIFAR_NAMES[::-1])),
    "image 1 has the label -1, expected an integer": lambda: with_train(pixels(2), [0, -1]),
    "label 10, expected an integer from 0 to 9": lambda: with_train(pixels(1), [10], Value("int64")),
    "image 0 has the label None, expected an integer": lambda: with_train(pixels(1), [None]),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_was_found_and_expected_is_said(tmp_path, message):
    write_saved(WRONG[message](), tmp_path / "copy")
    with pytest.raises(AnchorlabError, match=message) as caught:
        CIFAR10.load(str(tmp_path / "copy"))
    assert "\n" not in str(caught.value)


def test_an_empty_part_is_refused(tmp_path):
    write_parquet(with_train(pixels(0), []), tmp_path / "copy")
    with pytest.raises(AnchorlabError, match=r"train-00000-of-00001\.parquet holds no rows"):
        CIFAR10.load(str(tmp_path / "copy"))


def test_parquet_parts_that_number_their_classes_differently_are_refused(tmp_path):
    write_parquet(with_train(pixels(1), [0], ClassLabel(names=CIFAR_NAMES[::-1])), tmp_path / "copy")
    with pytest.raises(AnchorlabError, match="numbers its classes differently"):
        CIFAR10.load(str(tmp_path / "copy"))


def test_an_image_column_that_holds_no_images_is_refused(tmp_path):
    part = Dataset.from_dict({"img": [1, 2], "label": [0, 1]})
    write_parquet(DatasetDict(train=part, test=part), tmp_path / "copy")
    with pytest.raises(AnchorlabError, match=r"column 'img' .* holds .*Value\('int64'\), expected encoded images"):
        CIFAR10.load(str(tmp_path / "copy"))


def test_a_missing_image_is_refused(tmp_path):
    features = Features({"img": Image(), "label": ClassLabel(names=CIFAR_NAMES)})
    part = Dataset.from_dict({"img": [None], "label": [0]}, features=features)
    write_saved(DatasetDict(train=part, test=part), tmp_path / "copy")
    with pytest.raises(AnchorlabError, match=r"the image in row 0 of .* is missing"):
        CIFAR10.load(str(tmp_path / "copy"))


@pytest.mark.parametrize("keep", [0, 30, -40])
def test_an_image_that_cannot_be_decoded_is_refused(tmp_path, keep):
    labels = list(range(10))
    write_folder(tmp_path, "train", pixels(10), labels, CIFAR_NAMES)
    write_folder(tmp_path, "test", pixels(10), labels, CIFAR_NAMES)
    damaged = tmp_path / "train" / "bird" / "2.png"
    damaged.write_bytes(damaged.read_bytes()[:keep] if keep else b"no image")
    with pytest.raises(AnchorlabError, match=r"the image '.*bird/2.png' (is empty|is not a PNG|cannot be decoded)"):
        CIFAR10.load(str(tmp_path))


def test_an_image_folder_without_all_classes_is_refused(tmp_path):
    for part in ("train", "test"):
        write_folder(tmp_path, part, pixels(1), [0], ["cat"])
    with pytest.raises(AnchorlabError, match="has 1 classes, expected 10"):
        CIFAR10.load(str(tmp_path))


def test_a_truncated_parquet_file_is_refused(tmp_path):
    write_parquet(cifar_parts(), tmp_path)
    path = next(tmp_path.glob("train-*"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AnchorlabError, match=r"train-00000-of-00001\.parquet could not be read") as caught:
        CIFAR10.load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_saved_copy_that_lost_a_file_is_refused(tmp_path):
    write_saved(cifar_parts(), tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "train")
    with pytest.raises(AnchorlabError, match=r"the saved data in .* could not be read"):
        CIFAR10.load(str(tmp_path / "copy"))


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(AnchorlabError, match=r"holds no data, expected files such as train-\*\.parquet"):
        CIFAR10.load(str(tmp_path))


@pytest.mark.parametrize("data", ["nowhere", "/nowhere/at/all", "./no/where", "a/b/c"])
def test_a_folder_that_does_not_exist_is_refused(data):
    with pytest.raises(AnchorlabError, match=rf"there is no file or folder '{data}', expected .* uoft-cs/cifar10"):
        CIFAR10.load(data)


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "train.parquet"
    path.write_bytes(b"")
    with pytest.raises(AnchorlabError, match=r"train\.parquet could not be read"):
        CIFAR10.load(str(path))


class Hub:
    """Stands in for the hub: knows one data set, and has no network if ``error`` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, error: Exception | None = None) -> None:
        self.loaded: list[str] = []
        self.error = error
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", self.dataset_info)
        monkeypatch.setattr(datasets, "load_dataset", self.load_dataset)

    def dataset_info(self, name: str, timeout: float) -> None:
        if self.error is not None:
            raise self.error

    def load_dataset(self, name: str) -> DatasetDict:
        self.loaded.append(name)
        return cifar_parts()


@pytest.mark.parametrize(
    ("data", "name"),
    [(None, "uoft-cs/cifar10"), ("hub", "uoft-cs/cifar10"), ("someone/copy", "someone/copy")],
)
def test_the_hub_is_asked_for_the_right_name(monkeypatch, data, name):
    hub = Hub(monkeypatch)
    assert CIFAR10.load(data).train.labels.tolist() == TRAIN_LABELS
    assert hub.loaded == [name]


def test_without_a_network_the_hub_ends_in_one_sentence_at_once(monkeypatch):
    hub = Hub(monkeypatch, error=OSError("[Errno -2] Name or service not known\nmore"))
    message = (
        r"'uoft-cs/cifar10' could not be loaded from the hub \(OSError: .*network, or give a folder with a local copy"
    )
    with pytest.raises(AnchorlabError, match=message) as caught:
        CIFAR10.load(None)
    assert "\n" not in str(caught.value)
    assert hub.loaded == []


def test_offline_a_data_set_that_was_never_downloaded_ends_in_one_sentence(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(AnchorlabError, match=r"'uoft-cs/cifar10' could not be loaded from the hub"):
        CIFAR10.load(None)
