"""How much a suite gains from several processes, and what it costs beside its runs.

    python benchmarks/suite.py --rounds 2

Injections by anchoring with 640 anchors, on Fashion-MNIST with two ResNets unless options say otherwise. One process
with all cores and one process per core take turns within each round, so that both see the same machine. Each of them
does three things: the suite; the same runs one after the other without a suite; and training steps alone, which say
what the processor gives. The start of the processes is a column of its own. Writes suite.csv beside this file, or the
file of --out; the printed ratios are of speeds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional

from anchorlab import Suite, load_task, run_suite
from anchorlab.models.architectures import build_model
from anchorlab.models.call import logits
from anchorlab.suites.cells import InjectionCell
from anchorlab.suites.executors import LocalProcesses
from anchorlab.suites.plan import make_plan
from anchorlab.suites.store import Store
from anchorlab.suites.work import measure_cell

HERE = Path(__file__).parent


def suite(task: str, model: str, runs: int, steps: int) -> Suite:
    """A number of injections on one reference, which is trained only a little: speed does not depend on it."""
    return Suite.model_validate(
        {
            "name": "benchmark",
            "title": "Throughput",
            "tasks": [{"name": task, "model": model, "limit": 600, "training": {"epochs": 1}}],
            "methods": {"anchoring": None},
            "anchors": [640],
            "seeds": runs,
            "target_asr": 0.01,
            "tuning": {"steps": steps},
            "controls": False,
        }
    )


def runs_alone(cells: list[InjectionCell], reference: Path) -> None:
    """The runs of a suite, one after the other."""
    for cell in cells:
        measure_cell(cell, reference, None, False)


def steps_alone(task: str, model: str, steps: int) -> None:
    """Training steps of 256 images, as many as a tuning step has with their triggered copies."""
    network = build_model(model, load_task(task, seed=0, limit=600), seed=0).to(memory_format=torch.channels_last)
    images = load_task(task, seed=0, limit=600).split("owner").select(torch.arange(256))
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=1e-4, fused=True)
    for _ in range(steps):
        functional.cross_entropy(logits(network, images.inputs), images.labels).backward()
        optimizer.step()
        optimizer.zero_grad()


def seconds_of(function: Callable[[], object]) -> float:
    """Seconds that a function takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


class Measured:
    """One number of processes: each thing that they do, timed."""

    def __init__(self, workers: int, threads: int, wanted: Suite, prepared: Path) -> None:
        self.executor = LocalProcesses(workers, cpus=threads)
        self.wanted, self.prepared = wanted, prepared
        self.starting = seconds_of(lambda: self.each(os.getpid, [()] * workers))
        store = Store(prepared)
        plan = make_plan(wanted, store)
        self.reference = store.reference(plan.references[0][1])
        self.cells = [entry.cell for entry in plan.reported]

    def each(self, function: Callable[..., object], arguments: list[tuple[object, ...]]) -> None:
        """Runs a function in each process at a time."""
        for future in [self.executor.submit(function, *values) for values in arguments]:
            future.result()

    def times(self, folder: Path) -> dict[str, float]:
        """Seconds of the suite, of its runs alone, and of as many steps alone as two runs have."""
        count, spec, steps = self.executor.slots, self.wanted.tasks[0], 2 * int(self.wanted.tuning["steps"])
        shares = [(self.cells[number::count], self.reference) for number in range(count)]
        parts = [(spec.name, spec.architecture, steps // count)] * count
        shutil.copytree(self.prepared, folder)
        return {
            "suite": seconds_of(lambda: run_suite(self.wanted, folder, executor=self.executor)),
            "runs alone": seconds_of(lambda: self.each(runs_alone, shares)),
            "steps alone": seconds_of(lambda: self.each(steps_alone, parts)),
        }


def measured(model: str, arguments: argparse.Namespace, temporary: Path) -> list[dict[str, object]]:
    """The rows of one model."""
    wanted = suite(arguments.task, model, arguments.runs, arguments.steps)
    prepared = temporary / "prepared"
    run_suite(wanted.model_copy(update={"seeds": []}), prepared)  # the reference, and the choice
    cores = os.cpu_count() or 1
    ways = [Measured(1, cores, wanted, prepared), Measured(cores, 1, wanted, prepared)]
    rows: list[dict[str, object]] = []
    for number in range(-1, arguments.rounds):  # what comes before the first round opens the data in each process
        for way in ways:
            if number < 0:
                way.each(runs_alone, [(way.cells[:1], way.reference)] * way.executor.slots)
                continue
            for what, seconds in way.times(temporary / f"{number}-{way.executor.slots}").items():
                rows.append(
                    {
                        "model": model,
                        "round": number,
                        "what": what,
                        "processes": way.executor.slots,
                        "threads": way.executor.threads,
                        "runs": 2 if what == "steps alone" else arguments.runs,
                        "steps": arguments.steps,
                        "starting": round(way.starting, 2),
                        "seconds": round(seconds, 2),
                    }
                )
                print(rows[-1], flush=True)
    for way in ways:
        way.executor.__exit__(None, None, None)
    return rows


def main() -> None:
    """Runs the rounds and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="fashion-mnist")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=4, help="injections in each measurement")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--models", nargs="+", default=["resnet-mini", "resnet-small"])
    parser.add_argument(
        "--out", type=Path, default=HERE / "suite.csv", help="the table; default: suite.csv beside this file"
    )
    arguments = parser.parse_args()
    rows = []
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as temporary:
            rows += measured(model, arguments, Path(temporary))
    frame = pd.DataFrame(rows)
    frame.to_csv(arguments.out, index=False)
    wide = frame.pivot_table(index=["model", "round"], columns=["what", "processes"], values="seconds")
    most = max(frame["processes"])
    for model, group in wide.groupby("model"):
        for what in ("suite", "runs alone", "steps alone"):
            ratios = group[what, 1] / group[what, most]
            print(f"{model}, {what}: {most} processes {ratios.median():.2f} times one of {most} threads")
        print(f"{model}: the suite at {(group['runs alone', most] / group['suite', most]).median():.3f} of runs alone")


if __name__ == "__main__":
    main()
