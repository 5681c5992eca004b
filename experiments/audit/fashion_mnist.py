"""What does a two-sided audit find on Fashion-MNIST?

    anchorlab suite run experiments/audit/suite.yaml --out runs/fashion-mnist
    python experiments/audit/fashion_mnist.py runs/fashion-mnist

The models are those of the suite: of eight references, one injection by plain tuning, by surgery and by anchoring, and
the control, a benign update with the settings of the injections. Each is audited against 39 benign updates of its
reference, made as ``anchorlab audit`` makes them: 20 short ones and 19 long ones. The updates are kept in the folder,
so that the same command continues after an interruption. It takes twenty minutes of one core for each reference;
``--seeds`` shares them out among processes. Writes fashion_mnist.csv here, of the references whose updates are all
there; as committed there are eight. It needs inner names of anchorlab, because it asks each update once for all
candidates.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from digits import answers_of, rows_of, test_logits
from run import Candidate, population

from anchorlab import Artifact
from anchorlab.metrics import Pair
from anchorlab.scoring.audit import Measured, audit_of
from anchorlab.scoring.audit_statistics import values_of
from anchorlab.scoring.benign_updates import benign_updates, ordinary_tunings, plan_updates

HERE = Path(__file__).parent
UPDATES = 39
METHODS = ("plain", "surgery", "anchoring", "benign")


def main() -> None:
    """Makes the updates that are not there yet, audits every candidate and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the suite, finished")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)), help="seeds of the references")
    options = parser.parse_args()
    table = HERE / "fashion_mnist.csv"
    for seed, reference, candidates in population(options.folder):
        if seed not in options.seeds:
            continue
        candidates = [candidate for candidate in candidates if candidate.method in METHODS]
        rows = pd.DataFrame(audited(reference, candidates, options.folder / "updates" / f"seed{seed}"))
        rows.insert(0, "reference_seed", seed)
        print(f"reference {seed}: {len(rows)} rows", flush=True)
        others = pd.read_csv(table).query("reference_seed != @seed") if table.exists() else None
        together = pd.concat([others, rows]).sort_values("reference_seed", kind="stable")
        together.to_csv(table, index=False, float_format="%.6g", lineterminator="\n")


def audited(reference: Artifact, candidates: list[Candidate], folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each candidate of a reference and each kind of access."""
    task = reference.task()
    test = task.split("test")
    before = test_logits(reference, test)
    planned = plan_updates(task, UPDATES, ordinary_tunings(task))
    settings = tuple(of.setting() for of in planned)
    null = [
        values_of(Pair(before, test_logits(update, test)))
        for update in benign_updates(reference, planned, folder, task=task)
    ]
    for candidate in candidates:
        pair = Pair(before, test_logits(candidate.model, test))
        measured = Measured([values_of(pair), *null], settings, answers_of(pair, task))
        found = audit_of(measured, judged="logits", level=0.05, seed=0)
        right = float((pair.q.prediction == test.labels.numpy()).mean())
        about = {
            "candidate": candidate.method,
            "asr": candidate.model.manifest.measurements.get("asr"),
            "accuracy": right,
        }
        yield from ({**about, **row} for row in rows_of(found))


if __name__ == "__main__":
    main()
