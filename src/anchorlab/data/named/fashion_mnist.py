"""Fashion-MNIST: 70,000 grey images of clothing, 28×28, ten classes.

Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
algorithms", arXiv 1708.07747.
"""

from __future__ import annotations

import gzip
import zlib
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from anchorlab.data.hub_images import ImageSource, load_images
from anchorlab.data.kept import kept
from anchorlab.data.parts import find_layout
from anchorlab.data.source_files import files_at
from anchorlab.data.sources import HUB, data_path
from anchorlab.data.split import RawData, Split
from anchorlab.data.task import Augmentation, TaskDefinition
from anchorlab.errors import AnchorlabError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_SOURCE = ImageSource(
    task="fashion-mnist",
    hub_name="zalando-datasets/fashion_mnist",
    image_columns=("image",),
    test_parts=("test",),
    mode="L",
    size=28,
    classes=_CLASSES,
)


def load(data: str | None) -> RawData:
    """Fashion-MNIST from idx files, or through ``datasets``.

    Args:
        data: None for the folder of Debian's package dataset-fashion-mnist; a folder with the four idx
            files, compressed or not; or whatever ``load_images`` takes.

    Raises:
        AnchorlabError: for data that are missing or malformed.
    """
    folder = data_path(data, DEBIAN_FOLDER)
    if data is None and not folder.is_dir():
        raise AnchorlabError(
            f"fashion-mnist is not installed: expected its four idx files in {folder}, which does not exist: "
            "run 'apt-get install dataset-fashion-mnist', or give --data FOLDER with those files, or "
            f"--data {HUB} to download them"
        )
    if data != HUB and folder.is_dir() and (any(folder.glob("*-ubyte*")) or find_layout(folder) is None):
        return kept(("fashion-mnist",), partial(files_at, str(folder)), str(folder), partial(read_folder, folder))
    return load_images(_SOURCE, data)


def read_folder(folder: Path) -> RawData:
    """The four idx files of a folder, each with or without ``.gz``.

    Raises:
        AnchorlabError: naming the first file that is missing, unreadable, truncated or malformed.
    """
    return RawData(train=_read_part(folder, "train"), test=_read_part(folder, "t10k"), classes=_CLASSES)


def read_idx(path: Path, dimensions: int) -> Tensor:
    """An idx file of unsigned bytes: a magic number, the sizes (big-endian uint32), then the values.

    Args:
        path: the file; one that ends in ``.gz`` is decompressed.
        dimensions: the number of dimensions it must have.

    Returns:
        uint8 tensor of the sizes in the header.

    Raises:
        AnchorlabError: if the file cannot be read, or its length or magic number is not as expected.
    """
    content = _content(path)
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise AnchorlabError(_damaged(path, f"has {len(content)} bytes", f"a header of {header} bytes"))
    magic, expected_magic = int.from_bytes(content[:4], "big"), 0x0800 + dimensions
    if magic != expected_magic:
        raise AnchorlabError(_damaged(path, f"begins with the magic number 0x{magic:08x}", f"0x{expected_magic:08x}"))
    sizes = [int.from_bytes(content[start : start + 4], "big") for start in range(4, header, 4)]
    expected = header + torch.Size(sizes).numel()
    if len(content) != expected or expected == header:
        shape = "×".join(str(size) for size in sizes)
        raise AnchorlabError(
            _damaged(path, f"has {len(content)} bytes and says it holds {shape} values", f"{expected} bytes")
            if expected > header
            else _damaged(path, f"says it holds {shape} values", "at least one")
        )
    return torch.frombuffer(content, dtype=torch.uint8, offset=header).view(sizes)


def _read_part(folder: Path, part: str) -> Split:
    images_path = _find(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != (28, 28):
        raise AnchorlabError(_damaged(images_path, f"holds images of {images.shape[1]}×{images.shape[2]}", "28×28"))
    if len(labels) != len(images):
        raise AnchorlabError(_damaged(labels_path, f"holds {len(labels)} labels", f"{len(images)}, one for each image"))
    if labels.max() >= len(_CLASSES):
        raise AnchorlabError(_damaged(labels_path, f"holds the label {labels.max()}", "labels from 0 to 9"))
    return Split({"pixel_values": images.unsqueeze(1)}, labels.long())


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise AnchorlabError(
        f"fashion-mnist: {folder} holds no file {name}.gz or {name}; expected the four idx files "
        "(train- and t10k-, images-idx3-ubyte and labels-idx1-ubyte): give a folder that has them, "
        f"or --data {HUB} to download the data set"
    )


def _content(path: Path) -> bytearray:
    try:
        raw = path.read_bytes()
        return bytearray(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AnchorlabError(_damaged(path, "is truncated or not a gzip file", "a whole gzip file")) from error
    except OSError as error:
        raise AnchorlabError(
            f"fashion-mnist: {path} cannot be read ({error.strerror}): make it readable, or give another folder"
        ) from error


def _damaged(path: Path, problem: str, expected: str) -> str:
    return f"fashion-mnist: {path} {problem}, expected {expected}: fetch the file again, or give another folder"


FASHION_MNIST = TaskDefinition(
    name="fashion-mnist",
    load=load,
    architecture="resnet-small",
    epochs=4,
    augmentation=Augmentation(mirror=True),
    description="clothing, 28×28 grey, 10 classes (Debian's dataset-fashion-mnist, idx files or the hub)",
    cites=("xiao2017fashion",),
)
