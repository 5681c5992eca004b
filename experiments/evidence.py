"""What the suites of the evidence cost on this machine, from a few timed steps of each.

    python experiments/evidence.py data/cifar10 data/sst2 data/imdb

The folders hold local copies of CIFAR-10, SST-2 and IMDB. Times are those of ``anchorlab suite check --timing`` for
suites of which nothing is done, so suites that share references count them twice. Writes scaling/evidence.csv.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from anchorlab.suites.estimate import estimate
from anchorlab.suites.expected import expected_jobs
from anchorlab.suites.plan import make_plan
from anchorlab.suites.reading import load_suite
from anchorlab.suites.store import Store

HERE = Path(__file__).parent
#: In the order in which they are run.
SUITES = (
    "fashion_mnist",
    "fashion_mnist_square",
    "fashion_mnist_scratch",
    "audit",
    "cifar10",
    "sst2",
    "imdb",
)
#: Processes that run at a time on the machine of two cores.
PROCESSES = 2


def main() -> None:
    """Times the steps of each suite, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("cifar10", "sst2", "imdb"):
        parser.add_argument(name, help=f"the folder with {name}")
    folders = parser.parse_args()
    places = {"cifar10": folders.cifar10, "sst2": folders.sst2, "imdb-2500": folders.imdb}
    rows = [priced(name, places) for name in SUITES]
    found = pd.DataFrame(rows)
    found.to_csv(HERE / "scaling/evidence.csv", index=False)
    print(found.to_string(index=False))


def priced(name: str, places: dict[str, str]) -> dict[str, object]:
    """Runs and hours of a suite of which nothing is done."""
    suite = load_suite("fashion-mnist" if name == "fashion_mnist" else HERE / name / "suite.yaml")
    suite = suite.with_data({task.name: places[task.name] for task in suite.tasks if task.name in places})
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        plan = make_plan(suite, store)
        jobs = sum(1 for _ in plan.jobs()) + expected_jobs(suite, store, plan).total()
        left = estimate(suite, plan, store)
    if left.untimed:
        raise SystemExit(f"{name} could not be timed: {left.untimed}")
    return {
        "suite": name,
        "references": len(suite.references),
        "jobs": jobs,
        "hours": round(left.seconds / 3600 / PROCESSES, 2),
    }


if __name__ == "__main__":
    main()
