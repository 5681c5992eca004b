"""The defender's batches: images shift by an eighth of their width, and texts never do."""

from __future__ import annotations

import pytest
import torch

from anchorlab.data import Augmentation, Split
from anchorlab.repairs import ANP, FTSAM, IBAU, NAD, FinePruning, FineTuning, ModeConnectivity
from anchorlab.repairs.clean_batches import CleanBatches, augmentation_of


def images(width: int, count: int = 40) -> Split:
    pixels = torch.randint(1, 256, (count, 1, width, width), generator=torch.Generator().manual_seed(0)).byte()
    return Split({"pixel_values": pixels}, torch.arange(count))


TEXTS = Split(
    {"input_ids": torch.arange(8, dtype=torch.int32).view(4, 2), "attention_mask": torch.ones(4, 2, dtype=torch.bool)},
    torch.arange(4),
)


@pytest.mark.parametrize(("width", "pad"), [(8, 1), (28, 4), (32, 4), (64, 8), (2, 1)])
def test_images_shift_by_an_eighth_of_their_width(width, pad):
    assert augmentation_of("shift", images(width)) == Augmentation(pad=pad)
    assert augmentation_of("shift+mirror", images(width)) == Augmentation(pad=pad, mirror=True)
    assert augmentation_of("mirror", images(width)) == Augmentation(mirror=True)
    assert augmentation_of("none", images(width)) == Augmentation()


def test_texts_never_vary():
    assert augmentation_of("shift+mirror", TEXTS) == Augmentation()
    inputs, labels = CleanBatches(TEXTS, 4, seed=0, variation="shift")(0)
    assert torch.equal(inputs["input_ids"], TEXTS.inputs["input_ids"][labels])


def test_a_batch_holds_its_examples_shifted_within_zeros_and_depends_on_its_step_alone():
    examples = images(8)
    batches, again = (CleanBatches(examples, 16, seed=3, variation="shift") for _ in range(2))
    plain = CleanBatches(examples, 16, seed=3, variation="none")
    inputs, labels = batches(5)
    assert torch.equal(again(5)[0]["pixel_values"], inputs["pixel_values"])
    assert torch.equal(plain(5)[1], labels)
    found = set()
    for image, label in zip(inputs["pixel_values"], labels, strict=True):
        padded = torch.nn.functional.pad(examples.inputs["pixel_values"][label], (1, 1, 1, 1))
        where = [
            (row, column)
            for row in range(3)
            for column in range(3)
            if torch.equal(padded[:, row : row + 8, column : column + 8], image)
        ]
        assert len(where) == 1
        found.add(where[0])
    assert len(found) > 4
    assert torch.equal(plain(5)[0]["pixel_values"], examples.inputs["pixel_values"][labels])


def test_the_published_code_of_all_but_i_bau_shifts_images():
    shifting = (FineTuning, FinePruning, NAD, ANP, FTSAM, ModeConnectivity)
    assert {repair().augment for repair in shifting} == {"shift"}
    assert IBAU().augment == "none"


@pytest.mark.parametrize("repair", [FineTuning(epochs=1), NAD(epochs=1), ModeConnectivity(epochs=1), ANP(steps=2)])
def test_a_repair_learns_from_varied_images_and_is_judged_on_images_as_they_are(
    repair, suspicious, defender_data, context, monkeypatch
):
    seen = []
    real = CleanBatches.__init__

    def init(self, examples, batch_size, *, seed, variation):
        seen.append((examples is defender_data.train, variation))
        real(self, examples, batch_size, seed=seed, variation=variation)

    monkeypatch.setattr(CleanBatches, "__init__", init)
    repair.repair(suspicious, defender_data, context)
    assert set(seen) == {(True, "shift")}
