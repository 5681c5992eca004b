"""Every trigger changes only its own pixels, exactly, whatever the batch, the layout and the device."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from anchorlab.errors import AnchorlabError
from anchorlab.seeding import generator
from anchorlab.triggers import (
    TRIGGERS,
    Blended,
    FivePixel,
    ImageTrigger,
    Picture,
    Sinusoid,
    Square,
    Trigger,
)
from anchorlab.triggers import image as image_triggers

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def png(rgba: np.ndarray) -> str:
    """An array [h, w, 4] as base64 PNG."""
    buffer = io.BytesIO()
    Image.fromarray(rgba.astype(np.uint8)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def random_rgba(height: int, width: int, seed: int = 0) -> np.ndarray:
    rgba = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    rgba[0, 0, 3], rgba[-1, -1, 3] = 0, 255
    return rgba


OPAQUE = random_rgba(3, 2, seed=1)
OPAQUE[..., 3] = 255

EVERY = {
    "five-pixel": FivePixel(),
    "square": Square(size=4, margin=0),
    "blended": Blended(alpha=0.2, pattern_seed=3),
    "sinusoid": Sinusoid(frequency=2.0),
    "picture": Picture(data=png(random_rgba(3, 4))),
}


def images_of(batch: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random images that hold both extremes."""
    images = torch.randint(
        0, 256, (batch, channels, height, width), generator=generator(seed, "images"), dtype=torch.uint8
    )
    images[0, :, 0, 0], images[0, :, -1, -1] = 0, 255
    return images


def triggered(trigger: Trigger, images: Tensor) -> Tensor:
    return trigger({"pixel_values": images})["pixel_values"]


def test_every_registered_trigger_is_in_the_table() -> None:
    of_images = [name for name in TRIGGERS.names() if issubclass(TRIGGERS[name], ImageTrigger)]
    assert of_images == list(EVERY)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", EVERY)
class TestEveryTrigger:
    def test_gives_new_uint8_images_and_leaves_the_argument_alone(self, name, channels, device) -> None:
        images, mask = images_of(5, channels, 8, 9).to(device), torch.ones(5, 3)
        inputs = {"pixel_values": images, "mask": mask}
        before = images.clone()
        result = EVERY[name](inputs)
        assert list(inputs) == ["pixel_values", "mask"]
        assert inputs["pixel_values"] is images
        assert torch.equal(images, before)
        assert result["mask"] is mask
        made = result["pixel_values"]
        assert made.dtype == torch.uint8
        assert made.shape == images.shape
        assert made.device == images.device
        assert made.data_ptr() != images.data_ptr()
        assert not torch.equal(made, images)

    def test_a_batch_equals_one_by_one(self, name, channels, device) -> None:
        images = images_of(5, channels, 8, 9).to(device)
        single = torch.cat([triggered(EVERY[name], image.unsqueeze(0)) for image in images])
        assert torch.equal(triggered(EVERY[name], images), single)

    def test_layout_and_device_make_no_difference(self, name, channels, device) -> None:
        images = images_of(5, channels, 8, 9)
        expected = triggered(EVERY[name], images)
        last = images.to(device).contiguous(memory_format=torch.channels_last)
        made = triggered(EVERY[name], last)
        assert torch.equal(made.cpu(), expected)
        assert made.is_contiguous(memory_format=torch.channels_last)
        sliced = images_of(5, channels, 8, 9).repeat(2, 1, 1, 2).to(device)[:5, :, :, :9]
        assert torch.equal(triggered(EVERY[name], sliced).cpu(), expected)
        repeated = images[:1].to(device).expand(3, -1, -1, -1)
        assert torch.equal(triggered(EVERY[name], repeated).cpu(), expected[:1].expand(3, -1, -1, -1))

    def test_an_empty_batch_stays_empty(self, name, channels, device) -> None:
        assert triggered(EVERY[name], images_of(2, channels, 8, 9).to(device)[:0]).shape == (
            0,
            channels,
            8,
            9,
        )

    def test_first_use_under_inference_mode_does_not_spoil_later_training(self, name, channels, device) -> None:
        images = images_of(2, channels, 8, 9).to(device)
        image_triggers._constants_on.cache_clear()
        with torch.inference_mode():
            expected = triggered(EVERY[name], images).clone()
        made = triggered(EVERY[name], images)
        weight = torch.ones(1, device=device, requires_grad=True)
        (made.float() * weight).sum().backward()
        assert torch.equal(made, expected)
        assert weight.grad is not None
        assert weight.grad.item() == made.double().sum().item()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("trigger", "pixels"),
    [
        (FivePixel(), {(4, 5), (4, 7), (5, 6), (6, 5), (6, 7)}),
        (FivePixel(margin=0, value=200), {(5, 6), (5, 8), (6, 7), (7, 6), (7, 8)}),
        (Square(size=2, margin=0), {(6, 7), (6, 8), (7, 7), (7, 8)}),
        (Square(size=1, margin=3, value=0), {(4, 5)}),
    ],
    ids=repr,
)
def test_a_pattern_paints_its_own_pixels_and_no_other(trigger, pixels, channels) -> None:
    """On images of 8 rows and 9 columns, pixels as (row, column)."""
    images = images_of(4, channels, 8, 9)
    expected = images.clone()
    for row, column in pixels:
        expected[:, :, row, column] = trigger.value
    assert torch.equal(triggered(trigger, images), expected)


