"""Pictures: which ones are opened, what becomes of each mode, and PNG files there and back."""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from anchorlab.data.pictures import FORMATS, from_png, open_picture, to_png
from anchorlab.errors import AnchorlabError
from tests.guard import nothing_run
from tests.refusals import refused

SIDES = st.integers(1, 9)
TALL = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def read(content: bytes) -> tuple[np.ndarray, list[str]]:
    """The pixels over white, and what was done."""
    opened = open_picture(content, "it")
    flat = opened.over_white()
    assert flat.mode == ("L" if opened.grey else "RGB")
    assert opened.size == (flat.height, flat.width)
    return np.array(flat), opened.changes


def over_white(rgba: np.ndarray) -> np.ndarray:
    """The formula, in fractions."""
    opacity = rgba[..., -1:] / 255
    return np.round(opacity * rgba[..., :-1] + (1 - opacity) * 255).astype(np.uint8)


@given(st.sampled_from([1, 3]), SIDES, SIDES, st.integers(0, 1000))
def test_grey_and_colour_come_back_unchanged(channels, height, width, seed):
    shape = (channels, height, width)
    picture = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    assert torch.equal(from_png(to_png(picture)), picture)


def test_other_channels_are_averaged_to_grey():
    picture = torch.tensor([[[10]], [[20]]], dtype=torch.uint8)
    assert from_png(to_png(picture)).tolist() == [[[15]]]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_8_bit_grey_and_colour_stay_as_they_are(kind, mode):
    picture = Image.fromarray(TALL[..., :3]).convert(mode)
    pixels, changes = read(encoded(picture, kind))
    assert np.array_equal(pixels, np.array(picture))
    assert changes == []


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_by_the_range_of_the_format(kind):
    values = np.array([[0, 128, 129, 257, 10_000, 40_000, 65_535]], dtype=np.uint16)
    pixels, changes = read(encoded(Image.fromarray(values), kind))
    assert pixels.tolist() == np.round(values / 257).astype(int).tolist()
    assert pixels[0, -1] == 255
    assert len(changes) == 1
    assert "scaled to 8 bits" in changes[0]


