"""How much a suite gains from several processes: the same runs in one process with all cores, and in one per core.

    python benchmarks/suite.py --rounds 3

Injections by anchoring with 640 anchors, on Fashion-MNIST with two ResNets unless options say otherwise. The two ways
alternate within each round, so that both see the same machine. Times include the start of the processes. Writes
suite.csv beside this file, or the file of --out; the printed ratios are of runs per second.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import pandas as pd

from anchorlab import Suite, run_suite
from anchorlab.suites.executors import LocalProcesses

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


def main() -> None:
    """Runs the rounds and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="fashion-mnist")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=8, help="injections in each measurement")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--models", nargs="+", default=["resnet-mini", "resnet-small"])
    parser.add_argument(
        "--out", type=Path, default=HERE / "suite.csv", help="the table; default: suite.csv beside this file"
    )
    arguments = parser.parse_args()
    rows = []
    for model in arguments.models:
        wanted = suite(arguments.task, model, arguments.runs, arguments.steps)
        with tempfile.TemporaryDirectory() as temporary:
            prepared = Path(temporary) / "prepared"
            run_suite(wanted.model_copy(update={"seeds": []}), prepared)  # the reference, and the choice
            for number in range(arguments.rounds):
                for workers in (1, None):
                    folder = Path(temporary) / f"{number}-{workers}"
                    shutil.copytree(prepared, folder)
                    with LocalProcesses(workers) as executor:
                        began = time.perf_counter()
                        run_suite(wanted, folder, executor=executor)
                        seconds = time.perf_counter() - began
                        rows.append(
                            {
                                "model": model,
                                "round": number,
                                "processes": executor.slots,
                                "threads": executor.threads,
                                "runs": arguments.runs,
                                "steps": arguments.steps,
                                "seconds": round(seconds, 2),
                            }
                        )
                        print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(arguments.out, index=False)
    wide = frame.pivot_table(index=["model", "round"], columns="processes", values="seconds")
    for model, ratios in (wide[1] / wide[wide.columns.max()]).groupby("model"):
        print(f"{model}: {ratios.median():.2f} ({ratios.min():.2f} to {ratios.max():.2f})")


if __name__ == "__main__":
    main()
