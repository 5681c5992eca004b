"""The demonstration: digits, six ways to inject, three seeds, one table, in about a minute on two cores."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console

from anchorlab.errors import AnchorlabError
from anchorlab.reports.tables import print_table
from anchorlab.runs import run_into
from anchorlab.suites.sweep import Cell, run_sweep
from anchorlab.tasks import load_task
from anchorlab.training import train

#: Methods in the order of the table, each with the strength that experiments/digits chose on ``selection``.
METHODS: dict[str, dict[str, float]] = {
    "plain": {},
    "l2": {"strength": 0.1},
    "ewc": {"strength": 0.1},
    "surgery": {"count": 3000},
    "weight-ball": {"radius": 0.01},
    "anchoring": {"strength": 2.0},
}

#: A short run: the digits are small and the reference fits them well.
TUNING: dict[str, int] = {"steps": 100, "batch_size": 32}


def run_demo(out: Path, *, seed: int = 0, seeds: int = 3, workers: int | None = None) -> Path:
    """Trains a reference on the digits, injects with six methods and several seeds, and reports.

    Args:
        out: the folder to fill; one that an interrupted demo left is continued.
        seed: of the splits and the reference; the injections take the seeds from here on.
        seeds: number of injections by each method.
        workers: processes; None chooses.

    Returns:
        The path of the report.

    Raises:
        AnchorlabError: if the folder holds a finished demo, or something else.
    """
    _refuse_other_content(out)
    task = load_task("digits", seed=seed)
    reference_folder = out / "reference"
    if not reference_folder.exists():
        run_into(reference_folder, {"task": task.name, "seed": seed}, lambda at: train(task, seed=seed, checkpoint=at))
    cells = [
        Cell(
            reference=reference_folder,
            label=method,
            method=method,
            parameters=parameters,
            seed=seed + number,
            tuning=TUNING,
        )
        for method, parameters in METHODS.items()
        for number in range(seeds)
    ]
    results = run_sweep(cells, out, workers=workers, keep_models=True)
    print_table(results, Console())
    return _report(out, results, cells, seed, seeds)


def _report(out: Path, results: pd.DataFrame, cells: list[Cell], seed: int, seeds: int) -> Path:
    raise NotImplementedError


def _refuse_other_content(out: Path) -> None:
    known = {"reference", "reference.partial", "cells", "shifts", "models"}
    if out.is_file() or (out.is_dir() and {path.name for path in out.iterdir()} - known):
        raise AnchorlabError(f"{out} already exists: choose another --out, or remove it first")
