"""A picture of the user's: read once, kept, and refused if it is damaged or too large."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anchorlab.errors import AnchorlabError
from anchorlab.triggers import TRIGGERS, Picture
from anchorlab.triggers import image as image_triggers
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


def test_repr_leaves_the_data_out() -> None:
    assert repr(Picture(data=png(OPAQUE))) == "Picture(path='', margin=1, size=None)"


def test_nothing_given() -> None:
    with pytest.raises(AnchorlabError, match=r"was given no picture: name its file, as in picture:logo\.png"):
        Picture()


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(AnchorlabError, match=r"'.*none\.png' cannot be read \(No such file or directory\)"):
        Picture(path=str(tmp_path / "none.png"))
    with pytest.raises(AnchorlabError, match=r"cannot be read \(Is a directory\): give the path of an image"):
        Picture(path=str(tmp_path))
    with pytest.raises(AnchorlabError, match=r"cannot be read \(embedded null byte\)"):
        Picture(path="a\0b")


def test_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("just words")
    with pytest.raises(AnchorlabError, match=r"notes\.png' is not an image that can be read: give an undamaged PNG"):
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
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    with pytest.raises(AnchorlabError, match="is not an image that can be read"):
        Picture(path=str(logo))


def test_data_that_are_no_picture() -> None:
    with pytest.raises(AnchorlabError, match="field 'data' of trigger 'picture' is not base64"):
        Picture(data="?!")
    with pytest.raises(AnchorlabError, match="field 'data' of trigger 'picture' is not an image"):
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
    assert complaint == "" or "is not an image that can be read" in complaint


def test_parses_pictures(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("logo.png", "one,two.png", "C:\\logo.png"):
        Path(name).write_bytes(base64.b64decode(png(OPAQUE)))
        assert TRIGGERS.parse(f"picture:{name}") == Picture(path=name)
    assert TRIGGERS.parse("picture:path=logo.png,size=2,margin=0") == Picture(path="logo.png", size=2, margin=0)
