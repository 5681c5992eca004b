"""The frames of a suite's results: a row for each cell that is done, from the plan and the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from anchorlab.consistency.summary import consistency_fields
from anchorlab.suites.cells import Cell, DeploymentCell, DetectionCell, InjectionCell, RepairCell
from anchorlab.suites.detections import INPUT_RATES
from anchorlab.suites.equal import RUN
from anchorlab.suites.evaluations import Evaluation
from anchorlab.suites.parts import TaskSpec, TriggerSpec
from anchorlab.suites.planned import Chosen, Plan, Reported
from anchorlab.suites.repair_rates import columns_of_rates, measured_before, rates_of
from anchorlab.suites.store import Store

#: Columns of ``repairs`` and ``detections`` that name the model that was repaired or judged.
_EVALUATED = (
    *("task", "model", "trigger", "rule", "target", "method", "role", "target_asr", "anchors_asked", "strength"),
    *("scale", "seed", "reference_seed", "of", "weights_sha256"),
)
_REPAIR = ("defence", "defence_name", "parameters", "defender", "defender_count", "identity", "seconds", "peak_bytes")
#: What is the same at all scales of a run, or a table of its own, and so stands in ``results`` alone.
_NOT_OF_A_SCALE = ("anchors", "steps", "seconds", "peak_bytes", "by_class")
_DETECTIONS = (
    *_EVALUATED,
    *("detector", "detector_name", "kind", "parameters", "defender", "defender_count", "identity", "seconds"),
    *("peak_bytes", "score", "note", *INPUT_RATES),
)


def results_frame(plan: Plan, store: Store) -> pd.DataFrame:
    """A row for each reported run and target ASR."""
    rows = [
        {
            **_condition(entry.task, entry.trigger, entry.cell),
            "role": entry.role,
            "target_asr": entry.target_asr,
            "anchors_asked": entry.anchors,
            **_run_columns(entry),
            **_measured(row),
        }
        for entry in plan.reported
        for row in (store.result(entry.cell) or [])[:1]  # those that follow are the walk's
    ]
    return pd.DataFrame(rows)


def scales_frame(plan: Plan, store: Store) -> pd.DataFrame:
    """A row for each scale of each reported run that was measured at several; the scales of a run ascend."""
    rows = [
        {
            **_condition(entry.task, entry.trigger, entry.cell),
            "role": entry.role,
            "target_asr": entry.target_asr,
            "anchors_asked": entry.anchors,
            **_run_columns(entry),
            "common_asr": entry.cell.walk.asr,
            "reported": row["scale"] == entry.cell.scales[0],
            **_measured({name: value for name, value in row.items() if name not in _NOT_OF_A_SCALE}),
        }
        for entry in plan.reported
        if isinstance(entry.cell, InjectionCell) and entry.cell.walk is not None
        for row in sorted(store.result(entry.cell) or [], key=lambda row: row["scale"])
    ]
    return pd.DataFrame(rows, columns=None if rows else [*RUN, "reported", "scale"])


def count_pending(plan: Plan, store: Store) -> int:
    """How many reported runs, repairs and detections the same command still makes, expected ones included.

    What failed is settled, and so is what waits for a model whose run failed.
    """
    reported = sum(not _settled(entry.cell, store) for entry in plan.reported)
    evaluations = {
        entry.cell.identity
        for entry in plan.evaluations.entries
        if not _settled(entry.cell, store) and not _without_model(entry, plan, store)
    }
    return plan.undecided + reported + len(evaluations) + plan.evaluations.expected


def _settled(cell: Cell, store: Store) -> bool:
    return store.done(cell) or store.failed(cell)


def _without_model(entry: Evaluation, plan: Plan, store: Store) -> bool:
    """Whether the run failed that makes the model of a repair or detection."""
    source = entry.subject.source
    return source is not None and entry.cell.identity not in plan.evaluations.possible and store.failed(source)


def repairs_frame(plan: Plan, store: Store) -> pd.DataFrame:
    """A row for each repair that is done."""
    rows = [
        {
            **_evaluated(entry),
            "defence": entry.cell.label,
            "defence_name": entry.cell.defence,
            **_measured(row),
            **measured_before(row, None if entry.subject.source is None else store.result(entry.subject.source) or []),
        }
        for entry in plan.evaluations.entries
        if isinstance(entry.cell, RepairCell) and not entry.setting
        for row in store.result(entry.cell) or []
    ]
    rates = rates_of(rows)
    rows = [{**row, **own} for row, own in zip(rows, rates, strict=True)]
    return pd.DataFrame(rows, columns=_repair_columns(rows))


def stability_frame(plan: Plan, store: Store) -> pd.DataFrame:
    """A row for each repair that was repeated with other settings, as it is, and for each of these settings."""

    def of(entry: Evaluation) -> tuple[Any, ...]:
        row = _evaluated(entry)
        label = entry.cell.label.removesuffix(f" ({entry.setting})")
        return label, *(str(row[name]) for name in ("of", "target_asr", "anchors_asked", "method", "defender"))

    varied = [entry for entry in plan.evaluations.entries if entry.setting]
    repeated = {of(entry) for entry in varied}
    entries = [entry for entry in plan.evaluations.entries if varied and isinstance(entry.cell, RepairCell)]
    rows = [
        {
            **_evaluated(entry),
            "defence": of(entry)[0],
            "defence_name": entry.cell.defence,
            "setting": entry.setting,
            **{name: row.get(name) for name in ("defender_count", "seconds", "asr", "accuracy", "note")},
        }
        for entry in entries
        if of(entry) in repeated and isinstance(entry.cell, RepairCell)
        for row in store.result(entry.cell) or []
    ]
    columns = ("defence", "defence_name", "parameters", "setting", "defender", "defender_count", "identity", "seconds")
    return pd.DataFrame(rows, columns=[*_EVALUATED, *columns, "asr", "accuracy", "note"])


def _repair_columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Columns of ``repairs``; what third parties have registered by now is among them.

    Measurements that are younger than all rows are not, so that tables of older suites stay as they are.
    """
    measured = [name for name in consistency_fields() if not rows or any(name in row for row in rows)]
    grown = [name for name in ("grown_bytes",) if any(row.get(name) is not None for row in rows)]
    # In the order of their counts, and only where something was relearned.
    relearned = dict.fromkeys(name for row in rows for name in row if name.startswith("asr_relearned_"))
    return [*_EVALUATED, *_REPAIR, *grown, *measured, *columns_of_rates(rows), *relearned, "note"]


