"""Time and memory of a suite's report, and of 'suite run' with nothing to do, by the number of its cells.

    anchorlab suite run demo --out demo
    python benchmarks/report.py demo

It fills folders of the given suite, which has run, with so many seeds that they hold about 1,000, 3,000 and 10,000
cells. Each cell gets the table of a cell that ran, and its measurements times a random number near 1, drawn with one
seed: the folders say nothing of methods. In each, ``anchorlab report`` and then ``anchorlab suite run`` run once, each
in a process of its own with one thread, whose wall-clock seconds, CPU seconds and peak memory count with the start of
Python. Folders that are there already are not filled again. Writes report.csv beside this file, or the file of --out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anchorlab import Suite
from anchorlab.suites.cells import Cell, Measured, ReferenceJob
from anchorlab.suites.condition import NOISE
from anchorlab.suites.plan import make_plan
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.store import Store

HERE = Path(__file__).parent

#: What stays as it was measured: choices of strengths would move with it.
KEPT = ("scale", "asr", "strength")


def fill(folder: Path, source: Store, cells: int) -> None:
    """Writes every cell of a suite with about so many cells, from those of one that ran."""
    ran = parse_suite(source.suite())
    known: dict[tuple[str, str], list[Cell]] = {}
    for _, job in make_plan(ran, source).jobs():
        if not isinstance(job, ReferenceJob):
            known.setdefault((job.label, job.split), []).append(job)
    methods = sum(split == "test" for _, split in known) - len(NOISE)
    changed = {
        "seeds": max(1, cells // (methods * len(ran.references))),
        "selection": {"seeds": [10**6]},
        "keep_models": False,
    }
    suite = Suite.model_validate({**ran.model_dump(), **changed})
    store, rng = Store(folder), np.random.default_rng(0)
    store.begin(suite.to_yaml(), {"command": "anchorlab suite run"})
    while todo := [job for _, job in make_plan(suite, store).jobs() if not store.done(job)]:
        for job in todo:
            if isinstance(job, ReferenceJob):
                store.save_reference(job, {path.name: path.read_bytes() for path in source.reference(job).iterdir()})
                continue
            alike = known[job.label, job.split]
            cell = alike[rng.integers(len(alike))]
            rows = source.result(cell) or []
            moved = [{name: _moved(name, value, rng) for name, value in row.items()} for row in rows]
            table = source.instances(cell.identity)
            content = table.read_bytes() if table.exists() else None
            store.save(job, Measured(moved, content, None, source.versions(cell)))


def _moved(name: str, value: Any, rng: np.random.Generator) -> Any:
    """A measurement times a random number near 1; anything else as it is."""
    if not isinstance(value, float) or name in KEPT:
        return value
    return float(value * (1 + 0.02 * rng.standard_normal()))


def measured(*words: str) -> dict[str, float]:
    """Seconds and peak memory of a command of anchorlab, which must end well or with a target that was missed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "anchorlab", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        sys.exit(said.decode())
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def main() -> None:
    """Fills the folders, measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, help="the folder of a suite that has run")
    parser.add_argument("--cells", type=int, nargs="+", default=[1_000, 3_000, 10_000], help="about how many")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the folders go")
    parser.add_argument(
        "--out", type=Path, default=HERE / "report.csv", help="the table; default: report.csv beside this file"
    )
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for cells in arguments.cells:
        folder = arguments.folder / f"suite-of-{cells}"
        if not folder.exists():
            fill(folder, Store(arguments.suite), cells)
        count = len(list((folder / "cells").glob("*.json")))
        for what, words in (
            ("report", ("report", str(folder))),
            ("nothing to do", ("suite", "run", str(folder / "suite.yaml"), "--out", str(folder))),
        ):
            rows.append({"cells": count, "what": what, **measured(*words), "threads": 1})
            print(rows[-1], flush=True)
        pd.DataFrame(rows).to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
