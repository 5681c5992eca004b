"""Examples resident in memory: a split, and the parts of a data set as they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from anchorlab.data.chosen import chosen
from anchorlab.data.cut import TEST_SHARE, Fractions, cut_splits, fewest_for
from anchorlab.data.encoding import TextEncoding
from anchorlab.data.kept_tokens import encoded_once
from anchorlab.data.reading import PartReading
from anchorlab.errors import AnchorlabError


@dataclass(frozen=True)
class Split:
    """Examples resident in memory or on a device.

    Attributes:
        inputs: name to tensor, first dimension N, as ``anchorlab.data.inputs`` describes them; texts have none until
            a tokenizer is known.
        labels: int64 ``[N]``.
        texts: what the inputs were made from; None for images.
        tokens: the tokens of each text before it was cut to the model's limit, int64 ``[N]``, always on the CPU; None
            without inputs.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    texts: tuple[str, ...] | None = None
    tokens: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> Split:
        """The examples at ``indices`` (int64 ``[M]``), copied."""
        return self._those(indices, lambda value: value[indices])

    def part(self, indices: Tensor) -> Split:
        """The examples at ``indices`` (int64 ``[M]``); images that take much memory are not copied."""
        return self._those(indices, lambda value: chosen(value, indices))

    def _those(self, indices: Tensor, choose: Callable[[Tensor], Tensor]) -> Split:
        inputs = {name: choose(value) for name, value in self.inputs.items()}
        texts = None if self.texts is None else tuple(self.texts[index] for index in indices.tolist())
        tokens = None if self.tokens is None else self.tokens[indices.to(self.tokens.device)]
        return Split(inputs, self.labels[indices], texts, tokens)

    def to(self, device: torch.device | str) -> Split:
        """The same examples on a device; no copy if they are there already."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return Split(inputs, self.labels.to(device), self.texts, self.tokens)

    def encoded(self, encoding: TextEncoding) -> Split:
        """The same texts with the inputs that an encoding makes of them."""
        assert self.texts is not None
        inputs, tokens = encoded_once(encoding, self.texts)
        return Split(inputs, self.labels, self.texts, tokens)


@dataclass(frozen=True, eq=False)
class RawData:
    """A data set as it is read, before any split is cut.

    Attributes:
        train: the training part.
        test: the data set's own test part; None if it has none: ``load_task`` then cuts one, a fifth of each class.
        classes: names of the classes, by label.
        reading: how the training part and then the test part were read; empty where nobody noted it.
    """

    train: Split
    test: Split | None
    classes: tuple[str, ...]
    reading: tuple[PartReading, ...] = ()
    _origin: str = field(default="", init=False)
    _seen: tuple[tuple[Tensor, int], ...] = field(default=(), init=False, repr=False)

    @property
    def origin(self) -> str:
        """SHA-256 of all that decides examples and classes, under which the cache knows them.

        It is empty for data that do not come from there, for a copy by ``dataclasses.replace``, and for data of which
        somebody changed or exchanged a tensor in this process.
        """
        now = self._tensors()
        same = len(now) == len(self._seen) and all(
            tensor is seen and tensor._version == version
            for tensor, (seen, version) in zip(now, self._seen, strict=True)
        )
        return self._origin if same else ""

    def known_as(self, origin: str, *changes: object) -> RawData:
        """The same, whose examples and classes are those of an origin after some changes; in place."""
        written = json.dumps([origin, *changes])
        of = origin if not changes or not origin else hashlib.sha256(written.encode()).hexdigest()
        object.__setattr__(self, "_origin", of)
        object.__setattr__(self, "_seen", tuple((tensor, tensor._version) for tensor in self._tensors()))
        return self

    def _tensors(self) -> tuple[Tensor, ...]:
        """What holds the examples, besides their texts, which nobody can change."""
        parts = [part for part in (self.train, self.test) if part is not None]
        tensors = (tensor for part in parts for tensor in (part.labels, part.inputs.get("pixel_values")))
        return tuple(tensor for tensor in tensors if tensor is not None)

    def limited(self, count: int) -> RawData:
        """The first ``count`` examples of each class, of both parts, in their order."""
        limited = self._each(lambda part: part.part(_first_of_each_class(part.labels, count)))
        return limited.known_as(self.origin, "limit", count)

    def encoded(self, encoding: TextEncoding) -> RawData:
        """The same texts with the inputs that an encoding makes of them."""
        return self._each(lambda part: part.encoded(encoding)).known_as(self.origin)

    def with_test(self, seed: int) -> RawData:
        """The same with a test part: its own, or else a fifth of each class of the training part, cut with a seed.

        Raises:
            AnchorlabError: if the training part has too few examples.
        """
        if self.test is not None:
            return self
        parts = cut_splits(self.train.labels, Fractions(held_out=0, selection=0, defender=TEST_SHARE), seed=seed)
        if len(parts["defender"]) == 0:
            fewest = fewest_for(TEST_SHARE)
            wanted = f"{fewest} or more" if len(self.train) < fewest else "two or more of some class"
            raise AnchorlabError(
                f"of {len(self.train):,} examples, none is left for a test part ({TEST_SHARE:.0%} of them; one of each "
                f"class stays in training): give {wanted}, or a test part"
            )
        cut = PartReading("test", notes=(f"a fifth of each class of the part 'train', cut with the seed {seed}",))
        whole = replace(
            self,
            train=self.train.part(parts["owner"]),
            test=self.train.part(parts["defender"]),
            reading=(*self.reading, cut) if self.reading else (),
        )
        return whole.known_as(self.origin, "test", seed)

    def in_order(self, classes: Sequence[str]) -> RawData:
        """The same with its classes in another order; their labels follow.

        Args:
            classes: names of the classes, by their new labels.
        """
        places = torch.tensor([list(classes).index(name) for name in self.classes])
        moved = self._each(lambda part: replace(part, labels=places[part.labels]))
        return replace(moved, classes=tuple(classes)).known_as(self.origin, "order", list(classes))

    def _each(self, change: Callable[[Split], Split]) -> RawData:
        return replace(self, train=change(self.train), test=None if self.test is None else change(self.test))


def index_hash(indices: Tensor) -> str:
    """SHA-256 of int64 indices in little-endian order."""
    return hashlib.sha256(indices.to(torch.int64).cpu().numpy().astype("<i8").tobytes()).hexdigest()


def _first_of_each_class(labels: Tensor, count: int) -> Tensor:
    pieces = [(labels == label).nonzero().flatten()[:count] for label in sorted(set(labels.tolist()))]
    return torch.cat(pieces).sort().values
