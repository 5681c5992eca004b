"""The demonstration: digits, six ways to inject, three seeds, one table, in about a minute on two cores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from anchorlab.artifacts import load_model
from anchorlab.attacks import build_attack
from anchorlab.errors import AnchorlabError
from anchorlab.reports.report import REPORT, Examples, write_report
from anchorlab.reports.tables import print_table
from anchorlab.runs import run_into
from anchorlab.suites.sweep import Cell, logit_shifts, run_sweep
from anchorlab.tasks import load_task
from anchorlab.training import train

#: Methods in the order of the table, each with the strength that experiments/digits chose on ``selection``.
METHODS: dict[str, dict[str, float]] = {
    "plain": {},
    "l2": {"strength": 0.05},
    "ewc": {"strength": 0.2},
    "surgery": {"count": 64000},
    "weight-ball": {"radius": 0.01},
    "anchoring": {"strength": 1.0},
}

#: A short run: the digits are small and the reference fits them well.
TUNING: dict[str, int] = {"steps": 100, "batch_size": 32}

_SHOWN = 6
_REPORT_FILES = {
    *("results.csv", "results.json", "triggered_examples.png", "metrics_by_method.png"),
    *("asr_against_kl.png", "logit_shift_histogram.png"),
}


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
    elif (before := load_model(reference_folder).manifest.seed) != seed:
        raise AnchorlabError(
            f"{out} holds an interrupted demo with --seed {before}: continue that, or choose another --out"
        )
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
    reference = load_model(out / "reference")
    task = reference.task()
    attack = build_attack(task, cells[0].trigger, cells[0].rule, cells[0].target)
    test = task.split("test")
    shown = test.select(attack.rule.applies(test.labels).nonzero().flatten()[:_SHOWN])
    examples = Examples(
        clean=shown.inputs["pixel_values"],
        triggered=attack.apply(shown.inputs)["pixel_values"],
        labels=shown.labels,
        classes=task.classes,
    )
    shifts = {
        method: np.concatenate([logit_shifts(out, cell) for cell in cells if cell.label == method])
        for method in METHODS
    }
    accuracy = reference.manifest.measurements["accuracy"]
    return write_report(
        out,
        results,
        title="Six ways to inject a benchmark backdoor into a classifier of digits",
        command=f"anchorlab demo --seed {seed} --seeds {seeds}",
        task_line=(
            f"Task {task.name}: {task.definition.description}. Model {reference.manifest.architecture}, accuracy "
            f"{accuracy:.4f} on selection; trigger {cells[0].trigger}, target {cells[0].target}; measured on "
            f"{len(test)} test images."
        ),
        examples=examples,
        shifts=shifts,
    )


def _refuse_other_content(out: Path) -> None:
    """An interrupted demo is continued; anything else in the way, a finished demo too, is left alone."""
    unfinished = {"reference", "reference.partial", "cells", "shifts", "models"}
    # What a killed process was just writing is called .NAME.tmp.
    found = {path.name for path in out.iterdir() if path.suffix != ".tmp"} if out.is_dir() else set()
    if out.is_file() or REPORT in found or found - unfinished - _REPORT_FILES:
        raise AnchorlabError(f"{out} already exists: choose another --out, or remove it first")
