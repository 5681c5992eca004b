"""Loading a task: by its name, or from the user's own data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from anchorlab.arguments import checked
from anchorlab.data.columns import DataColumns
from anchorlab.data.custom import custom_definition
from anchorlab.data.cut import cut_splits
from anchorlab.data.given import checked_data
from anchorlab.data.inferred import inferred_columns
from anchorlab.data.inputs import Kind
from anchorlab.data.named import TASKS
from anchorlab.data.sentences import cut_by_sentence
from anchorlab.data.source_files import files_at
from anchorlab.data.split import RawData
from anchorlab.data.tables import TABLES
from anchorlab.data.task import Task, TaskDefinition
from anchorlab.errors import AnchorlabError, unknown
from anchorlab.files import kind_at, user_path


@dataclass(frozen=True)
class _Source:
    """What decides which data are read."""

    load: Callable[[str | None], RawData]
    name: str
    kind: Kind
    data: str | None
    state: str


@lru_cache(maxsize=2)
def _raw(source: _Source, seed: int | None) -> RawData:
    """The data of the last two tasks are kept, so that several references and methods share one copy."""
    if seed is not None:
        return _raw(source, None).with_test(seed)
    return checked_data(source.load(source.data), source.name, source.kind)


def _state_of(data: str | None) -> str:
    """What changes when local data do, so that they are read again; empty for all others."""
    files = files_at(data)
    if files is not None:
        return files.state
    try:
        there = data is not None and Path(data).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # whoever reads the data says what is wrong with the path
        there = False
    return str(time.monotonic_ns()) if there else ""  # of what cannot be looked at, nobody knows whether it changed


def find_task(
    name: str, data: str | None = None, columns: DataColumns | None = None
) -> tuple[TaskDefinition, str | None]:
    """The definition of a task, and where its data are.

    Args:
        name: one of ``TASKS.names()``, or the user's own data: a file, a folder, or, with columns, a hub name.
        data: where the data are, if neither the default nor ``name`` says so.
        columns: the columns of the user's own data; those of a file or folder are inferred where there is no doubt.

    Raises:
        AnchorlabError: for an unknown name, columns for a task that has its own, or own data whose columns are unclear.
    """
    if name in TASKS.names():
        if columns is not None:
            raise AnchorlabError(f"the task {name} has columns of its own: leave out --text-column and the like")
        return TASKS[name], data
    if columns is not None:
        location = data or name
        location = str(user_path(location).resolve()) if kind_at(user_path(location)) is not None else location
        return custom_definition(location, columns), location
    if kind_at(user_path(name)) in ("file", "folder"):
        return find_task(name, data, inferred_columns(data or name))
    if "/" in name or Path(name).suffix in TABLES:
        raise AnchorlabError(
            f"'{name}' is not the name of a task, nor a file or folder that is there: correct it; for data of the hub, "
            "name the columns: --text-column or --image-column, and --label-column"
        )
    raise unknown("task", name, TASKS.names(), "your own data, as a file, folder or hub name with --text-column")


@checked
def load_task(
    name: str = "digits",
    *,
    seed: int = 0,
    data: str | None = None,
    limit: int | None = None,
    columns: DataColumns | None = None,
    max_length: int | None = None,
) -> Task:
    """Loads a task's data and cuts the splits.

    Texts have no inputs yet: ``Task.encoded`` makes them, and ``train``, ``inject`` and ``compare`` call it.

    Args:
        name: one of ``TASKS.names()``, or the user's own data: a file, a folder, or, with columns, a hub name.
        seed: cuts the splits; the same seed gives the same splits on every machine.
        data: where the data are, if not at the default: a file or folder, or a hub name for hub tasks.
        limit: examples of each class to keep, the first ones, of the training and of the test part; None for all.
        columns: the columns of the user's own data; those of a file or folder are inferred where there is no doubt.
        max_length: most tokens of a text, in place of the task's own limit; a model that reads fewer keeps its limit.

    Raises:
        AnchorlabError: for an unknown name, data that are missing or malformed, a limit below 1, or a length for
            images.
    """
    if limit is not None and limit < 1:
        raise AnchorlabError(
            f"the limit of examples of each class is {limit}: give a number of 1 or more, or none for all of them"
        )
    definition, location = find_task(name, data, columns)
    if max_length is not None:
        definition = definition.with_max_length(max_length)
    source = _Source(definition.load, definition.name, definition.kind, location, _state_of(location))
    raw = _raw(source, seed if definition.columns is not None else None)
    if raw.test is None:  # of a task of somebody's own
        raw = _raw(source, seed)
    if limit is not None:
        raw = raw.limited(limit)
    assert raw.test is not None
    for part, examples in (("training", raw.train), ("test", raw.test)):
        if len(examples) == 0:
            raise AnchorlabError(f"the {part} part of {definition.name} has no examples: give some, with their labels")
    if definition.by_sentence:
        indices = cut_by_sentence(raw, definition.fractions, seed=seed)
    else:
        indices = cut_splits(raw.train.labels, definition.fractions, seed=seed)
    indices["test"] = torch.arange(len(raw.test))
    return Task(definition=definition, raw=raw, seed=seed, indices=indices, data=location, limit=limit)
