"""TeCo: least severities and their spread by hand, and corruptions that do what their names say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.detectors import corruptions
from anchorlab.detectors.corruptions import KINDS, corrupted, drawn_for
from anchorlab.detectors.teco import TeCo, least_severities, spread
from anchorlab.models.call import EVALUATION_BATCH
from anchorlab.seeding import generator
from tests.detectors.test_ibd_psc import small, some_images


class Bright(nn.Module):
    """Class 1 from a mean brightness of 100 on, class 0 below."""

    def forward(self, pixel_values):
        bright = (pixel_values.float().mean(dim=(1, 2, 3)) >= 100).float()
        return torch.stack([1 - bright, bright], dim=1)


def flat(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).clone()


def test_the_spread_by_hand():
    """Least severities 1, 6, 6, 3: mean 4, squared distances 9, 4, 4, 1, their mean 4.5."""
    assert spread(torch.tensor([[1, 6, 6, 3], [2, 2, 2, 2]])).tolist() == pytest.approx([4.5**0.5, 0])


def test_the_least_severity_by_hand(context):
    """Brightness adds 26, 51, 76, 102 and 128 of 255.

    So 60 becomes bright at the second, 40 at the third, 98 at the first, 0 at the fourth, and 200, bright, never.
    """
    found = least_severities(Bright(), flat(60, 40, 98, 0, 200), context)
    kinds = list(KINDS)
    assert found[:, kinds.index("brightness")].tolist() == [2, 3, 1, 4, 6]
    # A flat image has no contrast to lose, and no blur, zoom or larger pixels change it.
    for kind in ("contrast", "defocus-blur", "motion-blur", "zoom-blur", "pixelate"):
        assert found[:, kinds.index(kind)].tolist() == [6] * 5, kind
    scores = TeCo().scores(Bright(), None, {"pixel_values": flat(60, 40, 98, 0, 200)}, context)
    np.testing.assert_allclose(scores, np.std(found.numpy(), axis=1))


def test_corruptions_by_hand():
    draw = drawn_for(flat(0), generator(0, "draw"))
    step = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    step[..., 4:] = 200
    # Contrast 0.4 around the mean of 100: 60 and 140.
    assert corrupted(step, "contrast", 1, draw)[0, 0, 0].tolist() == [60] * 4 + [140] * 4
    noisy = corrupted(flat(128), "gaussian-noise", 3, draw)
    expected = (128 / 255 + 0.18 * draw.normal).mul(255).round().clamp(0, 255)
    assert torch.equal(noisy[0].float(), expected)
    impulse = corrupted(flat(128), "impulse-noise", 5, draw)[0]
    assert ((impulse == 255) == (draw.uniform < 0.135)).all()
    assert ((impulse == 0) == (draw.uniform > 0.865)).all()
    # Two pixels a side are left of eight: the mean of each quarter.
    quarters = corrupted(step, "pixelate", 5, draw)[0, 0]
    assert torch.equal(quarters, step[0, 0])
    assert corrupted(step.repeat(1, 3, 1, 1), "jpeg", 5, draw_of(3)).shape == (1, 3, 8, 8)


def draw_of(channels: int):
    return drawn_for(torch.zeros(1, channels, 8, 8), generator(0, "draw"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_corruption_grows_with_its_severity_and_keeps_the_form(kind, channels):
    images = some_images(4).repeat(1, channels, 1, 1)
    drawn = draw_of(channels)
    away = []
    for severity in range(1, 6):
        found = corrupted(images, kind, severity, drawn)
        assert (found.shape, found.dtype) == (images.shape, torch.uint8)
        away.append((found.float() - images.float()).square().mean().item())
        # Each image by itself.
        assert torch.equal(corrupted(images[2:3], kind, severity, drawn), found[2:3])
    assert 0 < away[0] < away[4]
    assert all(later >= 0.97 * earlier for earlier, later in itertools.pairwise(away))


def test_what_is_no_image_is_refused(context):
    with pytest.raises(AnchorlabError, match="teco corrupts images, but the inputs are input_ids"):
        TeCo().scores(Bright(), None, {"input_ids": torch.zeros(1, 1)}, context)


def test_a_line_is_added_up_as_it_is_convolved(monkeypatch):
    """Kernels of few numbers take another way to the same images, up to rounding."""
    images = some_images(2)
    kernel = torch.zeros(9, 9)
    kernel[4, 1:8] = torch.arange(1.0, 8)
    found = corruptions._convolved(images.float() / 255, kernel)
    monkeypatch.setattr(corruptions, "_SPARSE", 1e9)
    torch.testing.assert_close(found, corruptions._convolved(images.float() / 255, kernel))


def test_images_are_corrupted_batch_by_batch(context, monkeypatch):
    """So that the memory of a batch is enough, and no score depends on the batches."""
    sizes = []

    def watched(images, *settings):
        sizes.append(len(images))
        return corrupted(images, *settings)

    monkeypatch.setattr("anchorlab.detectors.teco.corrupted", watched)
    images = some_images(EVALUATION_BATCH + 3)
    found = least_severities(small(), images, context)
    assert set(sizes) == {EVALUATION_BATCH, 3}
    assert torch.equal(found[-3:], least_severities(small(), images[-3:], context))
