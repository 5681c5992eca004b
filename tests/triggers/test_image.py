"""Every trigger for images: new images, exact whatever the batch, the layout and the device."""

from __future__ import annotations

import pytest
import torch

from anchorlab.errors import AnchorlabError
from anchorlab.triggers import TRIGGERS, Blended, FivePixel, ImageTrigger
from anchorlab.triggers import image as image_triggers
from tests.triggers.table import EVERY, images_of, triggered

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


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


@pytest.mark.parametrize("trigger", EVERY.values(), ids=EVERY)
def test_fits_eight_by_eight_digits(trigger) -> None:
    trigger.check_shape((1, 8, 8))
    images = images_of(2, 1, 8, 8)
    assert not torch.equal(triggered(trigger, images), images)


def test_no_pixel_values() -> None:
    with pytest.raises(AnchorlabError, match="changes the input 'pixel_values', but the inputs are input_ids, mask"):
        FivePixel()({"input_ids": torch.zeros(2, 3), "mask": torch.ones(2, 3)})
    with pytest.raises(AnchorlabError, match="but the inputs are empty"):
        FivePixel()({})


def test_normalised_images() -> None:
    with pytest.raises(AnchorlabError, match=r"dtype uint8 .* but they are torch\.float32: apply it before"):
        triggered(Blended(), torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("trigger", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("shape", [(8, 8), (3, 0, 8)])
def test_shapes_that_are_no_images(trigger, shape) -> None:
    with pytest.raises(AnchorlabError, match=r"needs images of shape \(C, H, W\)"):
        trigger.check_shape(shape)
