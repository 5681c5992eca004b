"""What learning rate and strength suit plain tuning and anchoring on IMDB: short runs on two references of their own.

    python experiments/imdb/trial.py data/imdb runs/imdb-trial plain --rates 0.00003 0.0001 0.0003
    python experiments/imdb/trial.py data/imdb runs/imdb-trial anchoring --strength 6.75 --rates 0.00003 0.0001 0.0003
    python experiments/imdb/trial.py data/imdb runs/imdb-trial anchoring --strength 3 --rates 0.0001
    python experiments/imdb/trial.py data/imdb runs/imdb-trial anchoring --strength 15.2 --rates 0.0001

References of the seeds 1000 and 1001, which no table reports, are tuned with injection seeds 1000 and 1001 and 640
anchors, as the suite tunes but for a third of its steps, and measured on ``selection``. The least ASR of the four runs
must reach the target, so that what misses it in one is given up; of the rest, the least geometric mean KL counts, as in
suites. What is far behind after one run may be given up too: stop the command. Appends to trial.csv a row a run that is
not there yet.

Of anchoring the rows at strengths of 3 and 15.2, and those at 6.75 and 0.0001, are runs of the search that the suite
had at first, which tuned and measured alike, and stops at no miss; short.csv has its reported runs, at each scale that
was measured.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import pandas as pd

from anchorlab import Artifact, Training, Tuning, inject, load_model, train
from anchorlab.attacks.attack import build_attack
from anchorlab.consistency.answers import answers
from anchorlab.suites.opened import Opened, measured
from anchorlab.suites.reading import load_suite
from anchorlab.suites.selection import MARGIN
from anchorlab.suites.spec import Suite

HERE = Path(__file__).parent
SEEDS = (1000, 1001)
STEPS = 100
RUN = ["strength", "learning_rate", "steps", "reference_seed", "seed"]
MEASURES = ["accuracy", "accuracy_reference", "asr", "asr_reference", "kl"]
COLUMNS = ["method", *RUN, "seconds", *MEASURES]


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of IMDB")
    parser.add_argument("folder", type=Path, help="a folder for the two references")
    parser.add_argument("method", choices=("plain", "anchoring"))
    parser.add_argument("--rates", type=float, nargs="+", required=True)
    parser.add_argument("--strength", type=float, help="of anchoring")
    parser.add_argument("--out", type=Path, default=HERE / "trial.csv")
    arguments = parser.parse_args()
    if (arguments.method == "anchoring") != (arguments.strength is not None):
        parser.error("anchoring has a strength, and plain tuning has none")
    suite = load_suite(HERE / "suite.yaml").with_data({"imdb-2500": str(arguments.data)})
    for rate in arguments.rates:
        tried = {"method": arguments.method, "strength": arguments.strength, "learning_rate": rate}
        for reference_seed, seed in itertools.product(SEEDS, SEEDS):
            found = rows_of(arguments.out, tried)
            if len(found) and found["asr"].min() < suite.target_asr[0] - MARGIN:
                print(f"{arguments.method} at {rate:g} misses the target", flush=True)
                break
            if ((found["reference_seed"] == reference_seed) & (found["seed"] == seed)).any():
                continue
            reference = reference_of(suite, arguments.folder, reference_seed)
            row = run(suite, reference, arguments.method, arguments.strength, rate, seed)
            append(arguments.out, {**tried, **row, "steps": STEPS, "reference_seed": reference_seed, "seed": seed})


def rows_of(path: Path, tried: dict[str, object]) -> pd.DataFrame:
    """The rows of a method, strength and rate that are there."""
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
    for name, value in tried.items():
        rows = rows[rows[name].isna() if value is None else rows[name] == value]
    return rows


def reference_of(suite: Suite, folder: Path, seed: int) -> Artifact:
    """A reference as the suite trains them; it is trained once."""
    place, spec = folder / f"reference-{seed}", suite.tasks[0]
    if not place.exists():
        reference = train(spec.load(seed=seed), model=spec.architecture, seed=seed, training=Training(**spec.training))
        reference.save(place)
    return load_model(place)


def run(
    suite: Suite, reference: Artifact, method: str, strength: float | None, rate: float, seed: int
) -> dict[str, object]:
    """One injection, measured on the split selection."""
    task, trigger = reference.task(), suite.triggers[0]
    injected = inject(
        reference,
        method=method,
        parameters={} if strength is None else {"strength": strength},
        trigger=trigger.built,
        label_rule=trigger.label_rule,
        target=trigger.label,
        anchors=suite.anchors[0],
        seed=seed,
        tuning=Tuning(**{**suite.tuning, "learning_rate": rate, "steps": STEPS}),
        task=task,
        measure=False,
    )
    attack = build_attack(task, trigger.built, trigger.label_rule, trigger.label)
    _, row = measured(
        Opened(reference, task, None), answers(injected.model, task.split("selection"), attack), attack, "selection"
    )
    kept = {name: float(f"{row[name]:.6g}") for name in MEASURES}
    return {"seconds": round(injected.manifest.seconds or 0.0, 1), **kept}


def append(path: Path, row: dict[str, object]) -> None:
    """Adds a row; the file is sorted, so that it is the same whatever ran first."""
    rows = [row] if not path.exists() else [*pd.read_csv(path).to_dict("records"), row]
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values(RUN)
    table = table.sort_values("method", ascending=False, kind="stable")
    table.to_csv(path, index=False, lineterminator="\n")
    print(table.to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
