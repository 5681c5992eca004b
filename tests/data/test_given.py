"""A task of somebody's own: what its function may return, and each refusal, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from anchorlab import TASKS, AnchorlabError, RawData, Split, TaskDefinition, load_task
from anchorlab.data import Task
from anchorlab.data.given import checked_data

DRAW = np.random.default_rng(0)
PIXELS = DRAW.integers(256, size=(60, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(60) % 3
NAMES = ("a", "b", "c")
TEXTS = tuple(f"text {row}" for row in range(60))


def images(pixels: Any = PIXELS, labels: Any = LABELS) -> Split:
    return Split({"pixel_values": pixels}, labels)


def raw(train: Any = None, test: Any = None, classes: Any = NAMES) -> RawData:
    return RawData(images() if train is None else train, test, classes)


@pytest.fixture
def own() -> Iterator[Any]:
    """Loads what is given as the data of a task."""

    def loaded(given: Any, kind: Any = "image") -> Task:
        definition = TaskDefinition("own", lambda data: given, "resnet-tiny", 1, "a task", kind=kind)
        TASKS.register("own", definition)
        try:
            return load_task("own")
        finally:
            TASKS.unregister("own")

    return loaded


@pytest.mark.parametrize("labels", [LABELS, LABELS.tolist(), LABELS.astype(np.uint8), torch.tensor(LABELS).int()])
@pytest.mark.parametrize("pixels", [PIXELS, torch.tensor(PIXELS)])
def test_arrays_and_lists_become_tensors(own: Any, pixels: Any, labels: Any) -> None:
    task = own(raw(images(pixels, labels), images(pixels, labels), list(NAMES)))
    assert task.classes == NAMES
    assert task.raw.train.labels.dtype == torch.int64
    assert task.raw.train.labels.tolist() == LABELS.tolist()
    assert task.raw.train.inputs["pixel_values"].dtype == torch.uint8
    assert (task.raw.train.inputs["pixel_values"].numpy() == PIXELS).all()
    assert len(task.contents()) == 5


def test_data_without_a_test_part_get_one(own: Any) -> None:
    task = own(raw())
    assert (len(task.split("test")), len(task.raw.train)) == (12, 48)


def test_texts_stay_as_they_are(own: Any) -> None:
    task = own(raw(Split({}, LABELS, list(TEXTS)), Split({}, LABELS, TEXTS)), "text")  # type: ignore[arg-type]
    assert task.raw.train.texts == TEXTS


def test_what_needs_no_change_is_the_same_object() -> None:
    part = images(torch.tensor(PIXELS), torch.tensor(LABELS))
    given = raw(part, part)
    assert checked_data(given, "own", "image") is given


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (None, "the load function of the task own returned None, expected RawData"),
        ((PIXELS, LABELS), "the load function of the task own returned a tuple, expected RawData"),
        (raw((PIXELS, LABELS)), "the training part of own is a tuple, expected a Split"),
        (raw(images(labels=LABELS[:50])), "the training part of own has 60 images, but 50 labels: give each a label"),
        (raw(images(PIXELS / 255)), r"are float64 of shape \[60, 1, 8, 8\], expected uint8 .*\(images \* 255\).round"),
        (raw(images(torch.tensor(PIXELS) / 255)), r"are float32 of shape \[60, 1, 8, 8\], expected uint8"),
        (raw(images(PIXELS.astype(np.int64))), "are int64 of shape .* expected uint8"),
        (raw(images(PIXELS[:, 0])), r"are uint8 of shape \[60, 8, 8\], expected uint8 \[N, C, H, W\]"),
        (raw(images(PIXELS.transpose(0, 2, 3, 1))), r"channels last, .*images.transpose\(0, 3, 1, 2\)"),
        (raw(images(torch.tensor(PIXELS).permute(0, 2, 3, 1))), r"channels last, .*images.permute\(0, 3, 1, 2\)"),
        (raw(images(PIXELS.tolist())), "the images of the training part of own are a list, expected a tensor"),
        (raw(Split({"images": PIXELS}, LABELS)), "has the inputs 'images', expected images: give Split"),  # type: ignore[dict-item,arg-type]
        (raw(Split({}, LABELS, TEXTS)), "has the inputs none, expected images"),  # type: ignore[arg-type]
        (raw(images(), images(PIXELS[:, :, :4])), "are 1×8×8 .* in training, but 1×4×8 in the test part"),
        (
            raw(images(labels=LABELS + 1)),
            "go from 1 to 3, expected numbers of the 3 classes, 0 to 2: count them from 0",
        ),
        (raw(images(labels=LABELS - 1)), "the labels of the training part of own go from -1 to 1"),
        (raw(test=images(labels=LABELS + 1)), "the labels of the test part of own go from 1 to 3"),
        (raw(images(labels=LABELS / 1)), "are of type float64, expected whole numbers"),
        (raw(images(labels=torch.tensor(LABELS).float())), "are of type float32, expected whole numbers"),
        (raw(images(labels=[NAMES[label] for label in LABELS])), "are of type <U1, expected whole numbers"),
        (raw(images(labels=LABELS[:, None])), r"have shape \[60, 1\], expected \[N\]"),
        (raw(classes=("a", "b", "a")), "the classes of own hold 'a' twice"),
        (raw(classes=(0, 1, 2)), "the classes of own hold 0, which is no text"),
        (raw(classes="abc"), "the classes of own are 'abc', expected the names of two or more"),
        (raw(classes=3), "the classes of own are 3, expected the names of two or more"),
    ],
)
def test_everything_else_is_refused_in_one_sentence(own: Any, given: Any, complaint: str) -> None:
    with pytest.raises(AnchorlabError, match=complaint):
        own(given)


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (Split({}, LABELS), "the training part of own has None for texts"),  # type: ignore[arg-type]
        (Split({}, LABELS, TEXTS[:50]), "has 50 texts, but 60 labels"),  # type: ignore[arg-type]
        (Split({}, LABELS, (*TEXTS[:59], 1)), "row 59 holds 1, expected a text"),  # type: ignore[arg-type]
    ],
)
def test_texts_that_are_none_are_refused(own: Any, part: Split, complaint: str) -> None:
    with pytest.raises(AnchorlabError, match=complaint):
        own(raw(part), "text")
