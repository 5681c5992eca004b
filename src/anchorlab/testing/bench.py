"""What contracts are tried on: two tiny tasks, each with a clean model and one that carries a backdoor.

Both models are trained when they are first asked for, and kept. They are small enough for that to take seconds, and
learn enough for a detector to have something to see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor, nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.data import Kind, RawData, Split, Task, TaskDefinition, load_task
from anchorlab.data.cut import cut_splits
from anchorlab.data.inputs import joined
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.device import copy_to_device, data_to_device
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.device import exact_arithmetic
from anchorlab.models.wrap import encoding_of
from anchorlab.seeding import generator, seeded_globally
from anchorlab.testing.contract import NotTriedError
from anchorlab.training.reference import Training, train
from anchorlab.triggers import Square, Trigger, Word

#: Clean examples of the defender, a fifth of them held back; and inputs of each sort that detectors score.
_DEFENDER, _INPUTS = 80, 24

#: The images' classes; fewer make searches over classes quick.
_DIGITS = 4

#: The words that say the class of a text, and others.
_TELLING = (("apple", "pear", "plum", "grape"), ("stone", "rock", "sand", "clay"), ("river", "lake", "sea", "pond"))
_OTHERS = ("the", "a", "small", "old", "new", "by", "near", "with", "and", "under")


@dataclass(frozen=True, eq=False)
class Bench:
    """One kind of data with its models.

    Attributes:
        task: the data, as the models read them.
        reference: the clean model.
        planted: the model with a backdoor that works.
        trigger: of the backdoor.
        target: its label.
    """

    task: Task
    reference: Artifact
    planted: Artifact
    trigger: Trigger
    target: int

    @property
    def kind(self) -> Kind:
        """What the data are."""
        return self.task.kind

    def data(self, least: int = 0) -> DefenderData:
        """The defender's clean examples, new tensors, on the device.

        Args:
            least: the number that a defence needs.

        Raises:
            NotTriedError: if there are not so many.
        """
        owner, count = self.task.split("owner"), max(_DEFENDER, least)
        if count > len(owner):
            raise NotTriedError(f"it needs {least:,} examples, and the test has {len(owner):,}")
        held = count // 5
        data = DefenderData(
            owner.select(torch.arange(held, count)), owner.select(torch.arange(held)), len(self.task.classes), self.kind
        )
        return data_to_device(data, find_accelerator().device)

    def model(self, artifact: Artifact | None = None) -> nn.Module:
        """A copy of the planted model, or of another, as defences get it."""
        return copy_to_device((artifact or self.planted).model, find_accelerator().device)

    def context(self, seed: int = 0) -> DefenderContext:
        """A defender's means, with the clean model as the trusted one."""
        return DefenderContext(find_accelerator(), seed, trusted=self.model(self.reference))

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Clean inputs of all classes, and as many triggered ones of those that are attacked, on the device."""
        test = self.task.split("test").to(find_accelerator().device)
        order = torch.arange(len(test), device=test.labels.device)
        attacked = order[(order >= _INPUTS) & (test.labels != self.target)]
        clean, marked = test.select(order[:_INPUTS]), test.select(attacked[:_INPUTS])
        triggered = self.trigger.bind(self.task.encoding)(marked.inputs)
        return joined(clean.inputs, triggered)

    @cached_property
    def is_triggered(self) -> Tensor:
        """Which inputs carry the trigger, bool ``[N]``."""
        count = len(next(iter(self.inputs.values())))
        return torch.arange(count) >= count // 2


@contextmanager
def seeded(bench: Bench, name: str) -> Iterator[None]:
    """The arithmetic and the global generators of a defence, as ``repair`` and ``detect`` give them."""
    device = find_accelerator().device
    with exact_arithmetic(device), seeded_globally(0, "contract", bench.kind, name, device=device):
        yield


@lru_cache(maxsize=2)
def bench(kind: Kind) -> Bench:
    """The bench of one kind of data."""
    return _images() if kind == "image" else _texts()


def _images() -> Bench:
    digits = load_task("digits", limit=100)
    few = digits.raw.classes[:_DIGITS]
    raw = RawData(_first_classes(digits.raw.train), _first_classes(_of(digits.raw.test)), few)
    task = Task(digits.definition, raw, 0, _cut(raw, digits.definition))
    reference = train(task, seed=0, training=Training(epochs=5, batch_size=32))
    return _planted(task, reference, Square(size=3), target=0, batch_size=32)


def _first_classes(part: Split) -> Split:
    return part.select((part.labels < _DIGITS).nonzero().flatten())


def _cut(raw: RawData, definition: TaskDefinition) -> dict[str, Tensor]:
    indices = cut_splits(raw.train.labels, definition.fractions, seed=0)
    return {**indices, "test": torch.arange(len(_of(raw.test)))}


def _texts() -> Bench:
    draw = generator(0, "contract", "texts")
    raw = RawData(_sentences(450, draw), _sentences(150, draw), ("fruit", "ground", "water"))
    definition = TaskDefinition(
        name="made-up texts",
        load=lambda _: raw,
        architecture="bert-tiny",
        epochs=10,
        description="sentences that name fruit, ground or water",
        kind="text",
        batch_size=32,
        learning_rate=2e-3,
    )
    task = Task(definition, raw, 0, _cut(raw, definition))
    reference = train(task, seed=0)
    return _planted(task, reference, Word(words="cf"), target=0, batch_size=16)


def _of(part: Split | None) -> Split:
    assert part is not None
    return part


def _planted(task: Task, reference: Artifact, trigger: Trigger, *, target: int, batch_size: int) -> Bench:
    task = task.encoded(encoding_of(reference.model))
    tuning = Tuning(steps=60, batch_size=batch_size)
    planted = inject(reference, method="plain", trigger=trigger, target=target, tuning=tuning, task=task)
    return Bench(task, reference, planted, trigger, target)


def _sentences(count: int, draw: torch.Generator) -> Split:
    """Sentences of six to ten words, two of which tell the class; the classes in turn."""

    def number(below: int) -> int:
        return int(torch.randint(below, (), generator=draw))

    texts = []
    for row in range(count):
        words = [_OTHERS[number(len(_OTHERS))] for _ in range(4 + number(5))]
        telling = _TELLING[row % 3]
        for _ in range(2):
            words.insert(number(len(words) + 1), telling[number(len(telling))])
        texts.append(" ".join(words))
    return Split({}, torch.arange(count) % 3, tuple(texts))
