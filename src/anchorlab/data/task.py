"""What a task is: resident data, cut into splits that nobody may mix, and how its model is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from anchorlab.data.columns import DataColumns
from anchorlab.data.contents import content_hashes
from anchorlab.data.cut import Fractions, fewest_for
from anchorlab.data.derived import derived
from anchorlab.data.description import PartDescription, describe_gaps, describe_parts
from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import Kind
from anchorlab.data.split import RawData, Split, index_hash
from anchorlab.errors import AnchorlabError, printable, unknown
from anchorlab.seeding import generator
from anchorlab.statistics.table import facts_table, to_html

AnchorSource = Literal["owner", "held-out"]

#: What a refusal of a number of examples says besides.
OR_ALL = ", or 'all' (in Python None)"


@dataclass(frozen=True)
class Augmentation:
    """How the owner varies training images: shift by up to ``pad`` pixels, mirror at random."""

    pad: int = 0
    mirror: bool = False

    @property
    def varies(self) -> bool:
        """Whether anything is varied at all."""
        return self.pad > 0 or self.mirror


@dataclass(frozen=True)
class TaskDefinition:
    """What a task is declared as; a new task needs one definition and one line in ``data/named/__init__.py``.

    Attributes:
        name: the name used everywhere.
        load: reads the data from the user's ``--data``, a path or a hub name, or None for the default.
        architecture: the model that ``train`` builds by default.
        epochs: passes over the owner's data that ``train`` makes by default.
        description: one line for ``anchorlab list``.
        kind: what its examples are.
        batch_size: examples in a step of ``train`` by default.
        learning_rate: peak learning rate of ``train`` by default.
        tuning_rate: peak learning rate of an injection by default.
        max_length: most tokens of a text, if less than the model's limit.
        fractions: see ``Fractions``; of the whole sentences alone where ``by_sentence`` is True.
        augmentation: see ``Augmentation``.
        by_sentence: whether whole sentences are cut, each with its phrases (``cut_by_sentence``), and not each text.
        columns: the columns of the user's own data; None for a named task.
        cites: the papers of the data: keys of ``anchorlab.reports.paper``'s references.bib, or BibTeX entries.
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
    by_sentence: bool = False
    columns: DataColumns | None = None
    cites: tuple[str, ...] = ()

    def with_max_length(self, tokens: int) -> TaskDefinition:
        """The same task with another limit of the tokens of a text; raises AnchorlabError for a task of images."""
        if self.kind != "text":
            raise AnchorlabError(
                f"max_length bounds the tokens of texts, but the task {self.name} holds {self.kind}s: leave it out"
            )
        return replace(self, max_length=tokens)


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A task whose data are loaded and cut into splits with one seed.

    The splits ``owner``, ``held-out``, ``selection`` and ``defender`` partition the training part,
    class by class; ``test`` is the data set's own test part, whole. Nothing overlaps. Where whole sentences
    are cut, what is a phrase of a sentence of another split than ``owner`` is in no split.

    Attributes:
        definition: the named task.
        raw: the data, resident.
        seed: the seed that cut the splits.
        indices: split name to int64 indices into ``raw.train`` (or ``raw.test``), ascending.
        data: where the data are, as the user gave it, or None.
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
        """The task as a model reads it: texts get the inputs that the encoding makes of them, images stay as they are.

        Args:
            encoding: of the model; None for a model of images.

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
            encoding = replace(encoding, max_length=self.definition.max_length)
        if encoding == self.encoding:
            return self
        return replace(self, raw=_encoded(self.raw, encoding), encoding=encoding)

    def in_order(self, classes: Sequence[str]) -> Task:
        """The same task with its classes in another order, a model's; their labels follow, and splits stay.

        Args:
            classes: the task's classes, by their new labels.
        """
        return self if tuple(classes) == self.classes else replace(self, raw=self.raw.in_order(classes))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(indices):,}" for name, indices in self.indices.items())
        return printable(f"Task({self.name}: {self.kind}s of {len(self.classes)} classes; {sizes}; seed {self.seed})")

    def _repr_html_(self) -> str:
        facts = {f"split {name}": f"{len(indices):,} examples" for name, indices in self.indices.items()}
        caption = f"{self.name}: {self.kind}s of {len(self.classes)} classes, split with seed {self.seed}"
        return to_html(facts_table("task", caption, facts))

    def to_dict(self) -> dict[str, Any]:
        """What the task is, with the size and hash of each split, as JSON values; its data are left out."""
        return {
            "name": self.name,
            "kind": self.kind,
            "classes": list(self.classes),
            "seed": self.seed,
            "data": self.data,
            "limit": self.limit,
            "sizes": {name: len(indices) for name, indices in self.indices.items()},
            "hashes": self.hashes(),
        }

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
        return {name: self.raw.train.part(indices) for name, indices in self.indices.items() if name != "test"}

    def draw(
        self, split: str, count: int | None, *purpose: str, seed: int, what: str = "examples", hint: str = ""
    ) -> Tensor:
        """Examples of a split in a random order: int64 ``[count]`` indices into it.

        With the same seed and purpose, fewer examples are the beginning of more.

        Args:
            split: name of the split.
            count: how many; None for all.
            purpose: of the draw, so that draws for different purposes do not depend on each other.
            seed: of the draw.
            what: what the examples are, for the message.
            hint: what else would do, for the end of the message.

        Raises:
            AnchorlabError: if the split has fewer examples, or ``count`` is below one.
        """
        self.check_count(split, count, what, hint=hint)
        return torch.randperm(len(self.split(split)), generator=generator(seed, *purpose))[:count]

    def check_count(self, split: str, count: int | None, what: str = "examples", *, hint: str = "") -> None:
        """Raises AnchorlabError if a split has fewer than ``count`` examples or none, or ``count`` is below one."""
        self.check_filled(split)
        size = len(self.split(split))
        if count is not None and not 1 <= count <= size:
            raise AnchorlabError(
                f"{count:,} {what} are not possible: the split '{split}' of {self.name} has {size:,} examples; "
                f"give a number from 1 to {size:,}{hint}"
            )

    def check_filled(self, split: str) -> None:
        """Raises AnchorlabError, which says how many examples it takes, if a split has none."""
        if len(self.split(split)) > 0:
            return
        share, size = self.definition.fractions.by_split.get(split), len(self.raw.train)
        if not share:
            raise AnchorlabError(f"the split '{split}' of {self.name} has no examples: give data that have some for it")
        fewest = fewest_for(share)
        wanted = (
            f"{fewest:,} or more" if size < fewest else "two or more of some class, of which one stays with the owner"
        )
        raise AnchorlabError(
            f"the split '{split}' of {self.name} has no examples, because it is {100 * share:.3g}% of the {size:,} "
            f"that are there beside the test part: give {wanted}"
        )

    def lacking(self, split: str) -> tuple[str, ...]:
        """The names of the classes of which a split has no example."""
        labels = self.raw.train.labels[self.indices[split]] if split != "test" else self.split("test").labels
        counts = torch.bincount(labels, minlength=len(self.classes)).tolist()
        return tuple(name for name, count in zip(self.classes, counts, strict=True) if count == 0)

    @cached_property
    def reading(self) -> tuple[PartDescription, ...]:
        """What was read, the training part and then the test part; tokens of texts once they are encoded."""
        return describe_parts(self.raw, self.encoding)

    @property
    def gaps(self) -> dict[str, tuple[str, ...]]:
        """The classes of which a split has no example, by the names of the splits that lack some."""
        lacking = {name: self.lacking(name) for name in self.indices}
        return {name: classes for name, classes in lacking.items() if classes}

    def describe(self) -> list[str]:
        """What was read, one line a part, and then the classes that splits lack; safe to print on a terminal."""
        gaps = [describe_gaps(self.gaps, len(self.classes))] if self.gaps else []
        return [*map(str, self.reading), *gaps]

    def anchor_indices(self, count: int | None, *, seed: int, source: AnchorSource = "owner") -> Tensor:
        """Which examples of the split ``source`` the attacker holds: int64 ``[count]`` into that split.

        With the same seed, fewer anchors are a part of more. None means all, in their order.

        Raises:
            AnchorlabError: if ``count`` is below one or larger than the split, or anchors may not come from it.
        """
        if source not in get_args(AnchorSource):
            raise unknown("source of anchors", source, get_args(AnchorSource))
        if count is None:
            self.check_filled(source)
            return torch.arange(len(self.split(source)))
        return self.draw(source, count, "anchors", source, seed=seed, what="anchors", hint=OR_ALL)

    def anchors(self, count: int | None, *, seed: int, source: AnchorSource = "owner") -> Split:
        """The attacker's clean examples; None gives the split itself, not a copy."""
        if count is None:
            return self.split(source)
        return self.split(source).select(self.anchor_indices(count, seed=seed, source=source))

    def hashes(self) -> dict[str, str]:
        """Split name to the SHA-256 of its indices, as recorded in manifests."""
        return {name: index_hash(indices) for name, indices in self.indices.items()}

    def contents(self) -> dict[str, str]:
        """Split name to the SHA-256 of what it holds, as recorded in manifests: pixels or texts, and names of classes.

        See ``anchorlab.data.contents``.
        """
        return content_hashes(self.raw, self.indices)

    @cached_property
    def pixel_statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation per channel of the owner's images, on the scale 0 to 1."""
        which = ("pixels", index_hash(self.indices["owner"]))
        mean, std = derived(self.raw, which, self._pixel_statistics, lambda value: type(value) is list)
        return mean, std

    def _pixel_statistics(self) -> list[list[float]]:
        images = self.split("owner").inputs["pixel_values"]
        mean, std = [], []
        for channel in range(images.shape[1]):
            counts = torch.bincount(images[:, channel].flatten(), minlength=256).double()
            levels = torch.arange(256, dtype=torch.float64) / 255
            average = (counts * levels).sum() / counts.sum()
            variance = (counts * (levels - average) ** 2).sum() / counts.sum()
            mean.append(average.item())
            std.append(max(variance.sqrt().item(), 1e-6))
        return [mean, std]


@lru_cache(maxsize=2)
def _encoded(raw: RawData, encoding: TextEncoding) -> RawData:
    """The last two are kept, so that several seeds, references and methods share one copy."""
    return raw.encoded(encoding)