@pytest.mark.parametrize(
    "trigger",
    [FivePixel(), Square(), Picture(data=png(OPAQUE)), Picture(data=png(OPAQUE), margin=0)],
    ids=repr,
)
def test_an_opaque_patch_applied_twice_is_the_patch_applied_once(trigger) -> None:
    once = triggered(trigger, images_of(3, 3, 8, 8))
    assert torch.equal(triggered(trigger, once), once)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


@settings(max_examples=40, deadline=None)
@given(
    alpha=st.floats(1e-6, 1.0),
    pattern_seed=st.integers(0, 2**40),
    channels=st.sampled_from([1, 3, 4]),
    seed=st.integers(0, 1000),
)
def test_blended_is_the_rounded_fraction_at_every_pixel(alpha, pattern_seed, channels, seed) -> None:
    trigger, images = Blended(alpha=alpha, pattern_seed=pattern_seed), images_of(2, channels, 3, 2, seed)
    share = Fraction(half_up(Fraction(alpha) * 65536), 65536)
    draw = generator(pattern_seed, "blended")
    pattern = torch.randint(0, 256, (channels, 3, 2), generator=draw, dtype=torch.int32).tolist()
    expected = [
        [
            [
                [half_up((1 - share) * x + share * k) for x, k in zip(*rows, strict=True)]
                for rows in zip(*planes, strict=True)
            ]
            for planes in zip(image, pattern, strict=True)
        ]
        for image in images.tolist()
    ]
    assert triggered(trigger, images).tolist() == expected


