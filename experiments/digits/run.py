"""Chooses the strengths of the demo: on the split selection of the digits, with a seed that the demo never uses.

    python experiments/digits/run.py --work runs/digits

Resumable. Writes selection.csv beside this file; the strengths in src/anchorlab/suites/demo.py are those it marks
as chosen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from anchorlab import load_task, train
from anchorlab.runs import run_into
from anchorlab.suites.demo import TUNING
from anchorlab.suites.protocol import Protocol, choose, selection_table

HERE = Path(__file__).parent
PROTOCOL = Protocol(
    grids={
        "l2": [0.0125, 0.05, 0.2],
        "ewc": [0.05, 0.2, 0.8],
        "surgery": [1000, 4000, 16000],
        "weight-ball": [0.01, 0.02, 0.04],
        "anchoring": [1, 4, 16],
    },
    controls={},
    tuning=TUNING,
    target_asr=0.99,
    extensions=3,
)


def main() -> None:
    """Runs what is not done yet and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/digits"), help="folder for models and cells")
    parser.add_argument("--workers", type=int, help="processes; the default is one a core")
    arguments = parser.parse_args()
    reference = arguments.work / "reference"
    if not reference.exists():
        task = load_task("digits", seed=0)
        run_into(reference, {"task": task.name, "seed": 0}, lambda at: train(task, seed=0, checkpoint=at))
    choices = choose(PROTOCOL, reference, arguments.work, workers=arguments.workers)
    table = selection_table(choices)
    table.to_csv(HERE / "selection.csv", index=False)
    print(table.to_string())


if __name__ == "__main__":
    main()
