"""Kills each command at random moments, repeats it, and compares what it leaves with a run that was left alone.

    python experiments/kill.py --kills 50 --out experiments/kill.csv

A moment is a share of the time that the undisturbed command took, or one of its writes to the disk (a flush, a rename
or a removal). The process dies by SIGKILL there. The same command then runs to its end. Files are compared byte for
byte; only what a clock, or the operating system's account of memory, decides is left out: ``seconds``, ``peak_bytes``,
hashes over these, and pages and tables that show them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

SUITE = """
name: small
title: A small suite that is killed
tasks: [{name: digits, limit: 40, training: {epochs: 2, batch_size: 32}}]
references: 1
methods: {plain: , anchoring: [1, 4]}
anchors: [all]
seeds: 1
target_asr: 0.05
tuning: {steps: 4, batch_size: 8, learning_rate: 0.01}
selection: {references: 1, extensions: 0}
repairs: [fine-tuning]
defender: [20]
"""

BRIEF = [
    *("--examples", "60", "--set", "curvature_examples=16", "--set", "diagonal_examples=8", "--set", "trace_vectors=2"),
    *("--set", "eigenvalues=1", "--set", "resamples=100", "--set", "plane_steps=3", "--set", "statistics_examples=32"),
]

#: Fields and columns that a clock or the operating system decides, and hashes over these.
VOLATILE = {"seconds", "peak_bytes", "sha256"}
#: Files that show them.
SHOWING = ("index.html", "cost", "references", "run.json", "runs.csv")

CLEAN = multiprocessing.get_context("forkserver")


def commands(ground: Path) -> dict[str, Callable[[Path], list[str]]]:
    """The commands by name; each writes everything into a folder that it is given."""
    reference, injected = str(ground / "reference"), str(ground / "injected")
    quick = ["--set", "epochs=3"]
    return {
        "train": lambda out: ["train", "digits", "--out", f"{out}/model", *quick],
        "inject": lambda out: ["inject", reference, "--out", f"{out}/model", "--steps", "60"],
        "repair": lambda out: [
            *("repair", injected, "--repair", "fine-tuning", "--defender-data", "all", "--set", "epochs=2"),
            *("--reference", reference, "--out", f"{out}/model", "--json", f"{out}/score.json"),
        ],
        "audit": lambda out: [
            *(
                "audit",
                reference,
                injected,
                "--updates",
                "3",
                "--level",
                "0.5",
                "--steps",
                "20",
                "--out",
                f"{out}/audit",
            ),
        ],
        "analyze": lambda out: ["analyze", reference, injected, "--out", f"{out}/analysis", *BRIEF],
        "suite": lambda out: ["suite", "run", str(ground / "small.yaml"), "--out", f"{out}/suite", "--workers", "1"],
    }


def run(arguments: list[str], log: Path, share_of: float | None = None, at_write: int | None = None) -> None:
    """A command in this process, which dies after some seconds, or at one of its writes; counts these in a file."""
    import torch

    torch.set_num_threads(1)
    os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    writes = 0

    def counted(original: Any) -> Any:
        def wrapper(*args: Any, **options: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == at_write:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **options)

        return wrapper

    for name in ("fsync", "replace", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    if share_of is not None:
        threading.Timer(share_of, os.kill, (os.getpid(), signal.SIGKILL)).start()
    from anchorlab.cli import main

    try:
        main(arguments)
    finally:
        log.with_suffix(".writes").write_text(str(writes))


def start(arguments: list[str], log: Path, **moment: Any) -> tuple[int, float]:
    """Exit code (negative for a signal) and seconds of a command in a process of its own."""
    process = CLEAN.Process(target=run, args=(arguments, log), kwargs=moment)
    began = time.monotonic()
    process.start()
    process.join()
    return process.exitcode or 0, time.monotonic() - began


def contents(folder: Path) -> dict[str, Any]:
    """What a folder holds, by path: bytes, less what is volatile."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or "locks" in path.parts or any(word in path.name for word in SHOWING):
            continue
        if path.suffix == ".json":
            found[name] = _steady(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            frame = pd.read_csv(path)
            found[name] = frame.drop(columns=[column for column in frame if column in VOLATILE]).to_csv()
        else:
            found[name] = path.read_bytes()
    return found


def _steady(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _steady(item) for name, item in value.items() if name not in VOLATILE}
    return [_steady(item) for item in value] if isinstance(value, list) else value


def difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The first files that differ, in words; empty if none does."""
    others = sorted({*expected, *found} - {name for name in expected if expected.get(name) == found.get(name)})
    return " ".join(others[:3])


def kill_all(kills: int, seed: int, ground: Path, only: list[str]) -> Iterator[dict[str, Any]]:
    """One row for each kill: command, moment, how the kill and its repetition ended, and what differs."""
    (ground / "small.yaml").write_text(SUITE)
    log = ground / "log.txt"
    made = commands(ground)
    for name, arguments in (
        ("reference", ["train", "digits", "--out", str(ground / "reference"), "--set", "epochs=3"]),
        ("injected", ["inject", str(ground / "reference"), "--out", str(ground / "injected"), "--steps", "60"]),
    ):
        code, _ = start(arguments, log)
        assert code == 0, f"{name}: {log.read_text()}"
    rng = random.Random(seed)
    names = [name for name in made if not only or name in only]
    for index, name in enumerate(names):
        whole = ground / f"{name}-whole"
        whole.mkdir()
        code, seconds = start(made[name](whole), log)
        assert code == 0, f"{name}: {log.read_text()}"
        expected, writes = contents(whole), int(log.with_suffix(".writes").read_text())
        for number in range(kills // len(names) + (index < kills % len(names))):
            share = rng.random()
            at_write = None if number % 2 else 1 + int(share * writes)
            out = ground / f"{name}-killed"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            moment = {"share_of": share * seconds} if at_write is None else {"at_write": at_write}
            killed, _ = start(made[name](out), log, **moment)
            log.write_text("")
            repeated, _ = start(made[name](out), log)
            differs = difference(expected, contents(out)) if repeated == 0 else log.read_text()[-200:]
            yield {
                "command": name,
                "moment": f"{share:.0%} of the time" if at_write is None else f"write {at_write} of {writes}",
                "killed": killed == -signal.SIGKILL,
                "repeated": repeated,
                "equal": repeated == 0 and not differs,
                "differs": differs.replace(str(ground), ""),
            }


def main() -> None:
    """Runs the kills and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--only", nargs="*", default=[], help="names of commands; all if left out")
    chosen = parser.parse_args()
    CLEAN.set_forkserver_preload(["anchorlab.cli", "anchorlab.suites.runner", "anchorlab.reports.write", "torch"])
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        rows = []
        for row in kill_all(chosen.kills, chosen.seed, Path(folder), chosen.only):
            rows.append(row)
            print(row, flush=True)
            chosen.out.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_csv(chosen.out, index=False)
    equal = sum(row["equal"] for row in rows)
    print(f"{equal} of {len(rows)} ended with the same bytes; {sum(row['killed'] for row in rows)} were killed in time")


if __name__ == "__main__":
    main()
