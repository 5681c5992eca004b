"""An analysis in parts, each measured once and remembered, so that an interrupted analysis goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json, write_atomically
from anchorlab.notices import notice
from anchorlab.perturbation.budget import Budget, BudgetSpent
from anchorlab.progress import progress_bar

Tables = dict[str, pd.DataFrame]
Tick = Callable[[], None]


@dataclass(frozen=True)
class Part:
    """Something to measure.

    Attributes:
        what: what it is, in words.
        inputs: all that it depends on, as JSON values.
        steps: of the progress bar.
        measure: gives rows of tables by name; it is given a function to call after each step, which may raise.
    """

    what: str
    inputs: Sequence[Any]
    steps: int
    measure: Callable[[Tick], Tables]

    @property
    def identity(self) -> str:
        """A hash of what it is and depends on."""
        return hashlib.sha256(json.dumps([self.what, *self.inputs], sort_keys=True).encode()).hexdigest()


def measure(parts: Sequence[Part], budget: Budget, store: Path | None, title: str) -> tuple[Tables, list[str]]:
    """Measures parts in their order, as far as the budget goes.

    Args:
        parts: what to measure.
        budget: what may be spent; what was remembered costs nothing.
        store: a folder that remembers finished parts; None for none.
        title: of the progress bar.

    Returns:
        The rows of all parts by table, and in words what was left out because the budget was spent.

    Raises:
        AnchorlabError: if the budget did not suffice for anything.
    """
    pieces: dict[str, list[pd.DataFrame]] = {}
    left_out = []
    done = 0
    with progress_bar(title, sum(part.steps for part in parts)) as report:
        for part in parts:
            finished = done + part.steps

            def tick() -> None:
                nonlocal done
                done += 1
                report(done, {})
                budget.check()

            try:
                tables = _remembered(part, store)
                if tables is None:
                    budget.check()
                    tables = part.measure(tick)
                    _remember(part, tables, store)
                for name, table in tables.items():
                    pieces.setdefault(name, []).append(table)
            except BudgetSpent:
                left_out.append(part.what)
            done = finished
            report(done, {})
    if not pieces:
        raise AnchorlabError(f"the budget of {budget} was spent before anything was measured: give a larger one")
    return {name: pd.concat(rows, ignore_index=True) for name, rows in pieces.items()}, left_out


def _remembered(part: Part, store: Path | None) -> Tables | None:
    """What an earlier run measured; None if none did, or if the file is damaged."""
    if store is None or not (path := store / f"{part.identity}.json").exists():
        return None
    again = "it is measured again"
    try:
        record = read_json(path, again, nan=True)
    except AnchorlabError as error:
        notice(str(error))
        return None
    tables = record.get("tables")
    if record.get("sha256") != _hash(tables):
        notice(f"{path} is damaged, because its hash is another: {again}")
        return None
    return {name: pd.DataFrame(columns) for name, columns in (tables or {}).items()}


def _remember(part: Part, tables: Mapping[str, pd.DataFrame], store: Path | None) -> None:
    if store is None:
        return
    record = {name: {column: table[column].tolist() for column in table} for name, table in tables.items()}
    # NaN and infinities included, which Python's JSON reads back; floats come back to the same bits.
    write_atomically(store / f"{part.identity}.json", json.dumps({"tables": record, "sha256": _hash(record)}))


def _hash(tables: Any) -> str:
    return hashlib.sha256(json.dumps(tables).encode()).hexdigest()