def png_of_16_bits(pixels: np.ndarray) -> bytes:
    """A PNG of 16-bit colour, with or without opacity, which PIL does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bit_channels_of_a_png_keep_the_upper_byte_and_say_so(channels):
    values = np.random.default_rng(1).integers(0, 65_536, (5, 3, channels))
    pixels, changes = read(png_of_16_bits(values))
    expected = values // 256
    expected = expected if channels == 3 else over_white(expected.astype(np.uint8))
    assert np.array_equal(pixels, np.broadcast_to(expected, (5, 3, 3)))  # PIL makes grey with opacity RGBA
    assert "scaled to 8 bits" in changes[0]


def test_12_bits_of_a_tiff_are_scaled_by_their_own_range():
    rows = np.array([[0, 2048, 4095, 16]])
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x10])  # 000 800 FFF 010
    tags = {256: (4, 4), 257: (4, 1), 258: (3, 12), 259: (3, 1), 262: (3, 1), 273: (4, 0), 277: (3, 1), 278: (4, 1)}
    pixels, changes = read(tiff(tags | {279: (4, 6)}, packed))
    assert pixels.tolist() == np.round(rows * 255 / 4095).astype(int).tolist()
    assert "more than 8 bits" in changes[0]


@pytest.mark.parametrize(("bits", "packed"), [(2, 0b00011011), (4, 0x0F)])
def test_few_bits_of_a_tiff_are_scaled_to_8(bits, packed):
    width = 8 // bits
    tags = {
        256: (4, width),
        257: (4, 1),
        258: (3, bits),
        259: (3, 1),
        262: (3, 1),
        273: (4, 0),
        277: (3, 1),
        278: (4, 1),
    }
    pixels, changes = read(tiff(tags | {279: (4, 1)}, bytes([packed])))
    assert pixels.tolist() == [[0, 85, 170, 255]] if bits == 2 else [[0, 255]]
    assert changes == [f"had {bits} bits a pixel: scaled to 8 bits"]


def tiff(tags: dict[int, tuple[int, int]], pixels: bytes) -> bytes:
    """A TIFF of one strip; each tag has a type (3 for 16 bits, 4 for 32) and a value."""
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", start if tag == 273 else value)
        for tag, (kind, value) in sorted(tags.items())
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + pixels


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_transparency_is_laid_over_white(seed):
    rgba = np.random.default_rng(seed).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    pixels, changes = read(encoded(Image.fromarray(rgba, "RGBA")))
    assert np.array_equal(pixels, over_white(rgba))
    assert changes == ["had transparency: laid over white"]
    grey = rgba[..., 2:]
    assert np.array_equal(read(encoded(Image.fromarray(grey, "LA")))[0], over_white(grey)[..., 0])


def test_a_shape_in_the_transparency_alone_stays():
    rgba = np.zeros((4, 4, 4), dtype=np.uint8)
    rgba[1:3, 1:3, 3] = 255
    pixels, _ = read(encoded(Image.fromarray(rgba, "RGBA")))
    assert np.array_equal(pixels[..., 0], 255 - rgba[..., 3])


@pytest.mark.parametrize(("colour", "opacity"), [(255, [0, 255]), (None, [0, 0])])
def test_a_picture_of_which_white_leaves_nothing_is_refused(colour, opacity):
    rgba = np.full((4, 4, 4), 255, dtype=np.uint8)
    rgba[:2, :, 3], rgba[2:, :, 3] = opacity
    if colour is None:
        rgba[..., :3] = TALL[:4, :4, :3]
    with pytest.raises(AnchorlabError, match="it is transparent, and nothing of it is left over white"):
        read(encoded(Image.fromarray(rgba, "RGBA")))


def test_an_opaque_alpha_channel_is_left_out_and_a_blank_picture_is_white():
    pixels, changes = read(encoded(Image.fromarray(TALL[..., :3]).convert("RGBA")))
    assert np.array_equal(pixels, TALL[..., :3])
    assert changes == ["had an opaque alpha channel: left out"]
    assert read(encoded(Image.new("RGBA", (2, 2))))[0].tolist() == [[[255] * 3] * 2] * 2


def test_palettes_give_their_colours_and_transparent_ones_white():
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    for kind in ("PNG", "GIF", "TIFF", "BMP"):
        pixels, changes = read(encoded(picture, kind))
        assert pixels.tolist() == [[[10, 20, 30], [200, 100, 50]]]
        assert changes == ["had a palette: its colours read"]
    for kind in ("PNG", "GIF"):
        pixels, changes = read(encoded(picture, kind, transparency=0))
        assert pixels.tolist() == [[[255, 255, 255], [200, 100, 50]]]
        assert changes == ["had a palette: its colours read", "had transparency: laid over white"]
    pixels, _ = read(encoded(picture, "PNG", transparency=bytes([51, 255])))
    assert pixels.tolist() == [[[206, 208, 210], [200, 100, 50]]]


@pytest.mark.parametrize(
    ("mode", "key", "expected"), [("L", 7, [255, 8]), ("1", 1, [0, 255]), ("RGB", (7, 7, 7), [[255] * 3, [8] * 3])]
)
def test_one_transparent_colour_becomes_white(mode, key, expected):
    values = [0, 1] if mode == "1" else [7, 8]
    picture = Image.new(mode, (2, 1))
    for column, value in enumerate(values):
        picture.putpixel((column, 0), (value,) * 3 if mode == "RGB" else value * (255 if mode == "1" else 1))
    pixels, changes = read(encoded(picture, "PNG", transparency=key))
    assert pixels.tolist() == [expected]
    assert "had transparency: laid over white" in changes


def test_other_modes_are_converted_by_pil_and_named():
    colour = Image.fromarray(TALL[..., :3])
    for mode, kind in (("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "TIFF"), ("LAB", "TIFF")):
        content = encoded(colour.convert(mode) if mode != "LAB" else Image.frombytes("LAB", (4, 6), bytes(72)), kind)
        pixels, changes = read(content)
        assert np.array_equal(pixels, np.array(Image.open(io.BytesIO(content)).convert("RGB")))
        assert changes == [f"had the mode {mode}: converted to RGB"]
    pixels, changes = read(encoded(colour.convert("1")))
    assert set(np.unique(pixels)) <= {0, 255}
    assert changes == ["had 1 bit a pixel: black read as 0, white as 255"]


UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored.swapaxes(0, 1), 2),
    8: np.rot90,
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_turns_the_picture_before_its_size_is_known(kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    pixels, changes = read(encoded(Image.fromarray(TALL[..., :3]), kind, exif=exif))
    assert np.array_equal(pixels, UPRIGHT[orientation](TALL[..., :3]))
    assert changes == (["had an EXIF orientation: turned as it says"] if orientation > 1 else [])


def test_a_jpeg_is_a_jpeg_whatever_its_ending_and_photos_of_phones_are_their_first_frame(tmp_path):
    photo = Image.fromarray(TALL[..., :3])
    expected = np.array(Image.open(io.BytesIO(encoded(photo, "JPEG"))))
    assert np.array_equal(read(encoded(photo, "JPEG"))[0], expected)
    several = encoded(photo, "MPO", save_all=True, append_images=[Image.new("RGB", (3, 3))])
    pixels, changes = read(several)
    assert np.array_equal(pixels, expected)
    assert changes == ["had further frames beside the photo (MPO): left out"]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_several_frames_are_refused(kind):
    frames = [Image.new("RGB", (8, 8), (50 * n, 0, 0)) for n in range(3)]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    refused("^it has several frames or pages, expected one", open_picture, content, "it")


def test_what_has_no_known_range_is_refused():
    values = np.array([[0, 70_000]])
    refused("it has 32-bit, .*mode F", open_picture, encoded(Image.fromarray(values.astype("f4")), "TIFF"), "it")
    refused("it has 32-bit, .*mode I", open_picture, encoded(Image.fromarray(values.astype("i4")), "TIFF"), "it")
    signed = {256: (4, 2), 257: (4, 1), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, 0), 277: (3, 1), 279: (4, 2)}
    assert read(tiff(signed, b"\x01\xff"))[0].tolist() == [[1, 255]]
    refused("it has 32-bit, signed", open_picture, tiff(signed | {339: (3, 2)}, b"\x01\xff"), "it")


def many_channels(channels: int, *, extra: int = 0) -> bytes:
    """A TIFF of red, green, blue and further channels of one pixel."""
    start = 8 + 2 + 12 * 10 + 4
    bits = struct.pack(f"<{channels}H", *[8] * channels)
    kinds = struct.pack(f"<{channels - 3}H", *[extra] * (channels - 3)).ljust(4, b"\0")
    after = len(bits) + (len(kinds) if channels > 5 else 0)
    entries = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, channels, start), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, start + after), (277, 3, 1, channels), (278, 4, 1, 1), (279, 4, 1, channels)]
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    place = struct.pack("<I", start + len(bits)) if channels > 5 else kinds
    packed += struct.pack("<HHI", 338, 3, channels - 3) + place
    return b"II*\0" + struct.pack("<IH", 8, 10) + packed + bytes(4) + bits + (kinds if channels > 5 else b"") + bytes(9)


@pytest.mark.parametrize("channels", [4, 5, 6])
def test_channels_that_pil_would_leave_out_are_refused(channels):
    assert Image.open(io.BytesIO(many_channels(channels))).mode == "RGB"
    refused(f"it has {channels} channels, of which 3 would be read", open_picture, many_channels(channels), "it")


def test_more_channels_than_pil_knows_are_refused_without_a_word_of_pil(caplog):
    with caplog.at_level(logging.DEBUG):
        refused("it is a TIFF of a kind that cannot be read", open_picture, many_channels(8), "it")
    assert "More samples" not in caplog.text


def test_a_fourth_channel_of_a_bmp_is_refused_if_it_varies():
    rgba = TALL.copy()
    refused("it has a fourth channel", open_picture, encoded(Image.fromarray(rgba, "RGBA"), "BMP"), "it")
    rgba[..., 3] = 255
    assert np.array_equal(read(encoded(Image.fromarray(rgba, "RGBA"), "BMP"))[0], rgba[..., :3])


def test_a_bomb_is_refused_by_its_header():
    for side in (20_000, 8_200, 12_000):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            refused(
                rf"it is {side}×{side} pixels, more than", open_picture, encoded(Image.new("1", (side, side))), "it"
            )
    assert Image.MAX_IMAGE_PIXELS is not None


@pytest.mark.parametrize(
    "content", [b"", b"just words", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"%PDF-1.4", b"GIF89a", b"BM"]
)
def test_what_is_no_picture_is_refused(content):
    refused("^it (is|cannot)", open_picture, content, "it")


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_picture_that_is_cut_off_is_refused_or_whole(kind, data):
    content = encoded(Image.fromarray(TALL[..., :3]), kind)
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    try:
        pixels, _ = read(cut)
    except AnchorlabError:
        return
    assert np.array_equal(pixels, read(content)[0])


def test_a_damaged_png_is_never_read_otherwise():
    content = encoded(Image.fromarray(TALL[..., :3]))
    expected = read(content)[0]
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 4
        try:
            pixels, _ = read(bytes(damaged))
        except AnchorlabError:
            continue
        assert np.array_equal(pixels, expected)


def test_the_tiff_library_writes_nothing_to_the_terminal(capfd):
    content = encoded(Image.fromarray(TALL[..., :3]), "TIFF", compression="tiff_deflate")
    damaged = bytearray(content)
    start = content.index(b"\x78", 8)
    damaged[start + 20] ^= 0xFF
    with pytest.raises(AnchorlabError, match="it cannot be decoded"):
        read(bytes(damaged))
    assert capfd.readouterr() == ("", "")
    sys.stderr.write("still here\n")
    assert capfd.readouterr().err == "still here\n"


def test_damaged_metadata_are_said():
    cut_off = b"Exif\0\0II*\0\x08\0\0\0\x05\0" + bytes(6)
    pixels, changes = read(encoded(Image.fromarray(TALL[..., :3]), "JPEG", exif=cut_off))
    assert np.array_equal(pixels, read(encoded(Image.fromarray(TALL[..., :3]), "JPEG"))[0])
    assert changes == ["had damaged metadata: left unread"]


def test_an_eps_never_reaches_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    mark = tmp_path / "ran"
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {mark}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(ghostscript.parent), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with nothing_run(tmp_path):
        refused("it is not a PNG, JPEG, BMP, GIF, WebP or TIFF picture", open_picture, content, "it")
    assert not mark.exists()
    with pytest.raises((OSError, subprocess.CalledProcessError)):
        Image.open(io.BytesIO(content)).load()
    assert mark.exists()  # which is what would have happened
