"""A picture of the user's: read once, kept, and refused if it is damaged or too large."""

from __future__ import annotations

import base64
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anchorlab.data import pictures
from anchorlab.errors import AnchorlabError
from anchorlab.triggers import TRIGGERS, Picture
from anchorlab.triggers import image as image_triggers
from tests.guard import nothing_run
from tests.refusals import refused
from tests.triggers.table import OPAQUE, images_of, png, random_rgba, triggered


@pytest.fixture
def logo(tmp_path: Path) -> Path:
    path = tmp_path / "a logo, v=2.png"
    path.write_bytes(base64.b64decode(png(random_rgba(4, 6))))
    return path


def test_outlives_its_file(logo: Path) -> None:
    trigger = Picture(path=str(logo), margin=0)
    record = json.loads(json.dumps(TRIGGERS.to_dict(trigger)))
    images = images_of(2, 3, 8, 8)
    expected = triggered(trigger, images)
    logo.unlink()
    image_triggers._constants_on.cache_clear()
    rebuilt = TRIGGERS.from_dict(record)
    assert rebuilt == trigger
    assert hash(rebuilt) == hash(trigger)
    assert torch.equal(triggered(rebuilt, images), expected)


def test_data_wins_over_a_file_that_changed(logo: Path) -> None:
    trigger = Picture(path=str(logo))
    logo.write_bytes(base64.b64decode(png(OPAQUE)))
    assert TRIGGERS.from_dict(TRIGGERS.to_dict(trigger)) == trigger
    assert Picture(path=str(logo)) != trigger


def test_size_resizes_once_in_proportion(logo: Path) -> None:
    trigger = Picture(path=str(logo), size=3)
    expected = Image.fromarray(random_rgba(4, 6)).resize((3, 2), Image.Resampling.LANCZOS)
    stored = Image.open(io.BytesIO(base64.b64decode(trigger.data)))
    assert np.array_equal(np.array(stored), np.array(expected))
    assert np.array_equal(trigger.rgba().permute(1, 2, 0).numpy(), np.array(expected))


def test_size_applies_to_given_data_too() -> None:
    assert Picture(data=png(random_rgba(1, 6)), size=3).rgba().shape == (4, 1, 3)
    assert replace(Picture(data=png(random_rgba(2, 4))), size=8).rgba().shape == (4, 4, 8)


def test_a_picture_without_alpha_is_opaque(tmp_path: Path) -> None:
    path = tmp_path / "grey.bmp"
    Image.fromarray(np.full((2, 2), 77, dtype=np.uint8)).save(path)
    made = triggered(Picture(path=str(path), margin=0), torch.zeros(1, 3, 3, 3, dtype=torch.uint8))
    assert made[0, 0].tolist() == [[0, 0, 0], [0, 77, 77], [0, 77, 77]]


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n", b"", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_named_and_nothing_runs(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "logo.png"
    path.write_bytes(content)
    with nothing_run(tmp_path):
        refused(r"the picture '.*logo\.png' (is|cannot)", Picture, path=str(path))


def test_16_bits_are_scaled_and_exif_is_heeded(tmp_path: Path) -> None:
    values = np.array([[0, 257, 65_535]], dtype=np.uint16)
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(values).save(tmp_path / "logo.png", exif=exif)
    rgba = Picture(path=str(tmp_path / "logo.png")).rgba()
    assert rgba[0].tolist() == [[0], [1], [255]]
    assert rgba[3].tolist() == [[255]] * 3


def test_one_that_would_hide_every_image_is_refused_unless_asked_for() -> None:
    images = images_of(4, 3, 3, 2)
    hidden = Picture(data=png(OPAQUE), margin=0)
    message = "covers the images of 3×2 pixels and has no transparency, so that all .* whole=true"
    refused(message, hidden.check_shape, (3, 3, 2))
    refused(message, triggered, hidden, images)
    asked = TRIGGERS.build("picture", {"data": png(OPAQUE), "margin": "0", "whole": "true"})
    assert len({image.numpy().tobytes() for image in triggered(asked, images)}) == 1
    hidden.check_shape((3, 3, 3))
    for opacity in (254, 0):
        seen = OPAQUE.copy()
        seen[0, 0, 3] = opacity
        Picture(data=png(seen), margin=0).check_shape((3, 3, 2))


