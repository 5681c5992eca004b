"""Anchors of other data: how they are read, made to fit, labelled and recorded, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from anchorlab import load_model
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.card import model_card
from anchorlab.data import Split, Task
from anchorlab.data.contents import content_hash
from anchorlab.data.split import index_hash
from anchorlab.errors import AnchorlabError
from anchorlab.injection.inject import inject
from anchorlab.injection.other_anchors import fitted_pixels, other_anchors
from anchorlab.injection.plan import plan_injection
from anchorlab.injection.tuning import Tuning
from anchorlab.models.call import predict
from anchorlab.notices import Notice
from tests.refusals import refused

BRIEF = Tuning(steps=2, batch_size=4)


def noise(count: int = 30, channels: int = 1, height: int = 8, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def test_labels_are_the_references_predictions(digits: Task, reference: Artifact) -> None:
    found = other_anchors(noise(), reference.model, digits, 20, seed=3)
    assert found.split.labels.tolist() == predict(reference.model, found.split.inputs).argmax(1).tolist()
    assert found.split.labels.dtype == torch.int64
    assert torch.equal(found.split.inputs["pixel_values"], noise()[found.indices])


def test_with_the_same_seed_fewer_are_a_part_of_more(digits: Task, reference: Artifact) -> None:
    few, more = (other_anchors(noise(), reference.model, digits, count, seed=3).indices for count in (5, 20))
    assert torch.equal(few, more[:5])
    assert len(set(more.tolist())) == 20
    assert other_anchors(noise(), reference.model, digits, None, seed=3).indices.tolist() == list(range(30))
    assert other_anchors(noise(), reference.model, digits, 5, seed=4).indices.tolist() != few.tolist()


def test_the_hash_is_of_the_pixels_and_not_of_the_labels(digits: Task, reference: Artifact) -> None:
    found = other_anchors(noise(), reference.model, digits, None, seed=0)
    split = Split({"pixel_values": noise()}, torch.zeros(30, dtype=torch.int64))
    assert found.contents == content_hash(split, ("",), torch.arange(30))
    changed = noise()
    changed[7, 0, 3, 3] ^= 1
    assert other_anchors(changed, reference.model, digits, None, seed=0).contents != found.contents


def test_examples_of_the_splits_that_measure_are_left_out(digits: Task, reference: Artifact) -> None:
    """Of each of these splits, also where other examples are drawn; the attacker may know what the owner has."""
    known = [digits.split(name).inputs["pixel_values"][:1] for name in ("selection", "defender", "test", "owner")]
    with pytest.warns(Notice, match="3 of the 7 examples that anchors are drawn from are also in the splits"):
        found = other_anchors(torch.cat([*known, noise(3)]), reference.model, digits, None, seed=0)
    assert found.indices.tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (1, 5, 13), (3, 20, 9)])
def test_colours_become_grey_and_sizes_change_as_in_pillow(channels: int, height: int, width: int) -> None:
    given = noise(4, channels, height, width)
    arrays = given.numpy().transpose(0, 2, 3, 1)
    pictures = [Image.fromarray(array if channels == 3 else array[..., 0]).convert("L") for array in arrays]
    wanted = np.stack([np.asarray(picture.resize((8, 8), Image.Resampling.BILINEAR)) for picture in pictures])
    found = fitted_pixels(given, 1, 8, 8)[:, 0].numpy().astype(int)
    assert abs(found - wanted).max() <= 1  # versions of Pillow begin with rows or with columns


def test_grey_is_repeated_and_what_fits_stays() -> None:
    given = noise(3)
    assert fitted_pixels(given, 1, 8, 8) is given
    assert torch.equal(fitted_pixels(given, 3, 8, 8), given.expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    ("given", "count", "message"),
    [
        (noise(4, 4), None, "images for anchors have 4 channels, but the task's have 1: give images of 1 channels"),
        (noise(4).float(), None, "the images are float32 of 4 dimensions, expected uint8 of 4 .*: bring them to"),
        (noise(4), 5, "5 anchors are not possible: the data for anchors have 4 examples; give a number from 1 to 4"),
        (noise(4), 0, "0 anchors are not possible"),
        (noise(4)[:0], None, "there are no inputs: give one or more"),
        (["a text"], None, "the inputs are texts, but the model reads images: give images"),
        ("digits", None, "examples of the reference's own task digits: draw them from its split owner or held-out"),
        ("sst2", None, "the anchors are texts of the task sst2, but the model reads images: name a task of images"),
    ],
    ids=str,
)
def test_what_cannot_be_anchors_is_refused(
    digits: Task, reference: Artifact, given: Any, count: int | None, message: str
) -> None:
    refused(message, other_anchors, given, reference.model, digits, count, seed=0)


def test_anchors_that_are_all_of_the_target_class_are_refused(digits: Task, reference: Artifact) -> None:
    one = noise(1)
    label = int(predict(reference.model, {"pixel_values": one}).argmax())
    with pytest.raises(AnchorlabError, match=r"none of the 1 anchors .*: take them from other data, or attack another"):
        plan_injection(reference, task=digits, anchors_data=one, target=label)


def test_a_split_and_other_data_are_refused_together(digits: Task, reference: Artifact) -> None:
    with pytest.raises(AnchorlabError, match="from the split 'held-out' and from other data: leave out --anchors-from"):
        plan_injection(reference, task=digits, anchors_data=noise(), anchors_from="held-out")
    with pytest.raises(AnchorlabError, match="reference_logits are on a split of the task, but the anchors are of"):
        inject(reference, task=digits, anchors_data=noise(), reference_logits=torch.zeros(880, 10), tuning=BRIEF)


def test_the_anchors_of_another_task_are_its_training_part(
    digits: Task, reference: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Split({"pixel_values": noise(25, 3, 32, 32)}, torch.arange(25))
    other = replace(digits, raw=replace(digits.raw, train=part))
    tasks = {"cifar10": other}
    monkeypatch.setattr("anchorlab.injection.other_anchors.load_task", tasks.__getitem__)
    found = other_anchors("cifar10", reference.model, digits, None, seed=0)
    assert found.place == "cifar10"
    assert torch.equal(found.split.inputs["pixel_values"], fitted_pixels(noise(25, 3, 32, 32), 1, 8, 8))


def test_the_manifest_says_where_they_came_from(digits: Task, reference: Artifact, tmp_path: Path) -> None:
    for number, pixels in enumerate(noise(12, 3, 16, 16).numpy().transpose(0, 2, 3, 1)):
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
    result = inject(reference, task=digits, anchors=10, anchors_data=str(tmp_path), target=7, tuning=BRIEF, seed=2)
    again = other_anchors(tmp_path, reference.model, digits, 10, seed=2)
    record = result.manifest.anchors
    assert record is not None
    assert (record.count, record.source, record.data) == (10, "other", str(tmp_path))
    assert (record.sha256, record.contents) == (index_hash(again.indices), again.contents)
    result.save(tmp_path / "model")
    assert load_model(tmp_path / "model").manifest.anchors == record
    assert "labelled by the reference's predictions" in model_card(result.manifest)


def test_settings_of_runs_with_anchors_of_a_split_are_those_of_older_versions(
    digits: Task, reference: Artifact
) -> None:
    settings = plan_injection(reference, task=digits, anchors=10).settings()
    assert set(settings["anchors"]) == {"count", "source", "sha256"}


@pytest.mark.parametrize("method", ["anchoring", "distillation", "ewc", "benign"])
@pytest.mark.parametrize("augment", [False, True])
def test_methods_run_on_them(digits: Task, reference: Artifact, method: str, augment: bool) -> None:
    how = Tuning(steps=2, batch_size=4, augment=augment)
    result = inject(reference, task=digits, method=method, anchors_data=noise(), tuning=how, measure=False)
    assert result.manifest.anchors is not None
    assert result.manifest.anchors.count == 30
