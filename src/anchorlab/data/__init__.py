"""Tasks: data, their splits, and how a model for them is built."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from anchorlab.data.custom import own_definition
from anchorlab.data.named.ag_news import AG_NEWS
from anchorlab.data.named.cifar10 import CIFAR10
from anchorlab.data.named.digits import DIGITS
from anchorlab.data.named.fashion_mnist import FASHION_MNIST
from anchorlab.data.named.imdb import IMDB
from anchorlab.data.named.movie_snippets import MOVIE_SNIPPETS, MOVIE_SNIPPETS_3
from anchorlab.data.named.sst2 import SST2
from anchorlab.data.named.tiny_imagenet import TINY_IMAGENET
from anchorlab.data.sources import TABLES
from anchorlab.data.task import AnchorSource, Augmentation, DataColumns, RawData, Split, Task, TaskDefinition, cut
from anchorlab.errors import AnchorlabError, unknown
from anchorlab.registry import Registry

__all__ = [
    "TASKS",
    "AnchorSource",
    "Augmentation",
    "DataColumns",
    "RawData",
    "Split",
    "Task",
    "TaskDefinition",
    "find_task",
    "load_task",
]

TASKS: Registry[TaskDefinition] = Registry(
    "task",
    "anchorlab.tasks",
    {
        definition.name: definition
        for definition in (
            DIGITS,
            FASHION_MNIST,
            CIFAR10,
            TINY_IMAGENET,
            MOVIE_SNIPPETS,
            MOVIE_SNIPPETS_3,
            SST2,
            IMDB,
            AG_NEWS,
        )
    },
)


@lru_cache(maxsize=2)
def _raw(load: Callable[[str | None], RawData], data: str | None, seed: int | None) -> RawData:
    """The data of the tasks loaded last, kept so that several references and methods share one copy."""
    return load(data) if seed is None else _raw(load, data, None).with_test(seed)


def find_task(
    name: str, data: str | None = None, columns: DataColumns | None = None
) -> tuple[TaskDefinition, str | None]:
    """The task that is meant, and where its data are.

    Args:
        name: one of ``TASKS.names()``, or, with columns, the user's own data: a file, a folder, a hub name.
        data: where the data are, if not in the usual place, or where the name says.
        columns: what is where in the user's own data.

    Raises:
        AnchorlabError: for a name that is none, columns of a task that has its own, or own data without columns.
    """
    if name in TASKS.names():
        if columns is not None:
            raise AnchorlabError(f"the task {name} has columns of its own: leave out --text-column and the like")
        return TASKS[name], data
    if columns is not None:
        place = data or name
        place = str(Path(place).expanduser().resolve()) if Path(place).expanduser().exists() else place
        return own_definition(place, columns), place
    if Path(name).expanduser().exists() or "/" in name or Path(name).suffix in TABLES:
        raise AnchorlabError(
            f"'{name}' is no task with a name, so say what its columns are: --text-column or --image-column, and "
            "--label-column"
        )
    raise unknown("task", name, TASKS.names(), "your own data, as a file, folder or hub name with --text-column")


def load_task(
    name: str = "digits",
    *,
    seed: int = 0,
    data: str | None = None,
    limit: int | None = None,
    columns: DataColumns | None = None,
) -> Task:
    """Loads a task's data and cuts the splits.

    Texts have no inputs yet: ``Task.encoded`` makes them, and ``train``, ``inject`` and ``compare`` see to it.

    Args:
        name: one of ``TASKS.names()``, or, with columns, the user's own data: a file, a folder or a hub name.
        seed: cuts the splits; the same seed gives the same splits on every machine.
        data: where the data are, if not in the usual place: a file or folder, or a hub name for hub tasks.
        limit: examples of each class to keep, the first ones, of the training and of the test part; None for all.
        columns: what is where in the user's own data.

    Raises:
        AnchorlabError: for an unknown name, or data that are missing or malformed.
    """
    definition, place = find_task(name, data, columns)
    raw = _raw(definition.load, place, seed if definition.columns is not None else None)
    if limit is not None:
        raw = raw.limited(limit)
    indices = cut(raw.train.labels, definition.fractions, seed=seed)
    assert raw.test is not None
    indices["test"] = torch.arange(len(raw.test))
    return Task(definition=definition, raw=raw, seed=seed, indices=indices, data=place, limit=limit)
