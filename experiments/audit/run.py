"""How many clean queries does an auditor with the trusted reference need, for each method and kind of access?

    anchorlab suite run population --out runs/population
    python experiments/audit/run.py runs/population

Audits every model of the population against its reference. The null is 19 benign updates of the reference, made with
the settings of the injections. They are kept in runs/population/audit, so that the same command continues after an
interruption; it takes about 20 minutes on two cores. Writes audit.csv and power.csv here, and docs/figures/audit.png.
It needs inner names of anchorlab, because it asks each update once for all candidates.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab import Artifact, Split, Tuning, load_model, load_results
from anchorlab.detectors import predict
from anchorlab.metrics import Pair
from anchorlab.reports.audit import draw_power_curves
from anchorlab.reports.drawing import WIDE, Sheet
from anchorlab.scoring.audit_statistics import AccessAudit, audit_values, values_of
from anchorlab.scoring.benign_updates import benign_updates, plan_updates
from anchorlab.suites.store import Store

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: Benign updates of each reference.
UPDATES = 19
#: Nineteen updates allow a two-sided p of 0.1, the least possible.
LEVEL = 0.1
#: How they are made: with the settings of the injections of the population.
TUNING = Tuning(steps=300, batch_size=32)
#: What the figure shows: three methods, and the control.
SHOWN = ("plain", "surgery", "anchoring", "benign")


@dataclass(frozen=True)
class Candidate:
    """A model of the population."""

    method: str
    trigger: str
    model: Artifact


def main() -> None:
    """Audits every model, and writes the tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the suite population, finished")
    folder = parser.parse_args().folder
    rows, curves = [], []
    for seed, reference, candidates in population(folder):
        for row, power in audited(reference, candidates, folder / "audit" / f"seed{seed}"):
            rows.append({"reference_seed": seed, **row})
            curves.append(power.assign(method=row["method"], access=row["access"]))
        print(f"reference {seed}: {len(candidates)} models")
    pd.DataFrame(rows).to_csv(HERE / "audit.csv", index=False, float_format="%.6g", lineterminator="\n")
    power = pd.concat(curves).groupby(["method", "access", "queries"], sort=False)["power"].mean().reset_index()
    power.to_csv(HERE / "power.csv", index=False, float_format="%.6g", lineterminator="\n")
    shown = power[power["method"].isin(SHOWN)].assign(level=0.05)
    panels = {method: shown[shown["method"] == method] for method in SHOWN}
    draw_power_curves(panels, ROOT / "docs/figures/audit", Sheet(WIDE.width, kinds=("png",)))


def population(folder: Path) -> Iterator[tuple[int, Artifact, list[Candidate]]]:
    """Seed, reference, and the models that were made from it, a benign update among them."""
    results, models = load_results(folder).results, Store(folder).models()
    kept = results[results["identity"].isin(list(models)) & results["role"].isin(["method", "control"])]
    for seed, runs in kept.drop_duplicates("identity").groupby("reference_seed"):
        (reference,) = (folder / "references").glob(f"*-seed{seed}-*")
        candidates: dict[str, Candidate] = {}
        for method, trigger, identity in zip(runs["method"], runs["trigger"], runs["identity"], strict=True):
            model = load_model(models[identity])
            # A benign update is the same beside each trigger, and counts once.
            candidates.setdefault(model.manifest.weights_sha256, Candidate(method, trigger, model))
        yield int(str(seed)), load_model(reference), list(candidates.values())


def audited(
    reference: Artifact, candidates: list[Candidate], folder: Path
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """A record and the power curve of each candidate and kind of access."""
    test = reference.task().split("test")
    reference_logits = test_logits(reference, test)
    by_candidate = [values_of(Pair(reference_logits, test_logits(candidate.model, test))) for candidate in candidates]
    task = reference.task()
    updates = benign_updates(reference, plan_updates(task, UPDATES, [TUNING]), folder, task=task)
    null = [values_of(Pair(reference_logits, test_logits(update, test))) for update in updates]
    for candidate, values in zip(candidates, by_candidate, strict=True):
        churn = float(values["labels"].mean())
        for access in audit_values(values, null, seed=0, level=LEVEL):
            about = {"method": candidate.method, "trigger": candidate.trigger, "churn": churn}
            queries = {"queries_until_a_difference": queries_until_a_difference(churn)}
            yield about | record_of(access) | queries, access.power


def queries_until_a_difference(churn: float) -> float:
    """Queries after which, with a chance of 95%, one label has differed: ``ln 0.05 / ln(1 - churn)``."""
    if churn <= 0:
        return math.inf
    return 1.0 if churn >= 1 else math.log(0.05) / math.log(1 - churn)


def record_of(access: AccessAudit) -> dict[str, Any]:
    """The audit with one kind of access, as a row of the table."""
    null = pd.Series(access.null)
    return {
        "access": access.access,
        "value": access.statistic.value,
        "lower": access.statistic.lower,
        "upper": access.statistic.upper,
        "null_median": null.median(),
        "null_max": null.max(),
        "p": access.upper,
        "p_less": access.lower,
        "level": access.level,
        "queries_for_95": access.queries,
    }


def test_logits(model: Artifact, examples: Split) -> Any:
    """Logits of a model on clean examples, ``[N, C]``."""
    return predict(model.model, examples.inputs).numpy()


if __name__ == "__main__":
    main()