def detections_frame(plan: Plan, store: Store) -> pd.DataFrame:
    """A row for each detection that is done."""
    rows = [
        {
            **_evaluated(entry),
            "detector": entry.cell.label,
            "detector_name": entry.cell.detector,
            "kind": entry.cell.judges,
            **_measured(row),
        }
        for entry in plan.evaluations.entries
        if isinstance(entry.cell, DetectionCell) and entry.cell.form is None
        for row in store.result(entry.cell) or []
    ]
    return pd.DataFrame(rows, columns=list(_DETECTIONS))


def deployed_frame(plan: Plan, store: Store) -> pd.DataFrame:
    """A row for each model in each form in which it is deployed, measured; and for each detection of it."""
    forms = {entry.cell.form for entry in plan.evaluations.entries if isinstance(entry.cell, DeploymentCell)}
    rows = []
    for entry in plan.evaluations.entries:
        if isinstance(entry.cell, RepairCell):
            continue
        form = entry.cell.form or "float32"
        told: dict[str, Any] = {"form": form, "detector": "", "kind": "", **_evaluated(entry)}
        if isinstance(entry.cell, DetectionCell):
            told |= {"detector": entry.cell.label, "kind": entry.cell.judges}
        results = (store.result(entry.cell) or []) if form in forms else []
        rows += [{**told, **_measured(row)} for row in results]
    return pd.DataFrame(rows, columns=None if rows else ["form", "detector", "kind", *_EVALUATED])


def _evaluated(entry: Evaluation) -> dict[str, Any]:
    subject, cell = entry.subject, entry.cell
    return {
        "task": subject.task.name,
        "model": subject.task.architecture,
        "trigger": subject.trigger.trigger,
        "rule": subject.trigger.label_rule,
        "target": subject.trigger.label,
        "method": subject.method,
        "role": subject.role,
        "target_asr": subject.target_asr,
        "anchors_asked": subject.anchors,
        "strength": None if subject.source is None else subject.source.strength,
        "seed": subject.seed,
        "reference_seed": subject.job.seed,
        "of": cell.model or "",
        "parameters": json.dumps(cell.parameters, sort_keys=True),
        "defender": entry.defender,
        "identity": cell.identity,
    }


