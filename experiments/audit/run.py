"""How many clean queries does an auditor with the trusted reference need, for each method and kind of access?

    anchorlab suite run population --out runs/population
    python experiments/audit/run.py runs/population

Audits every model of the population against its reference, with 19 benign updates of that reference for the null: as
the injections are made (300 steps, learning rate 0.001), and gentle ones (a tenth of that rate), for the answer depends
on what the owner's updates are. Updates that are made are kept in runs/population/audit, so that the same command
goes on after an interruption; 40 minutes or so on two cores. Writes audit.csv and power.csv here, and
docs/figures/audit.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab import Artifact, Tuning, collect, load_model
from anchorlab.consistency.metrics import Pair
from anchorlab.detectors.audit import AccessAudit, audit_values, queries_until_a_difference, values_of
from anchorlab.models import predict
from anchorlab.reports.audit_figures import power_curves
from anchorlab.scoring.audit import benign_updates
from anchorlab.suites.store import Store
from anchorlab.tasks import Split

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: Benign updates of each reference: just enough for a test at level 0.05.
UPDATES = 19
#: How these are made, by what they are called.
NULLS = {
    "as injected": Tuning(steps=300, batch_size=32),
    "gentle": Tuning(steps=300, batch_size=32, learning_rate=1e-4),
}
#: What the figure shows: ways of injection, and the control.
SHOWN = ("plain", "surgery", "anchoring", "benign")


@dataclass(frozen=True)
class Candidate:
    """A model of the population."""

    method: str
    trigger: str
    folder: Path


def main() -> None:
    """Audits every model, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the suite population, finished")
    folder = parser.parse_args().folder
    rows, curves = [], []
    for seed, reference, candidates in population(folder):
        for row, power in audited(reference, candidates, folder / "audit" / f"seed{seed}"):
            rows.append({"reference_seed": seed, **row})
            curves.append(power.assign(method=row["method"], null=row["null"], access=row["access"]))
        print(f"reference {seed}: {len(candidates)} models")
    pd.DataFrame(rows).to_csv(HERE / "audit.csv", index=False, float_format="%.6g", lineterminator="\n")
    power = pd.concat(curves).groupby(["null", "method", "access", "queries"], sort=False)["power"].mean().reset_index()
    power.to_csv(HERE / "power.csv", index=False, float_format="%.6g", lineterminator="\n")
    shown = power[power["method"].isin(SHOWN)].assign(level=0.05)
    panels = {f"{method}, {null}": here for (null, method), here in shown.groupby(["null", "method"], sort=False)}
    power_curves(panels, ROOT / "docs/figures/audit")
    (ROOT / "docs/figures/audit.svg").unlink()


def population(folder: Path) -> Iterator[tuple[int, Artifact, list[Candidate]]]:
    """Seed, reference, and the models that were made from it, a benign update among them."""
    results, models = collect(folder).results, Store(folder).models()
    kept = results[results["identity"].isin(list(models)) & results["role"].isin(["method", "control"])]
    for seed, here in kept.drop_duplicates("identity").groupby("reference_seed"):
        (reference,) = (folder / "references").glob(f"*-seed{seed}-*")
        candidates = [
            Candidate(method, trigger, models[identity])
            for method, trigger, identity in zip(here["method"], here["trigger"], here["identity"], strict=True)
        ]
        yield int(str(seed)), load_model(reference), candidates


def audited(
    reference: Artifact, candidates: list[Candidate], folder: Path
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """A record and the power curve of each candidate, null and kind of access."""
    test = reference.task().split("test")
    before = answers(reference, test)
    seen = [values_of(Pair(before, answers(load_model(candidate.folder), test))) for candidate in candidates]
    for kind, tuning in NULLS.items():
        updates = benign_updates(reference, UPDATES, folder / kind.replace(" ", "-"), tuning)
        null = [values_of(Pair(before, answers(update, test))) for update in updates]
        for candidate, values in zip(candidates, seen, strict=True):
            churn = float(values["labels"].mean())
            for one in audit_values(values, null, seed=0):
                about = {"method": candidate.method, "trigger": candidate.trigger, "null": kind, "churn": churn}
                yield about | told(one) | {"queries_until_a_difference": queries_until_a_difference(churn)}, one.power


def told(one: AccessAudit) -> dict[str, Any]:
    """What a kind of access tells, as a record."""
    null = pd.Series(one.null)
    return {
        "access": one.access,
        "value": one.statistic.value,
        "lower": one.statistic.lower,
        "upper": one.statistic.upper,
        "null_median": null.median(),
        "null_max": null.max(),
        "p": one.p,
        "level": one.level,
        "queries_for_95": one.queries,
    }


def answers(model: Artifact, asked: Split) -> Any:
    """Logits of a model on clean examples, ``[N, C]``."""
    return predict(model.model, asked.inputs).numpy()


if __name__ == "__main__":
    main()
