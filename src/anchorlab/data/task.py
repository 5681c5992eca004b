"""What a task is: resident data, cut into splits that nobody may mix, and how its model is built."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, get_args

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as options
from torch import Tensor

from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError, unknown
from anchorlab.seeding import generator
from anchorlab.settings import STRICT

#: Share of data without a test part that becomes one.
_CUT_FOR_TEST = 0.2

AnchorSource = Literal["owner", "held-out"]
Kind = Literal["image", "text"]


@dataclass(frozen=True)
class Split:
    """Examples resident in memory or on a device.

    Attributes:
        inputs: name to tensor, first dimension N; images are ``pixel_values``, uint8 ``[N, C, H, W]``, and texts
            what ``anchorlab.data.encoding`` says, or nothing before a tokenizer is known.
        labels: int64 ``[N]``.
        texts: what the inputs were made from; None for images.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    texts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> Split:
        """The examples at ``indices`` (int64 ``[M]``), copied."""
        inputs = {name: value[indices] for name, value in self.inputs.items()}
        texts = None if self.texts is None else tuple(self.texts[at] for at in indices.tolist())
        return Split(inputs, self.labels[indices], texts)

    def to(self, device: torch.device | str) -> Split:
        """The same examples on a device; no copy if they are there already."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return Split(inputs, self.labels.to(device), self.texts)

    def encoded(self, encoding: TextEncoding) -> Split:
        """The same texts with the inputs that an encoding makes of them."""
        assert self.texts is not None
        return Split(encoding.encode(self.texts), self.labels, self.texts)


@dataclass(frozen=True, eq=False)
class RawData:
    """What a data set file gives: its training part, its own test part if it has one, and the names of the classes."""

    train: Split
    test: Split | None
    classes: tuple[str, ...]

    def limited(self, count: int) -> RawData:
        """The first ``count`` examples of each class, of both parts, in their order."""
        return self._each(lambda part: part.select(_first_of_each(part.labels, count)))

    def encoded(self, encoding: TextEncoding) -> RawData:
        """The same texts with the inputs that an encoding makes of them."""
        return self._each(lambda part: part.encoded(encoding))

    def _each(self, change: Callable[[Split], Split]) -> RawData:
        return RawData(change(self.train), None if self.test is None else change(self.test), self.classes)

    def with_test(self, seed: int) -> RawData:
        """The same with a test part: its own, or else a fifth of each class of the training part, cut with a seed."""
        if self.test is not None:
            return self
        parts = cut(self.train.labels, Fractions(held_out=0, selection=0, defender=_CUT_FOR_TEST), seed=seed)
        return RawData(self.train.select(parts["owner"]), self.train.select(parts["defender"]), self.classes)


@dataclass(frozen=True)
class Fractions:
    """Shares of the training part that the owner does not get; the owner trains on the rest."""

    held_out: float = 0.10
    selection: float = 0.05
    defender: float = 0.05


@dataclass(frozen=True)
class Augmentation:
    """How the owner varies training images: shift by up to ``pad`` pixels, mirror at random."""

    pad: int = 0
    mirror: bool = False

    @property
    def varies(self) -> bool:
        """Whether anything is varied at all."""
        return self.pad > 0 or self.mirror


@options(frozen=True, kw_only=True, config=STRICT)
class DataColumns:
    """Where the user's own data have what; one of ``text`` and ``image``."""

    text: str | None = Field(default=None, description="the column of texts")
    image: str | None = Field(default=None, description="the column of images")
    label: str = Field(default="label", description="the column of labels")
    max_length: int | None = Field(default=None, ge=3, description="most tokens of a text; None: the model's limit")

    def __post_init__(self) -> None:
        if (self.text is None) == (self.image is None):
            raise AnchorlabError(
                "own data need to say what they are: give --text-column or --image-column, one of them"
            )


