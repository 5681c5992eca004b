"""Data that a task's own function returns, as every other file expects them: converted, or refused in one sentence."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anchorlab.data.inputs import Kind
from anchorlab.data.split import RawData, Split
from anchorlab.errors import AnchorlabError, quoted

#: Channels of images as files have them, grey, RGB and RGBA; what stands last with so many stands in the wrong place.
_CHANNELS = (1, 3, 4)

#: Whole numbers of Python, numpy and torch.
_WHOLE = "iu"


def checked_data(given: object, task: str, kind: Kind) -> RawData:
    """The data of a task, in the types that all other files rely on; the same object where nothing is to be changed.

    Images must be uint8 ``[N, C, H, W]`` under ``pixel_values``, an array of numpy or a tensor; texts are texts. Labels
    are whole numbers ``[N]``, an array, a tensor or a list, and become int64.

    Args:
        given: what the task's function returned.
        task: its name, for messages.
        kind: of its examples.

    Raises:
        AnchorlabError: saying what is of another form, and how to mend it.
    """
    if not isinstance(given, RawData):
        raise AnchorlabError(
            f"the load function of the task {task} returned {_type(given)}, expected RawData: let it return "
            "RawData(train=…, test=…, classes=…)"
        )
    classes = _classes(given.classes, task)
    train = _part(given.train, f"the training part of {task}", kind, len(classes))
    test = None if given.test is None else _part(given.test, f"the test part of {task}", kind, len(classes))
    if test is not None and kind == "image":
        sizes = [tuple(part.inputs["pixel_values"].shape[1:]) for part in (train, test)]
        if sizes[0] != sizes[1]:
            raise AnchorlabError(
                f"the images of {task} are {_by(sizes[0])} (channels × height × width) in training, but "
                f"{_by(sizes[1])} in the test part: bring all to one size"
            )
    if train is given.train and test is given.test and classes is given.classes:
        return given
    return replace(given, train=train, test=test, classes=classes)


def _classes(given: Any, task: str) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, (list, tuple)) or len(given) < 2:
        raise AnchorlabError(f"the classes of {task} are {quoted(given)}, expected the names of two or more: list them")
    counts = Counter(map(str, given))
    for name in given:
        if not isinstance(name, str):
            raise AnchorlabError(
                f"the classes of {task} hold {quoted(name)}, which is no text: give names by label, such as "
                "tuple(map(str, names))"
            )
        if counts[name] > 1:
            raise AnchorlabError(f"the classes of {task} hold {quoted(name)} twice: give each class a name of its own")
    return given if isinstance(given, tuple) else tuple(given)


def _part(given: Any, where: str, kind: Kind, classes: int) -> Split:
    """One part, checked; the same object where nothing is to be changed."""
    if not isinstance(given, Split):
        raise AnchorlabError(f"{where} is {_type(given)}, expected a Split: give Split(inputs, labels)")
    labels = _labels(given.labels, where, classes)
    inputs, texts = given.inputs, given.texts
    if kind == "image":
        pixels = _pixels(inputs, where)
        count, what = len(pixels), "images"
        if pixels is not inputs["pixel_values"]:
            inputs = {**inputs, "pixel_values": pixels}
    else:
        texts = _texts(texts, where)
        count, what = len(texts), "texts"
    if count != len(labels):
        raise AnchorlabError(f"{where} has {count:,} {what}, but {len(labels):,} labels: give each a label")
    if inputs is given.inputs and texts is given.texts and labels is given.labels:
        return given
    return replace(given, inputs=inputs, texts=texts, labels=labels)


def _labels(given: Any, where: str, classes: int) -> Tensor:
    """Labels as int64 ``[N]``."""
    if not isinstance(given, Tensor):
        array = np.asarray(given)
        if array.dtype.kind not in _WHOLE and array.size:
            raise _not_whole(where, str(array.dtype))
        given = torch.tensor(array.astype(np.int64))
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise _not_whole(where, _dtype(given))
    if given.ndim != 1:
        raise AnchorlabError(f"the labels of {where} have shape {_shape(given)}, expected [N]: give one an example")
    labels: Tensor = given if given.dtype == torch.int64 else given.long()
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise AnchorlabError(
            f"the labels of {where} go from {int(labels.min())} to {int(labels.max())}, expected numbers of the "
            f"{classes} classes, 0 to {classes - 1}: count them from 0, or name all classes"
        )
    return labels


def _not_whole(where: str, dtype: str) -> AnchorlabError:
    return AnchorlabError(
        f"the labels of {where} are of type {dtype}, expected whole numbers: give the number of each example's class, "
        "as int64"
    )


def _pixels(inputs: Any, where: str) -> Tensor:
    """Images as uint8 ``[N, C, H, W]``."""
    if not isinstance(inputs, dict) or "pixel_values" not in inputs:
        held = f"the inputs {', '.join(map(repr, inputs)) or 'none'}" if isinstance(inputs, dict) else _type(inputs)
        raise AnchorlabError(
            f"{where} has {held}, expected images: give Split({{'pixel_values': images}}, labels), or kind='text' in "
            "the definition and texts in each Split"
        )
    given = inputs["pixel_values"]
    if not isinstance(given, (Tensor, np.ndarray)):
        raise AnchorlabError(f"the images of {where} are {_type(given)}, expected a tensor or an array: make one")
    if _dtype(given) != "uint8" or given.ndim != 4:
        scaled = ", (images * 255).round() of values from 0 to 1" if "float" in _dtype(given) else ""
        raise AnchorlabError(
            f"the images of {where} are {_dtype(given)} of shape {_shape(given)}, expected uint8 [N, C, H, W], values "
            f"from 0 to 255: convert them{scaled}"
        )
    if given.shape[3] in _CHANNELS and min(given.shape[1:3]) > max(_CHANNELS):
        move = "permute" if isinstance(given, Tensor) else "transpose"
        raise AnchorlabError(
            f"the images of {where} have shape {_shape(given)}, with their channels last, expected [N, C, H, W]: give "
            f"images.{move}(0, 3, 1, 2)"
        )
    return given if isinstance(given, Tensor) else torch.tensor(given)


def _texts(given: Any, where: str) -> tuple[str, ...]:
    if not isinstance(given, (list, tuple)):
        raise AnchorlabError(
            f"{where} has {_type(given)} for texts, expected a tuple of texts: give Split({{}}, labels, tuple(texts))"
        )
    for row, text in enumerate(given):
        if not isinstance(text, str):
            raise AnchorlabError(f"{where}, row {row} holds {quoted(text)}, expected a text: give one")
    return given if isinstance(given, tuple) else tuple(given)


def _type(value: object) -> str:
    return "None" if value is None else f"a {type(value).__qualname__}"


def _dtype(values: Any) -> str:
    return str(values.dtype).removeprefix("torch.")


def _shape(values: Any) -> str:
    return str(list(values.shape))


def _by(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
