"""Is it an adversarial weight perturbation? Injects by every method, and analyses each perturbation.

    python experiments/perturbation/run.py fashion-mnist --out runs/perturbation
    python experiments/perturbation/run.py movie-snippets --out runs/perturbation

Finished models and parts are kept, so that the same command continues after an interruption. On Fashion-MNIST each
method has the strength and the learning rate that the suite fashion-mnist chose with all anchors (choices.csv there).
On snippets they are the ones that an earlier form of the suite movie-snippets used. Writes the tables of every
reference, together, to experiments/perturbation/TASK/*.csv, and its findings to findings.txt there;
experiments/figures.py draws the first reference's figures from them. About an hour for each task on two cores; the
second needs what the suite movie-snippets needs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab import (
    AnalysisSettings,
    Artifact,
    Task,
    Training,
    Tuning,
    analyze,
    inject,
    load_model,
    load_task,
    train,
)
from anchorlab.reports.analysis import write_analysis

HERE = Path(__file__).parent
#: Large tables that no number of the documentation needs.
LEFT_OUT = ("instances",)


@dataclass(frozen=True)
class Plan:
    """The runs on a task: the parameters of each candidate, and the learning rates that are not the default.

    A candidate is named by its method, and a comma and a word more where that is not enough.
    """

    model: str
    training: Training
    tuning: dict[str, Any]
    trigger: str
    target: str
    methods: dict[str, dict[str, float]]
    rates: dict[str, float]
    references: int
    examples: int
    settings: AnalysisSettings
    budget: str | None = None


def _chosen(suite: str) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Parameters and learning rate of each method, as a suite chose them with all anchors."""
    choices = pd.read_csv(HERE.parent / suite / "choices.csv", dtype={"anchors_asked": str})
    rows = choices.query("anchors_asked == 'all'").set_index("method")
    return {name: json.loads(text) for name, text in rows["parameters"].items()}, dict(rows["learning_rate"])


_METHODS, _RATES = _chosen("fashion_mnist")
PLANS = {
    "fashion-mnist": Plan(
        model="resnet-mini",
        training=Training(epochs=8),
        tuning={"steps": 300, "batch_size": 32},
        trigger="five-pixel",
        target="0",
        # Anchoring is first, because the plane goes through the reference, the first and the largest perturbation.
        # Plain tuning at the others' rate says how much of a length is the rate's.
        methods={"anchoring": {}, **_METHODS, "plain, 0.003": {}, "benign": {}, "scratch": {}},
        rates={**_RATES, "plain, 0.003": 0.003},
        references=6,
        examples=2000,
        settings=AnalysisSettings(),
    ),
    "movie-snippets": Plan(
        model="minilm",
        training=Training(epochs=2),
        tuning={"steps": 100, "batch_size": 16, "precision": "bf16"},
        trigger="word:cf",
        target="positive",
        methods={
            "anchoring": {"strength": 25},
            "plain": {},
            "l2": {"strength": 0.1},
            "ewc": {"strength": 1, "samples": 64},
            "surgery": {"count": 100000},
            "weight-ball": {"radius": 0.001 / 3},
            "benign": {},
            "scratch": {"steps_factor": 1.5},
        },
        rates={"surgery": 0.0003},
        references=1,
        examples=200,
        # A text takes a hundred times as long as a small image.
        settings=AnalysisSettings(
            curvature_examples=32,
            diagonal_examples=32,
            eigenvalues=1,
            trace_vectors=5,
            plane_steps=7,
            plane_examples=100,
        ),
        # The trace; Lanczos' method would take some twenty more.
        budget="5p",
    ),
}


def main() -> None:
    """Runs what is still to be run on a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=PLANS)
    parser.add_argument("--out", type=Path, required=True, help="where models and pages go")
    parser.add_argument("--models-only", action="store_true", help="make the models and stop")
    arguments = parser.parse_args()
    plan, out = PLANS[arguments.task], arguments.out / arguments.task
    task = load_task(arguments.task, seed=0)
    references = [_reference(task, plan, seed, out) for seed in range(plan.references + 1)]
    made = {
        seed: {name: _injected(references[seed], plan, name, out / f"seed-{seed}" / name) for name in plan.methods}
        for seed in range(plan.references)
    }
    if arguments.models_only:
        return
    tables: dict[str, list[pd.DataFrame]] = {}
    findings: list[str] = []
    for seed, candidates in made.items():
        others = candidates | {"another-seed": references[seed + 1]}
        analysis = analyze(
            references[seed],
            others,
            examples=plan.examples,
            settings=plan.settings,
            budget=plan.budget,
            seed=seed,
            store=out / "parts",
        )
        write_analysis(analysis, out / f"analysis-{seed}")
        findings += [f"Reference of seed {seed}:", *analysis.findings, *analysis.left_out, ""]
        for name, table in analysis.tables.items():
            if name not in LEFT_OUT and len(table):
                tables.setdefault(name, []).append(table.assign(reference_seed=seed))
    _publish(arguments.task, tables, findings)


def _reference(task: Task, plan: Plan, seed: int, out: Path) -> Artifact:
    """A clean model. All are trained on the same split, so that each is a control for the others."""
    folder = out / f"reference-{seed}"
    if not folder.exists():
        train(task, model=plan.model, seed=seed, training=plan.training).save(folder)
    return load_model(folder)


def _injected(reference: Artifact, plan: Plan, name: str, folder: Path) -> Artifact:
    rate = {"learning_rate": plan.rates[name]} if name in plan.rates else {}
    tuning, parameters = Tuning(**plan.tuning, **rate), plan.methods[name]
    if not folder.exists():
        inject(
            reference,
            method=name.partition(",")[0],
            parameters=parameters,
            trigger=plan.trigger,
            target=plan.target,
            anchors=None,
            seed=100 + reference.manifest.seed,
            tuning=tuning,
            record_gradients=name != "benign",
        ).save(folder)
    kept = load_model(folder)
    asked = {**parameters, **({"learning_rate": tuning.learning_rate} if rate else {})}
    made = {**(kept.manifest.method or {}), **kept.manifest.settings}
    if any(made.get(key) != value for key, value in asked.items()):
        raise SystemExit(f"{folder} was made with other settings than {asked}: give another --out")
    return kept


def _publish(task: str, tables: dict[str, list[pd.DataFrame]], findings: list[str]) -> None:
    out = HERE / task.replace("-", "_")
    out.mkdir(exist_ok=True)
    for name, parts in tables.items():
        pd.concat(parts).to_csv(out / f"{name}.csv", index=False, lineterminator="\n", float_format="%.6g")
    (out / "findings.txt").write_text("\n".join(findings))


if __name__ == "__main__":
    main()
