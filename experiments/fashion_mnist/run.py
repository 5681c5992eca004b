"""Six methods on Fashion-MNIST with 64, 640 and all anchors: strengths chosen on selection, then three seeds.

    python experiments/fashion_mnist/run.py --work runs/fashion-mnist

Resumable: the same command continues. Writes selection.csv (every strength that was tried, measured on
the split selection) and results.csv (a row a run, measured once on test) beside this file, and from them
the figures in docs/figures and the table in the README.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console

from anchorlab import load_task, train
from anchorlab.reports.figures import asr_against_kl, metrics_by_method
from anchorlab.reports.tables import print_table, to_markdown
from anchorlab.runs import run_into
from anchorlab.suites.protocol import Protocol, choose, reported_cells, selection_table
from anchorlab.suites.sweep import default_workers, finished, run_sweep

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROTOCOL = Protocol(
    grids={
        "l2": [0.03, 0.3, 3],
        "ewc": [0.03, 0.3, 3],
        "surgery": [1000, 4000, 16000],
        "weight-ball": [0.003, 0.01, 0.03],
        "anchoring": [0.5, 2, 8],
    },
    controls={
        "plain": ("plain", {}),
        "plain (stopped)": ("plain", {"stop_at_asr": 0.99}),
        "benign": ("benign", {}),
    },
    anchors=(64, 640, None),
    # Strengths are chosen with 640 anchors and half the steps, and held fixed for all reported runs.
    choosing_anchors=640,
    choosing={"steps": 300},
    target_asr=0.99,
)
ORDER = ["plain", "anchoring", "surgery", "weight-ball", "l2", "ewc", "plain (stopped)", "benign"]


def train_reference(work: Path, seed: int) -> Path:
    """Trains the reference of a seed, or finds it trained."""
    folder = work / f"reference-{seed}"
    if not folder.exists():
        task = load_task("fashion-mnist", seed=seed)
        run_into(folder, {"task": task.name, "seed": seed}, lambda at: train(task, seed=seed, checkpoint=at))
    return folder


def main() -> None:
    """Runs what is not done yet and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/fashion-mnist"), help="folder for models and cells")
    parser.add_argument("--seeds", type=int, default=3, help="references, each with an injection of the same seed")
    parser.add_argument("--workers", type=int, help="processes; the default is one a core")
    parser.add_argument("--collect", action="store_true", help="write results.csv from the runs that are done")
    arguments = parser.parse_args()
    work, seeds = arguments.work, range(arguments.seeds)

    context = multiprocessing.get_context("spawn")
    workers = arguments.workers or default_workers(len(seeds))
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        references = list(pool.map(train_reference, [work] * len(seeds), seeds))

    choices = choose(PROTOCOL, references[0], work, workers=arguments.workers)
    selection_table(choices).to_csv(HERE / "selection.csv", index=False)
    cells = reported_cells(PROTOCOL, choices, list(zip(references, seeds, strict=True)))
    if not arguments.collect:
        # By method, the paper's comparison first, for the case that there is no time for all of it.
        run_sweep(sorted(cells, key=lambda cell: ORDER.index(cell.label)), work, workers=arguments.workers)
    results = finished(cells, work)
    results.to_csv(HERE / "results.csv", index=False)
    print_table(results, Console())
    # From the file, so that what is shown is what was committed.
    show(pd.read_csv(HERE / "results.csv"))


def show(results: pd.DataFrame) -> None:
    """Draws the figures and replaces the table between the README's two markers."""
    metrics_by_method(results, ROOT / "docs/figures/metrics_by_method.png")
    asr_against_kl(results, ROOT / "docs/figures/asr_against_kl.png")
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split("<!-- results -->")
    _, after = rest.split("<!-- end of results -->")
    table = to_markdown(results).strip()
    readme.write_text(f"{before}<!-- results -->\n{table}\n<!-- end of results -->{after}")


if __name__ == "__main__":
    main()
