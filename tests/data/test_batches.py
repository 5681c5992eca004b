"""Which examples a step sees, and how they are varied."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anchorlab.data import Augmentation
from anchorlab.data.batches import Batches, Share, augment, moved

CPU = torch.device("cpu")
sizes = st.integers(1, 30)


def drawn(size, batch_size, seed, purpose="clean"):
    return Batches(size, batch_size, seed=seed, purpose=purpose, device=CPU)


@given(size=sizes, batch_size=st.integers(1, 40), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_the_stream_is_one_permutation_after_another(size, batch_size, seed):
    batches = drawn(size, batch_size, seed)
    steps = -(-3 * size // batch_size)
    stream = torch.cat([batches(step) for step in range(steps)]).tolist()
    assert len(stream) == steps * batch_size
    for epoch in range(3):
        assert sorted(stream[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(size=sizes, batch_size=st.integers(1, 40), order=st.permutations(range(8)))
@settings(max_examples=60, deadline=None)
def test_a_batch_depends_on_its_step_alone(size, batch_size, order):
    forwards, shuffled = drawn(size, batch_size, 0), drawn(size, batch_size, 0)
    expected = [forwards(step).tolist() for step in range(8)]
    for step in order:
        assert shuffled(step).tolist() == expected[step]


@given(size=sizes, batch_size=st.integers(1, 40), steps=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_visited_is_what_is_drawn(size, batch_size, steps):
    batches = drawn(size, batch_size, 0)
    seen = {index for step in range(steps) for index in batches(step).tolist()}
    assert batches.visited(steps).tolist() == sorted(seen)


def test_epochs_seeds_and_purposes_are_shuffled_apart():
    streams = [drawn(50, 50, 0)(0), drawn(50, 50, 0)(1), drawn(50, 50, 1)(0), drawn(50, 50, 0, "triggered")(0)]
    assert len({tuple(stream.tolist()) for stream in streams}) == 4


def images(count=400, channels=3, height=5, width=4):
    """No two pixels of an image are the same, none is 0, and no image is its own mirror image."""
    values = torch.rand(count, channels * height * width, generator=torch.Generator().manual_seed(0)).argsort(1) + 1
    return values.view(count, channels, height, width).to(torch.uint8)


def varied(batch, how, **options):
    """The augmented images, as an array."""
    return augment({"pixel_values": batch}, how, **({"seed": 0, "step": 0} | options))["pixel_values"].numpy()


def test_each_shifted_image_is_a_crop_of_the_padded_one_and_all_crops_occur():
    before, pad = images(), 2
    after = varied(before, Augmentation(pad=pad))
    assert after.dtype == np.uint8
    assert after.shape == before.shape
    corners = set()
    for image, shifted in zip(before.numpy(), after, strict=True):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        found = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if np.array_equal(padded[:, row : row + 5, column : column + 4], shifted)
        ]
        assert len(found) == 1
        corners.update(found)
    assert corners == {(row, column) for row in range(5) for column in range(5)}


def test_mirroring_only_flips_about_half_of_the_images():
    before = images()
    after = varied(before, Augmentation(mirror=True))
    kept = (after == before.numpy()).all((1, 2, 3))
    flipped = (after == before.numpy()[..., ::-1]).all((1, 2, 3))
    assert (kept ^ flipped).all()
    assert 150 < kept.sum() < 250  # five standard deviations of a fair coin


def test_no_pad_and_no_mirror_change_nothing():
    assert np.array_equal(varied(images(), Augmentation()), images().numpy())


def test_augmentation_is_a_function_of_seed_and_step_and_leaves_its_input_alone():
    how, batch = Augmentation(pad=1, mirror=True), images()
    before = batch.clone()
    first = varied(batch, how)
    assert torch.equal(batch, before)
    assert np.array_equal(varied(batch, how), first)
    assert not np.array_equal(varied(batch, how, step=1), first)
    assert not np.array_equal(varied(batch, how, seed=1), first)


def test_shares_are_varied_as_the_whole_batch_is():
    how, batch = Augmentation(pad=2, mirror=True), images()
    whole = varied(batch, how)
    for share in (Share(0, 4), Share(3, 4)):
        assert np.array_equal(varied(share.of(batch), how, share=share), share.of(torch.from_numpy(whole)).numpy())


def test_other_inputs_pass_through():
    mask = torch.ones(400, 7)
    assert augment({"pixel_values": images(), "mask": mask}, Augmentation(pad=1), seed=0, step=0)["mask"] is mask


def test_what_was_drawn_arrives_as_it_is_without_a_copy_where_there_is_nothing_to_move():
    drawn = torch.randint(0, 9, (4,))
    assert moved(drawn, torch.device("cpu")) is drawn
    assert moved(drawn, torch.device("meta")).device.type == "meta"
