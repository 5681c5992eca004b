"""A blended image, by fractions and by hand."""

from __future__ import annotations

from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anchorlab.seeding import generator
from anchorlab.triggers import Blended
from tests.triggers.table import half_up, images_of, triggered


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
