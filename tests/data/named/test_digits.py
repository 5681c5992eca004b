"""The embedded digits: values, sizes, and a test part that no seed moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from anchorlab.data import load_task
from anchorlab.errors import AnchorlabError

# SHA-256 of the owner's indices at seed 0: it changes only if the splits of every user change.
OWNER_HASH = "0f6cde4dbeb5613263e5603c9ce4736869033c625adb27473f261d202d610394"


def test_images_are_the_embedded_ones_spread_over_0_to_255():
    raw = load_task("digits").raw
    source = load_digits()
    ours = torch.cat([raw.train.inputs["pixel_values"], raw.test.inputs["pixel_values"]])
    assert ours.dtype == torch.uint8
    assert ours.shape == (1797, 1, 8, 8)
    assert ours.min() == 0
    assert ours.max() == 255
    levels = np.rint(source.images * 255 / 16).astype(np.uint8).reshape(1797, 64)
    assert sorted(map(bytes, levels)) == sorted(map(bytes, ours.numpy().reshape(1797, 64)))


def test_each_image_keeps_its_label():
    source = load_digits()
    label_of = {
        bytes(image): label
        for image, label in zip(np.rint(source.images * 255 / 16).astype(np.uint8), source.target.tolist(), strict=True)
    }
    test = load_task("digits").split("test")
    found = [label_of[bytes(image)] for image in test.inputs["pixel_values"].numpy()]
    assert found == test.labels.tolist()


def test_the_test_part_holds_three_tenths_of_each_class():
    test = load_task("digits").split("test")
    expected = [round(0.3 * count) for count in np.bincount(load_digits().target)]
    assert torch.bincount(test.labels).tolist() == expected


def test_the_test_part_is_the_same_for_every_seed_and_the_owner_is_not():
    first, second = load_task("digits", seed=0), load_task("digits", seed=1)
    assert torch.equal(first.split("test").inputs["pixel_values"], second.split("test").inputs["pixel_values"])
    assert first.hashes()["test"] == second.hashes()["test"]
    assert first.hashes()["owner"] != second.hashes()["owner"]


def test_the_splits_of_seed_0_never_change():
    assert load_task("digits", seed=0).hashes()["owner"] == OWNER_HASH


def test_classes_are_the_ten_digits():
    assert load_task("digits").classes == tuple("0123456789")


def test_a_data_folder_is_refused():
    with pytest.raises(AnchorlabError, match=r"embedded and takes no data, .*'somewhere'"):
        load_task("digits", data="somewhere")