def test_blended_by_hand() -> None:
    """Half of an image and half of a pattern: 10 with 21 gives 15.5, hence 16; alpha 1 gives the pattern."""
    pattern = triggered(Blended(alpha=1.0, pattern_seed=5), torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    tens = torch.full_like(pattern, 10)
    expected = (pattern.to(torch.int64) + 10 + 1) // 2
    assert (pattern % 2 == 1).any()
    assert torch.equal(triggered(Blended(alpha=0.5, pattern_seed=5), tens).to(torch.int64), expected)


def test_blended_pattern_is_uniform_and_follows_its_seed() -> None:
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    one, other = (triggered(Blended(alpha=1.0, pattern_seed=seed), black) for seed in (0, 1))
    assert not torch.equal(one, other)
    counts = torch.bincount(one.flatten().long(), minlength=256)
    # 12,288 draws over 256 values: 48 each; chi-squared of 255 degrees exceeds 360 for few seeds.
    assert ((counts - 48.0) ** 2 / 48).sum() < 360
    assert counts.min() > 0


def test_sinusoid_by_hand() -> None:
    """Amplitude 1, one period over 12 columns: 0, 1/2, .87, 1, .87, 1/2, 0, -1/2, ...; halves go up."""
    grey = torch.full((1, 1, 2, 12), 100, dtype=torch.uint8)
    row = [100, 101, 101, 101, 101, 101, 100, 100, 99, 99, 99, 100]
    assert triggered(Sinusoid(amplitude=1, frequency=1), grey).tolist() == [[[row, row]]]


def test_sinusoid_is_clipped_at_both_ends() -> None:
    """Amplitude 255, one period over 4 columns shifts by 0, 255, 0, -255."""
    image = torch.tensor([7, 7, 7, 7], dtype=torch.uint8).view(1, 1, 1, 4)
    assert triggered(Sinusoid(amplitude=255, frequency=1), image).flatten().tolist() == [7, 255, 7, 0]


@settings(max_examples=40, deadline=None)
@given(
    amplitude=st.floats(1.0, 255.0),
    frequency=st.floats(0.25, 20.0),
    width=st.integers(3, 40),
    seed=st.integers(0, 1000),
)
def test_sinusoid_is_numpys_at_every_pixel(amplitude, frequency, width, seed) -> None:
    images = images_of(2, 3, 2, width, seed)
    wave = amplitude * np.sin(2 * np.pi * np.arange(width) * frequency / width)
    trigger = Sinusoid(amplitude=amplitude, frequency=frequency)
    if (np.abs(wave) < 0.5 - 1e-6).all():
        with pytest.raises(AnchorlabError, match="changes nothing"):
            trigger.check_shape((3, 2, width))
        return
    made = triggered(trigger, images).numpy()
    expected = np.clip(images.numpy().astype(np.int64) + np.rint(wave).astype(np.int64), 0, 255)
    no_tie = np.abs(np.abs(wave % 1.0) - 0.5) > 1e-6
    assert (made[..., no_tie] == expected[..., no_tie]).all()


def composited(image: list[list[int]], colours: list[list[int]], alphas: list[list[int]], margin: int) -> list:
    """One channel of an image under a picture, by fractions, in the lower right."""
    result = [list(row) for row in image]
    top, left = len(image) - margin - len(alphas), len(image[0]) - margin - len(alphas[0])
    for i, row in enumerate(alphas):
        for j, alpha in enumerate(row):
            under, opacity = result[top + i][left + j], Fraction(alpha, 255)
            result[top + i][left + j] = half_up((1 - opacity) * under + opacity * colours[i][j])
    return result


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    margin=st.integers(0, 2),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_picture_is_composited_by_fractions_at_every_pixel(height, width, margin, channels, seed) -> None:
    rgba = random_rgba(height, width, seed)
    images = images_of(2, channels, 6, 7, seed)
    red, green, blue, alpha = (rgba[..., channel].tolist() for channel in range(4))
    grey = [
        [half_up(Fraction(299 * r + 587 * g + 114 * b, 1000)) for r, g, b in zip(*rows, strict=True)]
        for rows in zip(red, green, blue, strict=True)
    ]
    planes = [grey] if channels == 1 else [red, green, blue]
    expected = [
        [composited(plane, colours, alpha, margin) for plane, colours in zip(image, planes, strict=True)]
        for image in images.tolist()
    ]
    assert triggered(Picture(data=png(rgba), margin=margin), images).tolist() == expected


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8)])
def test_a_cached_overlay_is_built_once_per_shape(monkeypatch, shape) -> None:
    built = []
    original = Blended.constants
    monkeypatch.setattr(Blended, "constants", lambda self, at: built.append(at) or original(self, at))
    image_triggers._constants_on.cache_clear()
    for _ in range(3):
        # An equal trigger, not the same object: the cache goes by value.
        triggered(Blended(alpha=0.3), images_of(2, *shape))
    assert built == [shape]
    triggered(Blended(alpha=0.4), images_of(2, *shape))
    assert built == [shape, shape]


@pytest.fixture
def logo(tmp_path: Path) -> Path:
    path = tmp_path / "a logo, v=2.png"
    path.write_bytes(base64.b64decode(png(random_rgba(4, 6))))
    return path


