"""Fashion-MNIST from idx files: exact pixels, and one sentence for each way a file can be wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from PIL import Image as Pictures

from anchorlab.data import load_task
from anchorlab.data.named import fashion_mnist
from anchorlab.data.named.fashion_mnist import DEBIAN_FOLDER, FASHION_MNIST, read_idx
from anchorlab.errors import AnchorlabError

TRAIN_LABELS, TEST_LABELS = [9, 0, 3], [5, 1]


def pixels(count: int, start: int) -> torch.Tensor:
    """``[count, 1, 28, 28]`` in which no two neighbouring pixels are alike."""
    values = (torch.arange(count * 28 * 28) * 7 + start) % 256
    return values.to(torch.uint8).view(count, 1, 28, 28)


def idx(values: torch.Tensor) -> bytes:
    header = struct.pack(f">{1 + values.dim()}I", 0x0800 + values.dim(), *values.shape)
    return header + values.to(torch.uint8).numpy().tobytes()


def contents() -> dict[str, bytes]:
    return {
        "train-images-idx3-ubyte": idx(pixels(3, 0).squeeze(1)),
        "train-labels-idx1-ubyte": idx(torch.tensor(TRAIN_LABELS)),
        "t10k-images-idx3-ubyte": idx(pixels(2, 100).squeeze(1)),
        "t10k-labels-idx1-ubyte": idx(torch.tensor(TEST_LABELS)),
    }


def write(folder: Path, *, compressed: bool, **changed: bytes) -> str:
    """The four files, some with other contents: ``train_labels=b"..."``."""
    for name, content in contents().items():
        key = "_".join(name.split("-")[:2])
        content = changed.get(key, content)
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return str(folder)


@pytest.mark.parametrize("compressed", [True, False])
def test_pixels_and_labels_come_back_exactly(tmp_path, compressed):
    raw = FASHION_MNIST.load(write(tmp_path, compressed=compressed))
    assert raw.train.inputs["pixel_values"].dtype == torch.uint8
    assert raw.train.labels.dtype == torch.int64
    assert torch.equal(raw.train.inputs["pixel_values"], pixels(3, 0))
    assert torch.equal(raw.test.inputs["pixel_values"], pixels(2, 100))
    assert raw.train.labels.tolist() == TRAIN_LABELS
    assert raw.test.labels.tolist() == TEST_LABELS
    assert raw.classes[9] == "Ankle boot"
    assert len(raw.classes) == 10


def test_sizes_are_big_endian_and_rows_come_first(tmp_path):
    """The bytes 1 to 6 under the header 2×3 are the rows 1 2 3 and 4 5 6."""
    path = tmp_path / "file"
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]))
    assert read_idx(path, 2).tolist() == [[1, 2, 3], [4, 5, 6]]


LABELS, IMAGES = contents()["train-labels-idx1-ubyte"], contents()["train-images-idx3-ubyte"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"train_labels": LABELS[:-1]},
            "train-labels.* has 10 bytes and says it holds 3 values, expected 11",
        ),
        ({"train_labels": LABELS + b"\0"}, "train-labels.* has 12 bytes .* expected 11"),
        ({"train_images": IMAGES[:-1]}, "train-images.* has 2367 bytes .* 3×28×28 values, expected 2368"),
        ({"t10k_images": b"\0\0"}, "t10k-images.* has 2 bytes, expected a header of 16"),
        ({"t10k_images": LABELS + bytes(8)}, "t10k-images.* magic number 0x00000801, expected 0x00000803"),
        ({"t10k_labels": idx(torch.tensor([1, 2, 3]))}, "t10k-labels.* holds 3 labels, expected 2"),
        ({"t10k_labels": idx(torch.tensor([1, 10]))}, "t10k-labels.* holds the label 10, expected .* 0 to 9"),
        ({"t10k_images": idx(torch.zeros(2, 28, 27))}, "t10k-images.* images of 28×27, expected 28×28"),
        (
            {"train_images": idx(torch.zeros(0, 28, 28))},
            "train-images.* 0×28×28 values, expected at least one",
        ),
    ],
)
def test_a_malformed_file_is_named_with_what_was_found_and_expected(tmp_path, changed, message):
    with pytest.raises(AnchorlabError, match=message):
        FASHION_MNIST.load(write(tmp_path, compressed=False, **changed))


@pytest.mark.parametrize("missing", list(contents()))
def test_a_missing_file_is_named(tmp_path, missing):
    folder = write(tmp_path, compressed=True)
    (tmp_path / f"{missing}.gz").unlink()
    with pytest.raises(AnchorlabError, match=rf"no file {missing}\.gz or {missing}; expected the four"):
        FASHION_MNIST.load(folder)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-20], lambda raw: b"no gzip", lambda raw: b""])
def test_a_damaged_gzip_file_is_named(tmp_path, damage):
    folder = write(tmp_path, compressed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AnchorlabError, match=r"train-images-idx3-ubyte\.gz"):
        FASHION_MNIST.load(folder)


def test_a_corrupt_deflate_stream_is_named(tmp_path):
    folder = write(tmp_path, compressed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    raw = bytearray(path.read_bytes())
    raw[10] = 0xFF  # the first byte after the gzip header: a block type that does not exist
    path.write_bytes(raw)
    with pytest.raises(AnchorlabError, match=r"train-images-idx3-ubyte\.gz is truncated or not a gzip file"):
        FASHION_MNIST.load(folder)


def test_an_empty_folder_says_what_belongs_there(tmp_path):
    with pytest.raises(AnchorlabError, match=r"expected the four idx files"):
        load_task("fashion-mnist", data=str(tmp_path))


def test_without_the_debian_package_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "absent")
    with pytest.raises(AnchorlabError, match=r"apt-get install dataset-fashion-mnist.*--data FOLDER.*--data hub"):
        FASHION_MNIST.load(None)


def test_the_hub_copy_saved_in_a_folder_gives_the_same(tmp_path):
    names = list(FASHION_MNIST.load(write(tmp_path, compressed=True)).classes)
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    rows = {
        "image": [Pictures.fromarray(image.numpy()) for image in pixels(3, 0).squeeze(1)],
        "label": TRAIN_LABELS,
    }
    part = Dataset.from_dict(rows, features=features)
    DatasetDict(train=part, test=part).save_to_disk(str(tmp_path / "saved"))
    raw = FASHION_MNIST.load(str(tmp_path / "saved"))
    assert torch.equal(raw.train.inputs["pixel_values"], pixels(3, 0))
    assert raw.train.labels.tolist() == TRAIN_LABELS
    assert raw.classes[0] == "T-shirt/top"


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_debian_package_holds_the_published_data():
    task = load_task("fashion-mnist")
    train, test = task.raw.train, task.raw.test
    assert train.inputs["pixel_values"].shape == (60000, 1, 28, 28)
    assert test.inputs["pixel_values"].shape == (10000, 1, 28, 28)
    assert torch.bincount(train.labels).tolist() == [6000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    assert train.labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert {name: len(at) for name, at in task.indices.items()} == {
        "owner": 48000,
        "held-out": 6000,
        "selection": 3000,
        "defender": 3000,
        "test": 10000,
    }