def selection_frame(plan: Plan, store: Store) -> pd.DataFrame:
    """A row for each scale of each run that chose strengths."""
    seeds = {job.name: job.seed for _, job in plan.trained}
    rows = [
        {
            **_condition(task, trigger, cell),
            "anchors_asked": "all" if cell.anchors is None else str(cell.anchors),
            "strength": cell.strength,
            "seed": cell.seed,
            "reference_seed": seeds[cell.reference],
            "identity": cell.identity,
            **_measured(row),
        }
        for task, trigger, cell in plan.selection
        for row in store.result(cell) or []
    ]
    return pd.DataFrame(rows)


def _condition(task: TaskSpec, trigger: TriggerSpec, cell: Cell) -> dict[str, Any]:
    return {
        "task": task.name,
        "model": task.architecture,
        "trigger": trigger.trigger,
        "rule": trigger.label_rule,
        "target": trigger.label,
        "method": cell.label,
    }


def _run_columns(entry: Reported) -> dict[str, Any]:
    cell = entry.cell
    return {
        "strength": getattr(cell, "strength", None),
        "parameters": json.dumps(getattr(cell, "parameters", {}), sort_keys=True),
        "seed": getattr(cell, "seed", -1),
        "reference_seed": entry.reference_seed,
        "identity": cell.identity,
    }


def _measured(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(value, sort_keys=True) if isinstance(value, dict) else value for name, value in row.items()
    }


def choices_frame(plan: Plan) -> pd.DataFrame:
    """A row for each choice of a strength; with the learning rate where rates were chosen."""
    with_rates = any(chosen.rate is not None for chosen in plan.chosen)
    rows = [{**_choice_row(chosen), **(_rate_columns(chosen) if with_rates else {})} for chosen in plan.chosen]
    return pd.DataFrame(rows)


def _choice_row(chosen: Chosen) -> dict[str, Any]:
    return {
        "task": chosen.task.name,
        "trigger": chosen.trigger.trigger,
        "rule": chosen.trigger.label_rule,
        "target": chosen.trigger.label,
        "anchors_asked": chosen.anchors,
        "method": chosen.label,
        "target_asr": chosen.target_asr,
        "parameters": json.dumps(chosen.parameters, sort_keys=True),
        **asdict(chosen.choice),
    }


def _rate_columns(chosen: Chosen) -> dict[str, Any]:
    """The learning rate that was chosen once a task, with all anchors, and what that took."""
    rate = chosen.rate
    if rate is None:
        return dict.fromkeys(("learning_rate", "rate_reached", "rate_runs", "rate_seconds", "rates_tried"))
    tried = {f"{value:g}": {"asr": asr, "kl": kl} for value, (asr, kl) in rate.tried.items()}
    return {
        "learning_rate": rate.learning_rate,
        "rate_reached": rate.reached,
        "rate_runs": rate.runs,
        "rate_seconds": rate.seconds,
        "rates_tried": json.dumps(tried),
    }


def references_trained(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """What the manifests of the trained references say."""
    references = []
    for _, job in plan.references:
        manifest = store.manifest(job)
        if manifest is not None:
            references.append(
                {
                    "task": job.task,
                    "model": job.model,
                    "seed": job.seed,
                    "accuracy": manifest["measurements"]["accuracy"],
                    "weights_sha256": manifest["weights_sha256"],
                    "seconds": manifest["seconds"],
                }
            )
    return references


def library_versions(plan: Plan, store: Store) -> dict[str, str]:
    """Versions of the libraries that the finished cells ran with; several where they differ."""
    versions: dict[str, set[str]] = {}
    cells: list[Cell] = [entry.cell for entry in plan.reported]
    cells += [entry.cell for entry in plan.evaluations.entries]
    for cell in cells:
        if store.done(cell):
            for name, version in store.versions(cell).items():
                versions.setdefault(name, set()).add(version)
    return {name: " and ".join(sorted(numbers)) for name, numbers in versions.items()}