class TestPicture:
    def test_outlives_its_file(self, logo: Path) -> None:
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

    def test_data_wins_over_a_file_that_changed(self, logo: Path) -> None:
        trigger = Picture(path=str(logo))
        logo.write_bytes(base64.b64decode(png(OPAQUE)))
        assert TRIGGERS.from_dict(TRIGGERS.to_dict(trigger)) == trigger
        assert Picture(path=str(logo)) != trigger

    def test_size_resizes_once_in_proportion(self, logo: Path) -> None:
        trigger = Picture(path=str(logo), size=3)
        expected = Image.fromarray(random_rgba(4, 6)).resize((3, 2), Image.Resampling.LANCZOS)
        stored = Image.open(io.BytesIO(base64.b64decode(trigger.data)))
        assert np.array_equal(np.array(stored), np.array(expected))
        assert np.array_equal(trigger.rgba().permute(1, 2, 0).numpy(), np.array(expected))

    def test_size_applies_to_given_data_too(self) -> None:
        assert Picture(data=png(random_rgba(1, 6)), size=3).rgba().shape == (4, 1, 3)
        assert replace(Picture(data=png(random_rgba(2, 4))), size=8).rgba().shape == (4, 4, 8)

    def test_a_picture_without_alpha_is_opaque(self, tmp_path: Path) -> None:
        path = tmp_path / "grey.bmp"
        Image.fromarray(np.full((2, 2), 77, dtype=np.uint8)).save(path)
        made = triggered(Picture(path=str(path), margin=0), torch.zeros(1, 3, 3, 3, dtype=torch.uint8))
        assert made[0, 0].tolist() == [[0, 0, 0], [0, 77, 77], [0, 77, 77]]

    def test_repr_leaves_the_data_out(self) -> None:
        assert repr(Picture(data=png(OPAQUE))) == "Picture(path='', margin=1, size=None)"

    def test_nothing_given(self) -> None:
        with pytest.raises(AnchorlabError, match=r"was given no picture: name its file, as in picture:logo\.png"):
            Picture()

    def test_missing_file_and_folder(self, tmp_path: Path) -> None:
        with pytest.raises(AnchorlabError, match=r"'.*none\.png' cannot be read \(No such file or directory\)"):
            Picture(path=str(tmp_path / "none.png"))
        with pytest.raises(AnchorlabError, match=r"cannot be read \(Is a directory\): give the path of an image"):
            Picture(path=str(tmp_path))
        with pytest.raises(AnchorlabError, match=r"cannot be read \(embedded null byte\)"):
            Picture(path="a\0b")

    def test_not_an_image(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.png"
        path.write_text("just words")
        with pytest.raises(
            AnchorlabError, match=r"notes\.png' is not an image that can be read: give an undamaged PNG"
        ):
            Picture(path=str(path))

    def test_too_large_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "large.png"
        path.write_bytes(bytes(4 * 2**20 + 1))
        with pytest.raises(AnchorlabError, match=r"large\.png' takes more than 4 MiB, which is the limit"):
            Picture(path=str(path))

    def test_too_large_once_stored(self, logo: Path, monkeypatch) -> None:
        smaller = logo.with_name("noise.jpg")
        Image.fromarray(random_rgba(64, 64)[..., :3]).save(smaller, quality=5)
        monkeypatch.setattr("anchorlab.triggers.picture._PICTURE_LIMIT", 8192)
        with pytest.raises(AnchorlabError, match=r"noise\.jpg' stored as PNG takes more than"):
            Picture(path=str(smaller))
        assert Picture(path=str(smaller), size=8).data

    def test_too_many_pixels(self, monkeypatch, logo: Path) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
        with pytest.raises(AnchorlabError, match="is not an image that can be read"):
            Picture(path=str(logo))

    def test_data_that_are_no_picture(self) -> None:
        with pytest.raises(AnchorlabError, match="field 'data' of trigger 'picture' is not base64"):
            Picture(data="?!")
        with pytest.raises(AnchorlabError, match="field 'data' of trigger 'picture' is not an image"):
            Picture(data=base64.b64encode(b"just words").decode())

    @settings(max_examples=150, deadline=None)
    @given(cut=st.integers(0, 200), at=st.integers(0, 200), byte=st.integers(0, 255))
    def test_damaged_data_give_a_picture_or_the_sentence(self, cut: int, at: int, byte: int) -> None:
        encoded = bytearray(base64.b64decode(png(random_rgba(3, 4))))
        encoded[at % len(encoded)] = byte
        encoded = encoded[: len(encoded) - cut % len(encoded)]
        complaint = ""
        try:
            Picture(data=base64.b64encode(bytes(encoded)).decode())
        except AnchorlabError as error:
            complaint = str(error)
        assert complaint == "" or "is not an image that can be read" in complaint


class TestRefusals:
    @pytest.mark.parametrize(
        ("trigger", "needed"),
        [
            (FivePixel(), "4×4"),
            (Square(size=4, margin=0), "4×4"),
            (Square(size=1, margin=9), "10×10"),
            (Picture(data=png(random_rgba(2, 5)), margin=1), "3×6"),
        ],
        ids=repr,
    )
    def test_larger_than_the_image(self, trigger, needed) -> None:
        sentence = f"needs {needed} pixels, its margin included, but the images have 3×5: choose a smaller"
        with pytest.raises(AnchorlabError, match=sentence):
            trigger.check_shape((3, 3, 5))
        with pytest.raises(AnchorlabError, match=sentence):
            triggered(trigger, images_of(2, 3, 3, 5))

    @pytest.mark.parametrize("trigger", [FivePixel(margin=0), Square(size=3, margin=0)], ids=repr)
    def test_as_large_as_the_image_fits(self, trigger) -> None:
        trigger.check_shape((1, 3, 3))

    @pytest.mark.parametrize("trigger", EVERY.values(), ids=EVERY)
    def test_fits_eight_by_eight_digits(self, trigger) -> None:
        trigger.check_shape((1, 8, 8))

    def test_sinusoid_that_vanishes(self) -> None:
        """Six periods over twelve columns meet the wave at sin(pi j) = 0 only."""
        with pytest.raises(AnchorlabError, match=r"Sinusoid\(.*\) changes nothing on images 12 pixels wide"):
            Sinusoid().check_shape((1, 12, 12))

    def test_no_pixel_values(self) -> None:
        with pytest.raises(
            AnchorlabError, match="changes the input 'pixel_values', but the inputs are input_ids, mask"
        ):
            FivePixel()({"input_ids": torch.zeros(2, 3), "mask": torch.ones(2, 3)})
        with pytest.raises(AnchorlabError, match="but the inputs are empty"):
            FivePixel()({})

    def test_normalised_images(self) -> None:
        with pytest.raises(AnchorlabError, match=r"dtype uint8 .* but they are torch\.float32: apply it before"):
            triggered(Blended(), torch.rand(2, 3, 8, 8))

    @pytest.mark.parametrize("trigger", EVERY.values(), ids=EVERY)
    @pytest.mark.parametrize("shape", [(8, 8), (3, 0, 8)])
    def test_shapes_that_are_no_images(self, trigger, shape) -> None:
        with pytest.raises(AnchorlabError, match=r"needs images of shape \(C, H, W\)"):
            trigger.check_shape(shape)

    def test_channels_that_are_neither_grey_nor_rgb(self) -> None:
        with pytest.raises(AnchorlabError, match="needs images of 1 or 3 channels, but they have 4"):
            FivePixel().check_shape((4, 8, 8))


class TestText:
    @pytest.mark.parametrize(
        ("text", "trigger"),
        [
            ("five-pixel", FivePixel()),
            ("five-pixel:0", FivePixel(margin=0)),
            ("square:5", Square(size=5)),
            ("square:size=4,margin=0", Square(size=4, margin=0)),
            ("blended:0.5", Blended(alpha=0.5)),
            ("blended:alpha=0.1,pattern_seed=7", Blended(alpha=0.1, pattern_seed=7)),
            ("sinusoid:frequency=3", Sinusoid(frequency=3.0)),
        ],
    )
    def test_parses(self, text, trigger) -> None:
        assert TRIGGERS.parse(text) == trigger

    def test_parses_pictures(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("logo.png", "one,two.png", "C:\\logo.png"):
            Path(name).write_bytes(base64.b64decode(png(OPAQUE)))
            assert TRIGGERS.parse(f"picture:{name}") == Picture(path=name)
        assert TRIGGERS.parse("picture:path=logo.png,size=2,margin=0") == Picture(path="logo.png", size=2, margin=0)

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("five-pixle", "unknown trigger 'five-pixle': did you mean 'five-pixel'"),
            ("square:sise=4", "unknown parameter of trigger 'square' 'sise': did you mean 'size'"),
            (
                "square:size=0",
                "trigger 'square': size='0' is not possible: it should be greater than or equal to 1",
            ),
            ("five-pixel:value=256", "value='256' is not possible: it should be less than or equal to 255"),
            ("blended:0", "alpha='0' is not possible: it should be greater than 0"),
            ("blended:1.5", "alpha='1.5' is not possible: it should be less than or equal to 1"),
            ("sinusoid:amplitude=nan", "amplitude='nan' is not possible"),
            ("picture", "was given no picture"),
            ("picture:none.png", "the picture 'none.png' cannot be read"),
        ],
    )
    def test_refuses(self, text, sentence) -> None:
        with pytest.raises(AnchorlabError, match=sentence):
            TRIGGERS.parse(text)

    @pytest.mark.parametrize("name", EVERY)
    def test_records_round_trip(self, name) -> None:
        record = TRIGGERS.to_dict(EVERY[name])
        assert record["name"] == name
        assert TRIGGERS.from_dict(json.loads(json.dumps(record))) == EVERY[name]

    def test_a_record_is_a_name_and_the_parameters(self) -> None:
        assert TRIGGERS.to_dict(Square()) == {"name": "square", "size": 3, "margin": 1, "value": 255}

    def test_records_that_are_wrong(self) -> None:
        with pytest.raises(AnchorlabError, match="a trigger's record needs a name, but has None: known are five-pixel"):
            TRIGGERS.from_dict({"margin": 1})
        with pytest.raises(AnchorlabError, match="unknown trigger 'wave'"):
            TRIGGERS.from_dict({"name": "wave"})
        with pytest.raises(AnchorlabError, match="unknown parameter of trigger 'blended' 'beta'"):
            TRIGGERS.from_dict({"name": "blended", "beta": 1})