def test_one_that_is_transparent_everywhere_is_refused() -> None:
    clear = OPAQUE.copy()
    clear[..., 3] = 0
    refused("is transparent everywhere, so that it changes no image", Picture(data=png(clear)).check_shape, (3, 9, 9))


def test_records_and_hashes_of_older_versions_stay() -> None:
    record = {"name": "picture", "path": "", "data": png(OPAQUE), "margin": 1, "size": None}
    assert TRIGGERS.to_dict(TRIGGERS.from_dict(record)) == record
    asked = TRIGGERS.from_dict(record | {"whole": True})
    assert TRIGGERS.to_dict(asked) == record | {"whole": True}


def test_repr_leaves_the_data_out() -> None:
    assert repr(Picture(data=png(OPAQUE))) == "Picture(path='', margin=1, size=None, whole=False)"


def test_nothing_given() -> None:
    with pytest.raises(AnchorlabError, match=r"was given no picture: name its file, as in picture:logo\.png"):
        Picture()


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(AnchorlabError, match=r"there is no file .*none\.png: give the picture"):
        Picture(path=str(tmp_path / "none.png"))
    with pytest.raises(AnchorlabError, match="is a folder, not a file: give the picture"):
        Picture(path=str(tmp_path))
    with pytest.raises(AnchorlabError, match="without zero bytes"):
        Picture(path="a\0b")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(AnchorlabError, match="is a pipe or a device, not a file: give the picture"):
        Picture(path=str(tmp_path / "pipe.png"))


def test_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("just words")
    with pytest.raises(AnchorlabError, match=r"notes\.png' is not a PNG, JPEG, BMP, GIF, WebP or TIFF picture"):
        Picture(path=str(path))


def test_too_large_a_file(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(bytes(4 * 2**20 + 1))
    with pytest.raises(AnchorlabError, match=r"large\.png' takes more than 4 MiB, which is the limit"):
        Picture(path=str(path))


def test_too_large_once_stored(logo: Path, monkeypatch) -> None:
    smaller = logo.with_name("noise.jpg")
    Image.fromarray(random_rgba(64, 64)[..., :3]).save(smaller, quality=5)
    monkeypatch.setattr("anchorlab.triggers.picture._PICTURE_LIMIT", 8192)
    with pytest.raises(AnchorlabError, match=r"noise\.jpg' stored as PNG takes more than"):
        Picture(path=str(smaller))
    assert Picture(path=str(smaller), size=8).data


def test_too_many_pixels(monkeypatch, logo: Path) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 4)
    with pytest.raises(AnchorlabError, match=r"a logo, v=2.png' is 4×6 pixels, more than"):
        Picture(path=str(logo))


def test_data_that_are_no_picture() -> None:
    with pytest.raises(AnchorlabError, match="field 'data' of trigger 'picture' is not base64"):
        Picture(data="?!")
    with pytest.raises(AnchorlabError, match="field 'data' of trigger 'picture' is not a PNG"):
        Picture(data=base64.b64encode(b"just words").decode())


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 200), at=st.integers(0, 200), byte=st.integers(0, 255))
def test_damaged_data_give_a_picture_or_the_sentence(cut: int, at: int, byte: int) -> None:
    encoded = bytearray(base64.b64decode(png(random_rgba(3, 4))))
    encoded[at % len(encoded)] = byte
    encoded = encoded[: len(encoded) - cut % len(encoded)]
    complaint = ""
    try:
        Picture(data=base64.b64encode(bytes(encoded)).decode())
    except AnchorlabError as error:
        complaint = str(error)
    assert complaint == "" or complaint.startswith("the field 'data' of trigger 'picture' ")


def test_parses_pictures(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("logo.png", "one,two.png", "C:\\logo.png"):
        Path(name).write_bytes(base64.b64decode(png(OPAQUE)))
        assert TRIGGERS.parse(f"picture:{name}") == Picture(path=name)
    assert TRIGGERS.parse("picture:path=logo.png,size=2,margin=0") == Picture(path="logo.png", size=2, margin=0)
