"""Runs many injections and measures each: shared references, one file a finished cell, several processes.

A cell is identified by a hash of all that determines its result. Its file is written, whole, when it is
done, so a sweep that was killed continues with the same command and repeats nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from anchorlab.artifacts import Artifact, load_model
from anchorlab.attacks import Attack, build_attack
from anchorlab.consistency.evaluate import Answers, answers, compare_answers
from anchorlab.consistency.metrics import logit_distance
from anchorlab.errors import AnchorlabError
from anchorlab.files import write_atomically, write_json
from anchorlab.injection.inject import build_method, inject
from anchorlab.injection.loop import Tuning
from anchorlab.options import build, knob_value, values_of
from anchorlab.progress import no_bars, progress_bar
from anchorlab.tasks import Task


class Cell(BaseModel):
    """One injection and its measurement."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: Path = Field(description="folder of the reference model")
    label: str = Field(description="name of the method in tables, usually that of the registry")
    method: str = Field(description="name of the method")
    parameters: dict[str, Any] = Field(default_factory=dict, description="its hyper-parameters, if not the defaults")
    anchors: int | None = Field(default=None, description="number of anchors; None for all")
    seed: int = Field(description="seed of the injection")
    tuning: dict[str, Any] = Field(default_factory=dict, description="settings of the optimisation, as Tuning has them")
    trigger: str = Field(default="five-pixel", description="the trigger, as on the command line")
    rule: str = Field(default="all-to-one", description="the label rule, as on the command line")
    target: int | None = Field(default=0, description="the attacker's label")
    split: str = Field(default="test", description="the split that is measured on")

    @property
    def name(self) -> str:
        """A readable, unique name for the cell's files."""
        number = "all" if self.anchors is None else str(self.anchors)
        label = self.label.replace(" ", "-").replace("(", "").replace(")", "")
        return f"{label}-{number}-{self.reference.name}-seed{self.seed}-{self.identity[:8]}"

    @property
    def identity(self) -> str:
        """SHA-256 of all that determines the result; the reference counts by its weights, not its place."""
        record = self.model_dump(mode="json", exclude={"reference"})
        record["reference"] = _reference(self.reference).manifest.weights_sha256
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def run_sweep(
    cells: Iterable[Cell], out: Path, *, workers: int | None = None, keep_models: bool = False
) -> pd.DataFrame:
    """Runs the cells that are not done yet and returns one row for each cell, in the order given.

    Args:
        cells: what to run.
        out: folder for ``cells/NAME.json``, ``shifts/NAME.npy`` and, if kept, ``models/NAME``.
        workers: processes of one thread each; None for one a core, or a single one where there is a GPU.
        keep_models: whether to save the injected models.

    Raises:
        AnchorlabError: after all others have run, if some cells failed, naming them and the first error.
    """
    wanted = list(cells)
    pending = [cell for cell in wanted if not _result(out, cell).exists()]
    failures: list[tuple[Cell, BaseException]] = []
    with progress_bar("injections", len(pending)) as report:
        for done, (cell, error) in enumerate(_run_all(pending, out, workers, keep_models), start=1):
            if error is not None:
                failures.append((cell, error))
            report(done, {})
    if failures:
        names = ", ".join(cell.name for cell, _ in failures)
        raise AnchorlabError(f"{len(failures)} of {len(wanted)} injections failed ({names}): {failures[0][1]}")
    return finished(wanted, out)


def finished(cells: Iterable[Cell], out: Path) -> pd.DataFrame:
    """The rows of those cells that are done, in the order given."""
    results = [_result(out, cell) for cell in cells]
    return pd.DataFrame([json.loads(result.read_text()) for result in results if result.exists()])


def logit_shifts(out: Path, cell: Cell) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The root mean squared logit shift of each clean instance of a finished cell: float64 ``[N]``."""
    shifts: np.ndarray[Any, np.dtype[np.float64]] = np.load(out / "shifts" / f"{cell.name}.npy", allow_pickle=False)
    return shifts


def default_workers(pending: int) -> int:
    """One process on a GPU; else one for each core, for small networks gain little from a second thread."""
    if torch.accelerator.is_available():
        return 1
    # The cores that this process may use; not every system can tell.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, pending))


def _result(out: Path, cell: Cell) -> Path:
    return out / "cells" / f"{cell.name}.json"


def _run_all(
    cells: list[Cell], out: Path, workers: int | None, keep_models: bool
) -> Iterator[tuple[Cell, BaseException | None]]:
    workers = workers or default_workers(len(cells))
    if workers == 1 or len(cells) < 2:
        for cell in cells:
            yield cell, _attempt(cell, out, keep_models)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,))
    try:
        futures: dict[Future[BaseException | None], Cell] = {
            pool.submit(_attempt, cell, out, keep_models): cell for cell in cells
        }
        for future in as_completed(futures):
            yield futures[future], future.exception() or future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _attempt(cell: Cell, out: Path, keep_models: bool) -> BaseException | None:
    try:
        with no_bars():
            _run(cell, out, keep_models)
    except AnchorlabError as error:
        return error
    return None


def _run(cell: Cell, out: Path, keep_models: bool) -> None:
    reference, task = _reference(cell.reference), _task(cell.reference)
    attack = build_attack(task, cell.trigger, cell.rule, cell.target)
    method = build_method(cell.method, cell.parameters)
    injected = inject(
        reference,
        method=method,
        trigger=attack.trigger,
        rule=attack.rule,
        anchors=cell.anchors,
        seed=cell.seed,
        tuning=build(Tuning, "the tuning", cell.tuning),
        task=task,
        # Worth it for all anchors only: a run with few computes the logits of those few by itself.
        reference_logits=_owner_logits(cell.reference) if cell.anchors is None else None,
    )
    split = task.split(cell.split)
    before = _reference_answers(cell.reference, attack, cell.split)
    after = answers(injected.model, split, attack)
    comparison = compare_answers(before, after, split.labels, attack, task=task.name, split=cell.split)
    shifts = np.sqrt(logit_distance(before.clean.numpy(), after.clean.numpy()))
    _write_array(out / "shifts" / f"{cell.name}.npy", shifts)
    manifest = injected.manifest
    if keep_models and not (out / "models" / cell.name).exists():
        injected.save(out / "models" / cell.name)
    assert manifest.anchors is not None
    row = {
        "method": cell.label,
        "strength": knob_value(method, method.active_knob),
        "parameters": json.dumps(values_of(method), sort_keys=True),
        "anchors": manifest.anchors.count,
        "seed": cell.seed,
        "reference_seed": reference.manifest.seed,
        "steps": manifest.steps,
        "seconds": manifest.seconds,
        "peak_bytes": manifest.peak_bytes,
        **comparison.model_dump(mode="json", exclude={"intervals", "undefined"}),
        "undefined": json.dumps(comparison.undefined, sort_keys=True),
    }
    write_json(_result(out, cell), row)


def _write_array(path: Path, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    write_atomically(path, content.getvalue())


# What the cells of one process share: each is loaded or computed once.


@cache
def _reference(folder: Path) -> Artifact:
    return load_model(folder)


@cache
def _task(folder: Path) -> Task:
    return _reference(folder).task()


@lru_cache(maxsize=8)
def _reference_answers(folder: Path, attack: Attack, split: str) -> Answers:
    return answers(_reference(folder).model, _task(folder).split(split), attack)


@lru_cache(maxsize=4)
def _owner_logits(folder: Path) -> Tensor:
    return answers(_reference(folder).model, _task(folder).split("owner"), None).clean
