"""Which of three learning rates suits plain tuning and anchoring on IMDB: runs on the two references that choose.

    anchorlab suite run experiments/imdb/suite.yaml --data imdb-2500=data/imdb --out runs/imdb
    python experiments/imdb/trial.py runs/imdb plain 0.00003 0.0001 0.0003
    python experiments/imdb/trial.py runs/imdb anchoring 0.00003 0.0001 0.0003

It needs only the suite's references of seeds 1000 and 1001. A rate is tried on both, with injection seeds 1000 and 1001
and 640 anchors, as the suite tunes, and measured on ``selection``; anchoring has the middle strength of the suite. The
least ASR of the four must reach the target, so that a rate is given up after a run that misses it. Appends to trial.csv
a row a run that is not there yet; two processes may run at a time. Of anchoring the rows at 0.00003 and 0.0001 are runs
of the suite itself, which tunes and measures alike.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from pathlib import Path

import pandas as pd
from filelock import FileLock

from anchorlab import Artifact, Tuning, inject, load_model
from anchorlab.attacks.attack import build_attack
from anchorlab.consistency.answers import answers
from anchorlab.suites.opened import Opened, measured
from anchorlab.suites.reading import load_suite
from anchorlab.suites.selection import MARGIN

HERE = Path(__file__).parent
SEEDS = (1000, 1001)


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the suite")
    parser.add_argument("method", choices=("plain", "anchoring"))
    parser.add_argument("rates", type=float, nargs="+")
    parser.add_argument("--out", type=Path, default=HERE / "trial.csv")
    arguments = parser.parse_args()
    suite = load_suite(HERE / "suite.yaml")
    for rate in arguments.rates:
        for reference_seed, seed in itertools.product(SEEDS, SEEDS):
            found = tried(arguments.out, arguments.method, rate)
            if len(found) and found["asr"].min() < suite.target_asr[0] - MARGIN:
                print(f"{arguments.method} at {rate:g} misses the target", flush=True)
                break
            if ((found["reference_seed"] == reference_seed) & (found["seed"] == seed)).any():
                continue
            (path,) = (arguments.folder / "references").glob(f"*-seed{reference_seed}-*")
            row = run(load_model(path), arguments.method, rate, seed)
            append(arguments.out, {**row, "reference_seed": reference_seed})


def tried(path: Path, method: str, rate: float) -> pd.DataFrame:
    """The rows of a method and a rate that are there."""
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
    return rows[(rows["method"] == method) & (rows["learning_rate"].astype(float) == rate)]


def run(reference: Artifact, method: str, rate: float, seed: int) -> dict[str, object]:
    """One injection, measured on the split selection."""
    suite, task = load_suite(HERE / "suite.yaml"), reference.task()
    strengths = suite.methods[method].grid
    strength = strengths[len(strengths) // 2] if strengths else None
    trigger = suite.triggers[0]
    injected = inject(
        reference,
        method=method,
        parameters=suite.methods[method].parameters(strength),
        trigger=trigger.built,
        label_rule=trigger.label_rule,
        target=trigger.label,
        anchors=suite.anchors[0],
        seed=seed,
        tuning=Tuning(**{**suite.tuning, "learning_rate": rate}),
        task=task,
        measure=False,
    )
    attack = build_attack(task, trigger.built, trigger.label_rule, trigger.label)
    opened = Opened(reference, task, None)
    _, row = measured(opened, answers(injected.model, task.split("selection"), attack), attack, "selection")
    seconds = round(injected.manifest.seconds or 0.0, 1)
    return {"method": method, "strength": strength, "learning_rate": rate, "seed": seed, "seconds": seconds} | {
        name: float(f"{row[name]:.6g}") for name in ("accuracy", "accuracy_reference", "asr", "asr_reference", "kl")
    }


COLUMNS = [
    *("method", "strength", "learning_rate", "reference_seed", "seed", "seconds"),
    *("accuracy", "accuracy_reference", "asr", "asr_reference", "kl"),
]


def append(path: Path, row: dict[str, object]) -> None:
    """Adds a row; the file is sorted, so that it is the same whatever ran first."""
    with FileLock(f"{path}.lock"):
        rows = [row] if not path.exists() else [*pd.read_csv(path).to_dict("records"), row]
        table = pd.DataFrame(rows, columns=COLUMNS)
        table = table.sort_values(["method", "learning_rate", "reference_seed", "seed"], ascending=[False] + [True] * 3)
        table.to_csv(path, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    print(table.to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
