"""Tasks: data, their splits, and how a model for them is built."""

from __future__ import annotations

from functools import lru_cache

import torch

from anchorlab.registry import Registry
from anchorlab.tasks.base import AnchorSource, Augmentation, RawData, Split, Task, TaskDefinition, cut
from anchorlab.tasks.cifar10 import CIFAR10
from anchorlab.tasks.digits import DIGITS
from anchorlab.tasks.fashion_mnist import FASHION_MNIST
from anchorlab.tasks.tiny_imagenet import TINY_IMAGENET

__all__ = ["TASKS", "AnchorSource", "Augmentation", "RawData", "Split", "Task", "TaskDefinition", "load_task"]

TASKS: Registry[TaskDefinition] = Registry(
    "task",
    "anchorlab.tasks",
    {definition.name: definition for definition in (DIGITS, FASHION_MNIST, CIFAR10, TINY_IMAGENET)},
)


@lru_cache(maxsize=1)
def _raw(definition: TaskDefinition, data: str | None) -> RawData:
    """The data of the task loaded last, kept so that several seeds and methods share one copy."""
    return definition.load(data)


def load_task(name: str = "digits", *, seed: int = 0, data: str | None = None, limit: int | None = None) -> Task:
    """Loads a task's data and cuts the splits.

    Args:
        name: one of ``TASKS.names()``.
        seed: cuts the splits; the same seed gives the same splits on every machine.
        data: where the data are, if not in the usual place: a folder, or a hub name for hub tasks.
        limit: examples of each class to keep, the first ones, of the training and of the test part; None for all.

    Raises:
        AnchorlabError: for an unknown name, or data that are missing or malformed.
    """
    definition = TASKS[name]
    raw = _raw(definition, data)
    if limit is not None:
        raw = raw.limited(limit)
    indices = cut(raw.train.labels, definition.fractions, seed=seed)
    indices["test"] = torch.arange(len(raw.test))
    return Task(definition=definition, raw=raw, seed=seed, indices=indices, data=data, limit=limit)
