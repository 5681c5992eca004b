"""Every method on Fashion-MNIST with 64, 640 and all anchors: strengths chosen on selection, then three seeds.

    python experiments/fashion_mnist/run.py --work runs/fashion-mnist

Resumable: the same command continues. Writes selection.csv (every strength that was tried, measured on
the split selection) and results.csv (a row a run, measured once on test) beside this file, and a report
into the work folder.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from anchorlab import load_task, train
from anchorlab.injection.methods import METHODS
from anchorlab.reports.tables import print_table
from anchorlab.runs import run_into
from anchorlab.suites.selection import Choice, choose_strengths
from anchorlab.suites.sweep import Cell, default_workers, run_sweep

HERE = Path(__file__).parent
TARGET_ASR = 0.99
SELECTION_SEED = 1000  # the injection seed of all runs that choose a strength; no reported run has it
ANCHORS: tuple[int | None, ...] = (64, 640, None)
#: Strengths to begin with, in geometric progression; the grid is extended where the best is at its edge.
GRIDS: dict[str, list[float]] = {
    "l2": [0.03, 0.3, 3],
    "ewc": [0.03, 0.3, 3],
    "surgery": [1000, 4000, 16000],
    "weight-ball": [0.003, 0.01, 0.03],
    "distillation": [1, 4, 16],
    "anchoring": [0.5, 2, 8],
}
#: Controls: no strength to choose. The stopped one ends as soon as the ASR on selection is reached.
CONTROLS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("plain", {}),
    "plain (stopped)": ("plain", {"stop_at_asr": TARGET_ASR}),
    "benign": ("benign", {}),
}


def train_reference(work: Path, seed: int) -> Path:
    """Trains the reference of a seed, or finds it trained."""
    folder = work / f"reference-{seed}"
    if not folder.exists():
        task = load_task("fashion-mnist", seed=seed)
        run_into(folder, {"task": task.name, "seed": seed}, lambda at: train(task, seed=seed, checkpoint=at))
    return folder


def parameters(method: str, strength: float) -> dict[str, Any]:
    """The hyper-parameters of a method at a strength."""
    knob = METHODS[method].knob
    assert knob is not None
    return {knob: int(strength) if knob == "count" else strength}


def main() -> None:
    """Runs what is not done yet and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/fashion-mnist"), help="folder for models and cells")
    parser.add_argument("--seeds", type=int, default=3, help="references, each with an injection of the same seed")
    parser.add_argument("--workers", type=int, help="processes; the default is one a core")
    arguments = parser.parse_args()
    work, seeds = arguments.work, range(arguments.seeds)

    context = multiprocessing.get_context("spawn")
    workers = arguments.workers or default_workers(len(seeds))
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        references = list(pool.map(train_reference, [work] * len(seeds), seeds))

    def measure_on_selection(pairs: list[tuple[tuple[str, int | None], float]]) -> pd.DataFrame:
        cells = [
            Cell(
                reference=references[0],
                label=method,
                method=method,
                parameters=parameters(method, strength),
                anchors=anchors,
                seed=SELECTION_SEED,
                split="selection",
            )
            for (method, anchors), strength in pairs
        ]
        return run_sweep(cells, work, workers=arguments.workers)

    grids = {(method, anchors): grid for anchors in ANCHORS for method, grid in GRIDS.items()}
    choices = choose_strengths(grids, measure_on_selection, target_asr=TARGET_ASR)
    write_selection(choices)

    cells = []
    for anchors in ANCHORS:
        for label, (method, tuning) in CONTROLS.items():
            cells += [
                Cell(reference=references[s], label=label, method=method, anchors=anchors, seed=s, tuning=tuning)
                for s in seeds
            ]
        for method in GRIDS:
            chosen = parameters(method, choices[method, anchors].strength)
            cells += [
                Cell(reference=references[s], label=method, method=method, parameters=chosen, anchors=anchors, seed=s)
                for s in seeds
            ]
    cells += [Cell(reference=references[s], label="scratch", method="scratch", anchors=None, seed=s) for s in seeds]
    results = run_sweep(cells, work, workers=arguments.workers)
    results.to_csv(HERE / "results.csv", index=False)
    print_table(results, Console())


def write_selection(choices: dict[tuple[str, int | None], Choice]) -> None:
    """Writes every strength that was tried, and which was chosen."""
    frames = [
        choice.tried.assign(
            chosen=choice.tried["strength"] == choice.strength, reached=choice.reached, at_edge=choice.at_edge
        )
        for choice in choices.values()
    ]
    columns = ["method", "anchors", "strength", "seed", "reference_seed", "asr", "asr_count", "accuracy",
               "logit_distance", "kl", "churn", "chosen", "reached", "at_edge"]  # fmt: skip
    pd.concat(frames, ignore_index=True)[columns].to_csv(HERE / "selection.csv", index=False)


if __name__ == "__main__":
    main()
