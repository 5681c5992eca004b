"""Anchors of other data, for an attacker who holds no example of the task.

Such inputs have no label of the task. The reference's own prediction stands in its place, so that every method runs on
them; a method that takes no labels of clean examples, such as anchoring with ``labels=false``, reads them only to know
which anchors the label rule attacks.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from anchorlab.data import TASKS, Split, Task, load_task
from anchorlab.data.contents import content_hash, example_hashes
from anchorlab.data.split import RawData
from anchorlab.data.unjudged import as_inputs, read_inputs
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import predict
from anchorlab.models.geometry import Geometry
from anchorlab.notices import notice
from anchorlab.seeding import generator

#: What anchors of other data may be given as.
OtherData = str | Path | Sequence[str] | Tensor

#: Pillow's weights of red, green and blue in grey, in 65,536ths.
_GREY = (19595, 38470, 7471)

#: Images that are resized at once.
_BATCH = 1000


@dataclass(frozen=True)
class OtherAnchors:
    """Anchors that are no examples of the task.

    Attributes:
        split: N anchors as the reference reads them; their labels are its predictions.
        indices: where they stand in the data that were given, int64 ``[N]``.
        place: the task, file or folder that they come from; None for what was in memory.
        contents: SHA-256 of their pixels or texts, in their order; ``content_hash`` with an empty name for each class.
    """

    split: Split
    indices: Tensor
    place: str | None
    contents: str


def other_anchors(given: OtherData, reference: nn.Module, task: Task, count: int | None, *, seed: int) -> OtherAnchors:
    """Draws anchors from other data and labels them by the reference's predictions.

    What is also an example of the splits ``selection``, ``defender`` or ``test`` is left out, with a notice.

    Args:
        given: the name of another task, whose training part is taken whole; a file or folder as ``detect_inputs`` reads
            it; texts; or images, uint8 ``[M, C, H, W]``. Images get the task's number of channels and its size.
        reference: the trained clean model.
        task: its task, as the model reads it.
        count: how many; None for all. With the same seed, fewer are a part of more.
        seed: of the draw.

    Raises:
        AnchorlabError: for data that cannot be read or made to fit, the task's own, or too few of them.
    """
    pool = _fitted(_pool(given, task), task)
    allowed = _of_no_split(pool, task)
    if len(allowed) < len(pool):
        notice(
            f"{len(pool) - len(allowed):,} of the {len(pool):,} examples that anchors are drawn from are also in the "
            "splits selection, defender or test, and are left out"
        )
    if (count is not None and not 1 <= count <= len(allowed)) or not len(allowed):
        raise AnchorlabError(
            f"{count or 0:,} anchors are not possible: the data for anchors have {len(allowed):,} examples; give a "
            f"number from 1 to {max(1, len(allowed)):,}, or other data"
        )
    order = torch.randperm(len(allowed), generator=generator(seed, "anchors", "other"))[:count]
    indices = allowed if count is None else allowed[order]
    split = pool.select(indices)
    if task.encoding is not None:
        split = split.encoded(task.encoding)
    contents = content_hash(split, ("",), torch.arange(len(split)))
    place = str(given) if isinstance(given, (str, Path)) else None
    return OtherAnchors(replace(split, labels=_predictions(reference, split)), indices, place, contents)


def _pool(given: OtherData, task: Task) -> Split:
    """All examples, as they are; their labels are 0."""
    if not isinstance(given, (str, Path)):
        return as_inputs(given, task, as_stored=True).split
    if given not in TASKS.names() or not isinstance(given, str):
        return read_inputs(given, task, as_stored=True).split
    if given == task.name:
        raise AnchorlabError(
            f"the anchors would be examples of the reference's own task {task.name}: draw them from its split owner or "
            "held-out by --anchors-from, or name another task"
        )
    if TASKS[given].kind != task.kind:
        raise AnchorlabError(
            f"the anchors are {TASKS[given].kind}s of the task {given}, but the model reads {task.kind}s: name a task "
            f"of {task.kind}s"
        )
    part = load_task(given).raw.train
    return replace(part, labels=torch.zeros_like(part.labels))


def _fitted(pool: Split, task: Task) -> Split:
    """Images with the task's number of channels and its size; texts as they are."""
    if task.kind == "text":
        return Split({}, pool.labels, pool.texts)
    wanted = task.split("test").inputs["pixel_values"].shape[1:]
    return Split({"pixel_values": fitted_pixels(pool.inputs["pixel_values"], *wanted)}, pool.labels)


def fitted_pixels(pixels: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Images with another number of channels and another size, uint8 ``[N, channels, height, width]``.

    Grey is repeated, colours become grey with Pillow's weights, and the size changes by Pillow's bilinear filter,
    which does not keep proportions.

    Args:
        pixels: uint8 ``[N, C, H, W]``.
        channels: wanted number of channels.
        height: wanted height.
        width: wanted width.

    Raises:
        AnchorlabError: for a change of channels other than between 1 and 3.
    """
    found = pixels.shape[1]
    if found != channels and {found, channels} != {1, 3}:
        raise AnchorlabError(
            f"the images for anchors have {found} channels, but the task's have {channels}: give images of {channels} "
            "channels"
        )
    if pixels.shape[1:] == (channels, height, width):
        return pixels
    resize = Geometry(size=(height, width), whole=True)
    fitted = torch.empty(len(pixels), channels, height, width, dtype=torch.uint8)
    for start in range(0, len(pixels), _BATCH):
        part = pixels[start : start + _BATCH]
        if found > channels:
            weighed = part.int() * torch.tensor(_GREY, dtype=torch.int32).view(1, 3, 1, 1)
            part = (weighed.sum(1, keepdim=True) + 2**15) >> 16
        whole = (255 * resize(part.float() / 255)).round()
        fitted[start : start + _BATCH] = whole.to(torch.uint8)  # repeats what is grey
    return fitted


def _of_no_split(pool: Split, task: Task) -> Tensor:
    """The examples of a pool that are in no split by which somebody chooses, measures or defends; int64, ascending."""
    kept = set(example_hashes(_test_of(task.raw)))
    for name in ("selection", "defender"):
        kept |= set(example_hashes(task.split(name)))
    fresh = [digest not in kept for digest in example_hashes(pool)]
    return torch.tensor(fresh, dtype=torch.bool).nonzero().flatten()


def _test_of(raw: RawData) -> Split:
    assert raw.test is not None
    return raw.test


def _predictions(reference: nn.Module, split: Split) -> Tensor:
    """The labels that the reference gives, int64 ``[N]`` on the CPU."""
    device = find_device()
    # A copy, because the reference is the caller's and stays where it is.
    answers = predict(copy.deepcopy(reference).to(device), split.to(device).inputs)
    return answers.argmax(1).cpu()
