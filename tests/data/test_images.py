"""Columns of images: one size and one kind of pixels over all parts, notes with counts, and no other file opened."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from anchorlab.data import DataColumns, load_task
from anchorlab.data.images import ImageColumn
from anchorlab.data.sources import OpenedPart
from anchorlab.data.split import RawData
from tests import refusals
from tests.data.copies import image_folder, refused
from tests.guard import nothing_run

IMAGE = DataColumns(image="image")


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> Image.Image:
    shape = (size[1], size[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(1, 255, shape, dtype=np.uint8)).convert(mode)


def png(seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    picture(seed, mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def folder_of(folder: Path, contents: dict[str, bytes]) -> Path:
    """Files by their names, among 20 good images of two classes."""
    for number in range(20):
        contents = {f"class{number % 2}/good{number:02}.png": png(number), **contents}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def table(path: Path, column: pa.Array) -> Path:
    pq.write_table(pa.table({"image": column, "label": [n % 2 for n in range(len(column))]}), path)
    return path


def raw(path: Path) -> RawData:
    return load_task(str(path), columns=IMAGE).raw


def pixels_of(data: RawData) -> torch.Tensor:
    assert data.test is not None
    return torch.cat([part.inputs["pixel_values"] for part in (data.train, data.test)])


def test_images_of_several_modes_are_taken_in_colour_and_that_is_said(tmp_path):
    for mode in ("L", "RGB", "RGBA", "P"):
        image_folder(tmp_path / mode, 20, mode=mode, classes=1)
        (tmp_path / mode / "class0").rename(tmp_path / f"mixed-{mode}")
    (tmp_path / "mixed").mkdir()
    for mode in ("L", "RGB", "RGBA", "P"):
        (tmp_path / f"mixed-{mode}").rename(tmp_path / "mixed" / mode)
    data = raw(tmp_path / "mixed")
    assert pixels_of(data).shape == (80, 3, 8, 8)
    assert data.classes == ("L", "P", "RGB", "RGBA")
    assert set(data.reading[0].notes) == {
        "20 images had no colour: made RGB",
        "20 images had a palette: its colours read",
        "20 images had an opaque alpha channel: left out",
    }


@pytest.mark.parametrize(
    ("train", "test", "channels"), [("L", "L", 1), ("L", "RGB", 3), ("RGB", "L", 3), ("1", "LA", 1)]
)
def test_all_parts_have_the_same_channels(tmp_path, train, test, channels):
    image_folder(tmp_path / "train", 20, mode=train)
    image_folder(tmp_path / "test", 6, mode=test)
    data = raw(tmp_path)
    assert data.test is not None
    assert data.train.inputs["pixel_values"].shape == (20, channels, 8, 8)
    assert data.test.inputs["pixel_values"].shape == (6, channels, 8, 8)
    if (train, test) == ("RGB", "L"):
        assert [part.notes for part in data.reading] == [(), ("6 images had no colour: made RGB",)]


def test_all_parts_have_one_size(tmp_path):
    image_folder(tmp_path / "train", 20)
    image_folder(tmp_path / "test", 6, size=9)
    refused(
        r"the image '.*/test/class0/000.png' is 9×9 pixels \(height × width\), but 20 of 26 images are 8×8, first of "
        r"all the image '.*/train/.*png': bring all images to one size first",
        tmp_path,
        IMAGE,
    )


def test_the_rare_size_is_the_one_that_is_named(tmp_path):
    for name, size in (("class0/000.png", (5, 4)), ("class1/zz.png", (6, 6))):
        folder_of(tmp_path / "data", {name: png(size=size)})
    refused(r"class0/000.png' is 4×5 pixels.* 20 of 22 images are 8×8 \(3 sizes in all\)", tmp_path / "data", IMAGE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.png", png()[:60], r"cut.png' cannot be decoded \(OSError: image file is truncated"),
        ("empty.png", b"", r"empty.png' is empty \(0 bytes\)"),
        ("words.jpg", b"just words", r"words.jpg' is not a PNG, JPEG, BMP, GIF, WebP or TIFF picture"),
        ("drawing.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n", r"drawing.png' is not a PNG"),
    ],
)
def test_what_cannot_be_decoded_is_named_and_nothing_runs(tmp_path, name, content, message):
    folder_of(tmp_path / "data", {f"class1/{name}": content})
    with nothing_run(tmp_path):
        refused(rf"the image '.*/class1/{message}", tmp_path / "data", IMAGE)


@pytest.mark.parametrize("first", ["aa", "zz"])
def test_one_huge_image_among_small_ones_is_named_before_it_is_decoded(tmp_path, first):
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    folder_of(tmp_path / "data", {f"class0/{first}.png": buffer.getvalue()})
    refused(rf"the image '.*/class0/{first}.png' is 20000×20000 pixels", tmp_path / "data", IMAGE)


def test_the_content_decides_and_not_the_ending(tmp_path):
    buffer = io.BytesIO()
    picture(99).save(buffer, "JPEG", quality=100)
    names = ["class0/a.PNG", "class0/b.JPEG", "class1/c.png", "class1/d.Jpg"]
    folder_of(tmp_path / "data", dict.fromkeys(names, buffer.getvalue()))
    data = raw(tmp_path / "data")
    expected = torch.from_numpy(np.array(Image.open(io.BytesIO(buffer.getvalue())))).permute(2, 0, 1)
    assert len(pixels_of(data)) == 24
    assert sum(torch.equal(image, expected) for image in pixels_of(data)) == 4


def test_16_bits_that_scaling_would_make_black_are_refused(tmp_path):
    for number in range(20):
        for kind, brightest in (("twelve", 4095), ("sixteen", 65_535)):
            path = tmp_path / kind / f"class{number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            values = np.random.default_rng(number).integers(0, brightest + 1, (8, 8)).astype(np.uint16)
            Image.fromarray(values).save(path)
    refused("use the lowest sixteenth of their range alone, so that 8 bits would leave", tmp_path / "twelve", IMAGE)
    data = raw(tmp_path / "sixteen")
    assert pixels_of(data).shape == (20, 1, 8, 8)
    assert pixels_of(data).max() == 255
    assert data.reading[0].notes[0].startswith("20 images had more than 8 bits a channel: scaled to 8 bits")


def test_more_than_memory_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 0)
    folder_of(tmp_path / "data", {})
    assert len(pixels_of(raw(tmp_path / "data"))) == 20
    monkeypatch.setattr(os, "sysconf", lambda name: 3839 if name == "SC_PAGE_SIZE" else 1)
    (tmp_path / "data").rename(tmp_path / "again")
    refused(r"the 20 images of 8×8 pixels take 0.0 GB of memory, and this machine has", tmp_path / "again", IMAGE)


BYTES = [png(number) for number in range(20)]
STRUCTS = [{"bytes": content, "path": f"{number}.png"} for number, content in enumerate(BYTES)]
READABLE: dict[str, Any] = {
    "bytes and path": pa.array(STRUCTS),
    "path and bytes": pa.array([{"path": None, "bytes": content} for content in BYTES]),
    "bytes in a struct": pa.array([{"bytes": content} for content in BYTES]),
    "bytes": pa.array(BYTES),
    "many bytes": pa.array(BYTES, type=pa.large_binary()),
}


@pytest.mark.parametrize("kind", READABLE)
def test_encoded_images_in_parquet_need_no_metadata(tmp_path, kind):
    data = raw(table(tmp_path / "photos.parquet", READABLE[kind]))
    expected = {np.array(picture(number)).transpose(2, 0, 1).tobytes() for number in range(20)}
    assert {image.numpy().tobytes() for image in pixels_of(data)} == expected


UNREADABLE: dict[str, tuple[Any, str]] = {
    "names of files": (pa.array([f"{n}.png" for n in range(20)]), r"holds texts \(the names of files are not opened\)"),
    "numbers": (pa.array([[[[n, 2, 3]]] for n in range(20)]), "holds values of the type .*expected encoded images"),
    "texts in a struct": (pa.array([{"bytes": "aGVsbG8="}] * 20), "expected encoded images"),
    "numbers for paths": (pa.array([{"bytes": b"x", "path": 7}] * 20), "expected encoded images"),
    "a path alone": (pa.array([{"path": "1.png"}] * 20), "expected encoded images"),
    "another struct": (pa.array([{"bytes": b"x", "mask": b"y"}] * 20), "expected encoded images"),
    "one missing": (
        pa.array([*BYTES[:7], None, *BYTES[8:]]),
        r"the image in row 7 of .*, part 'train' is missing: add",
    ),
    "one empty": (pa.array([*STRUCTS[:7], {"bytes": b"", "path": "x.png"}]), r"row 7 \('x.png'\) of .* is empty"),
    "one damaged": (pa.array([*BYTES[:7], BYTES[7][:50]]), "row 7 of .*photos.parquet, part 'train' cannot be decoded"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_holds_no_encoded_images_is_refused_with_what_it_holds(tmp_path, kind):
    column, message = UNREADABLE[kind]
    refused(message, table(tmp_path / "photos.parquet", column), IMAGE)


def test_in_several_files_a_row_is_named_with_its_file(tmp_path):
    table(tmp_path / "train-00000-of-00002.parquet", pa.array(BYTES))
    table(tmp_path / "train-00001-of-00002.parquet", pa.array([*BYTES[:7], b"no image"]))
    refused("the image in train-00001-of-00002.parquet, row 7 of .* is not a PNG", tmp_path, IMAGE)


@pytest.mark.parametrize("with_metadata", [False, True])
@pytest.mark.parametrize("relative", [False, True])
def test_data_open_no_other_file_of_the_machine(tmp_path, monkeypatch, with_metadata, relative):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(50))
    monkeypatch.chdir(tmp_path)
    rows = [*STRUCTS[:9], {"bytes": None, "path": "secret.png" if relative else str(secret)}]
    path = tmp_path / "data" / "train.parquet"
    path.parent.mkdir()
    if with_metadata:
        features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
        stored = pa.Table.from_pydict({"image": rows, "label": [n % 2 for n in range(10)]}, features.arrow_schema)
        pq.write_table(stored, path)
    else:
        table(path, pa.array(rows))
    for given in (path, path.parent):
        refused(
            r"row 9 of .* names the file '.*secret.png' and does not hold its bytes, and data may not", given, IMAGE
        )


def test_a_saved_data_set_keeps_to_the_rule_too(tmp_path):
    rows = {"image": [*(content for content in BYTES), None], "label": [n % 2 for n in range(21)]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    part = datasets.Dataset.from_dict(rows, features).select(range(20))
    datasets.DatasetDict(train=part).save_to_disk(str(tmp_path / "saved"))
    assert len(pixels_of(raw(tmp_path / "saved"))) == 20


def test_a_pipe_in_place_of_an_image_is_refused_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    features = datasets.Features({"image": datasets.Image()})
    rows = datasets.Dataset.from_dict({"image": [{"bytes": None, "path": str(tmp_path / "a.png")}]}, features)
    column = ImageColumn(OpenedPart(rows, ("a.png",)), "image", "data, part 'train'", tmp_path)
    refusals.refused("a.png' is no file", list, iter(column))


def test_files_of_the_hub_are_opened_from_its_cache_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features({"image": datasets.Image()})
    for folder in ("cache", "other"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "a.png").write_bytes(png(3))
        rows = datasets.Dataset.from_dict(
            {"image": [{"bytes": None, "path": str(tmp_path / folder / "a.png")}]}, features
        )
        column = ImageColumn(OpenedPart(rows), "image", "owner/name, part 'train'")
        if folder == "cache":
            assert [opened.size for opened in column] == [(8, 8)]
        else:
            refusals.refused("does not hold its bytes", list, iter(column))
