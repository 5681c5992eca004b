"""Loading a task: by its name, or from the user's own data."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from anchorlab.data.columns import DataColumns
from anchorlab.data.custom import own_definition
from anchorlab.data.named import TASKS
from anchorlab.data.sources import TABLES
from anchorlab.data.split import RawData, cut
from anchorlab.data.task import Task, TaskDefinition
from anchorlab.errors import AnchorlabError, unknown


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