@dataclass(frozen=True)
class TaskDefinition:
    """A named task: one of these and a line in the registry is all that a new one needs.

    Attributes:
        name: the name used everywhere.
        load: reads the data; its argument is the user's ``--data`` (a path, a hub name) or None.
        architecture: the model that ``train`` builds by default.
        epochs: passes over the owner's data that ``train`` makes by default.
        description: one line for ``anchorlab list``.
        kind: what its examples are.
        batch_size: examples in a step of ``train`` by default.
        learning_rate: peak learning rate of ``train`` by default.
        tuning_rate: peak learning rate of an injection by default.
        max_length: most tokens of a text, where that is less than the model's limit.
        fractions: see ``Fractions``.
        augmentation: see ``Augmentation``.
        columns: of the user's own data; None for a task that has a name.
    """

    name: str
    load: Callable[[str | None], RawData]
    architecture: str
    epochs: int
    description: str
    kind: Kind = "image"
    batch_size: int = 128
    learning_rate: float = 3e-3
    tuning_rate: float = 1e-3
    max_length: int | None = None
    fractions: Fractions = field(default_factory=Fractions)
    augmentation: Augmentation = field(default_factory=Augmentation)
    columns: DataColumns | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """A task whose data are loaded and cut into splits with one seed.

    The splits ``owner``, ``held-out``, ``selection`` and ``defender`` partition the training part,
    class by class; ``test`` is the data set's own test part, whole. Nothing overlaps.

    Attributes:
        definition: the named task.
        raw: the data, resident.
        seed: the seed that cut the splits.
        indices: split name to int64 indices into ``raw.train`` (or ``raw.test``), ascending.
        data: what the user gave as the place of the data, or None.
        limit: examples of each class that were kept, or None for all.
        encoding: how the texts became the inputs; None for images, and for texts that have no inputs yet.
    """

    definition: TaskDefinition
    raw: RawData
    seed: int
    indices: dict[str, Tensor]
    data: str | None = None
    limit: int | None = None
    encoding: TextEncoding | None = None

    def encoded(self, encoding: TextEncoding | None) -> Task:
        """The task as a model reads it: of texts, the same texts with the inputs that an encoding makes of them.

        Args:
            encoding: the model's; None for a model of images.

        Raises:
            AnchorlabError: for a model of images and a task of texts, or the other way round.
        """
        if (self.kind == "text") != (encoding is not None):
            modality = "images" if encoding is None else "texts"
            raise AnchorlabError(
                f"the model reads {modality}, but the task {self.name} holds {self.kind}s: give a model that reads them"
            )
        if encoding is None:
            return self
        if self.definition.max_length is not None and self.definition.max_length < encoding.max_length:
            encoding = TextEncoding(encoding.tokenizer, self.definition.max_length)
        if encoding == self.encoding:
            return self
        return replace(self, raw=_encoded(self.raw, encoding), encoding=encoding)

    @property
    def kind(self) -> Kind:
        """What its examples are: image or text."""
        return self.definition.kind

    @property
    def name(self) -> str:
        """The task's name."""
        return self.definition.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.raw.classes

    def split(self, name: str) -> Split:
        """The examples of a split: owner, held-out, selection, defender or test."""
        if name not in self.indices:
            raise unknown("split", name, self.indices)
        if name == "test":
            assert self.raw.test is not None
            return self.raw.test
        return self._train_splits[name]

    @cached_property
    def _train_splits(self) -> dict[str, Split]:
        return {name: self.raw.train.select(at) for name, at in self.indices.items() if name != "test"}

    def anchor_indices(self, count: int | None, *, seed: int, source: AnchorSource = "owner") -> Tensor:
        """Which examples of the split ``source`` the attacker holds: int64 ``[count]`` into that split.

        With the same seed a smaller number of anchors is a part of a larger one. ``None`` means all.

        Raises:
            AnchorlabError: if ``count`` is below one or larger than the split, or anchors may not come from it.
        """
        if source not in get_args(AnchorSource):
            raise unknown("source of anchors", source, get_args(AnchorSource))
        size = len(self.indices[source])
        if count is None:
            return torch.arange(size)
        if not 1 <= count <= size:
            raise AnchorlabError(
                f"{count} anchors are not possible: the split '{source}' of {self.name} has {size} examples; "
                f"give a number from 1 to {size}, or 'all'"
            )
        return torch.randperm(size, generator=generator(seed, "anchors", source))[:count]

    def anchors(self, count: int | None, *, seed: int, source: AnchorSource = "owner") -> Split:
        """The attacker's clean examples; all of a split is the split itself, not a copy."""
        pool = self.split(source)
        if count is None:
            return pool
        return pool.select(self.anchor_indices(count, seed=seed, source=source))

    def hashes(self) -> dict[str, str]:
        """Split name to the SHA-256 of its indices, as recorded in manifests."""
        return {name: index_hash(at) for name, at in self.indices.items()}

    @cached_property
    def pixel_statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation per channel of the owner's images, on the scale 0 to 1."""
        images = self.split("owner").inputs["pixel_values"]
        mean, std = [], []
        for channel in range(images.shape[1]):
            counts = torch.bincount(images[:, channel].flatten(), minlength=256).double()
            levels = torch.arange(256, dtype=torch.float64) / 255
            average = (counts * levels).sum() / counts.sum()
            variance = (counts * (levels - average) ** 2).sum() / counts.sum()
            mean.append(average.item())
            std.append(max(variance.sqrt().item(), 1e-6))
        return mean, std


@lru_cache(maxsize=2)
def _encoded(raw: RawData, encoding: TextEncoding) -> RawData:
    """Kept, so that several seeds, references and methods share one copy."""
    return raw.encoded(encoding)


def index_hash(indices: Tensor) -> str:
    """SHA-256 of int64 indices in little-endian order."""
    return hashlib.sha256(indices.to(torch.int64).cpu().numpy().astype("<i8").tobytes()).hexdigest()


def cut(labels: Tensor, fractions: Fractions, *, seed: int) -> dict[str, Tensor]:
    """Cuts examples into owner, held-out, selection and defender, each class in the same proportions.

    Args:
        labels: int64 ``[N]``.
        fractions: shares of the three parts that are not the owner's.
        seed: decides which example goes where.

    Returns:
        Split name to ascending int64 indices; together they are all of ``range(N)``, each once.
    """
    shares = {"held-out": fractions.held_out, "selection": fractions.selection, "defender": fractions.defender}
    parts: dict[str, list[Tensor]] = {name: [] for name in ("owner", *shares)}
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        order = members[torch.randperm(len(members), generator=generator(seed, "cut", label))]
        start = 0
        for name, share in shares.items():
            end = start + round(share * len(members))
            parts[name].append(order[start:end])
            start = end
        parts["owner"].append(order[start:])
    return {name: torch.cat(pieces).sort().values for name, pieces in parts.items()}


def _first_of_each(labels: Tensor, count: int) -> Tensor:
    pieces = [(labels == label).nonzero().flatten()[:count] for label in sorted(set(labels.tolist()))]
    return torch.cat(pieces).sort().values


def data_path(given: str | None, default: Path) -> Path:
    """The folder that holds a task's files: the user's, or the place where they are usually found."""
    return default if given is None else Path(given).expanduser()
