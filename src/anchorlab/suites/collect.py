"""What a suite has found so far, as frames for tables, figures and the report."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from anchorlab.artifacts.artifact import load_model
from anchorlab.attacks.attack import build_attack
from anchorlab.consistency.instances import read_instances
from anchorlab.consistency.metrics import Consistency
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError
from anchorlab.files import write_atomically
from anchorlab.models.wrap import encoding_of
from anchorlab.reports.report import Examples
from anchorlab.suites.cells import Cell, DetectionCell, RepairCell
from anchorlab.suites.detecting import INPUT_RATES
from anchorlab.suites.evaluations import Derived
from anchorlab.suites.evidence import read_scores, read_triggers
from anchorlab.suites.plan import Chosen, Plan, Reported, plan, reference_job
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.runner import failures
from anchorlab.suites.spec import Suite, TaskSpec, TriggerSpec
from anchorlab.suites.store import Store
from anchorlab.triggers import TRIGGERS

#: Where a repair or detection stands: columns of ``repairs`` and ``detections``.
_STANDS = (
    *("task", "model", "trigger", "rule", "target", "method", "role", "target_asr", "anchors_asked", "strength"),
    *("scale", "seed", "reference_seed", "of", "weights_sha256"),
)
_BEFORE = ("accuracy", "asr", "kl", "churn")
_REPAIRS = (
    *_STANDS,
    *("defence", "defence_name", "parameters", "defender", "defender_count", "identity", "seconds", "peak_bytes"),
    *Consistency.model_fields,
    *(f"{name}_before" for name in _BEFORE),
)
_DETECTIONS = (
    *_STANDS,
    *("detector", "detector_name", "kind", "parameters", "defender", "defender_count", "identity", "seconds"),
    *("peak_bytes", "score", "note", *INPUT_RATES),
)

#: Pictures with and without the trigger that a report shows.
_SHOWN = 6


@dataclass(frozen=True)
class SuiteResults:
    """What a suite's folder holds.

    Attributes:
        name: of the suite.
        title: of the suite.
        command: the command line that ran it last.
        spec_text: the suite file.
        results: a row for each reported run and target ASR: where it stands (``task``, ``model``,
            ``trigger``, ``rule``, ``target``, ``method``, ``role``, ``target_asr``, ``anchors_asked``), how it
            was made (``anchors``, ``strength``, ``scale``, ``parameters``, ``seed``, ``reference_seed``,
            ``steps``, ``seconds``, ``peak_bytes``, ``identity``), and the measurements of ``Comparison``.
        selection: the same of the runs that chose strengths, a row for each scale, without ``target_asr``.
        choices: what was chosen: ``strength``, ``scale``, ``parameters``, ``reached``, ``at_edge``, ``tried``
            and ``best_asr`` for each task, trigger, number of anchors, method and target ASR.
        repairs: a row for each repair of a reported run, a benign update (``role`` control) or a reference (``role``
            and ``method`` reference: what the repair harms): where it stands, as in ``results``, with ``of``, the
            identity of the run (empty for a reference), and ``weights_sha256`` of the model before; ``defence``, its
            label, ``repair_name``, ``parameters`` of the defence, ``defender`` (asked), ``defender_count``,
            ``identity``, ``seconds``, ``peak_bytes``; the measurements of ``Comparison`` after the repair, against the
            clean reference; and ``accuracy_before``, ``asr_before``, ``kl_before`` and ``churn_before``.
        detections: likewise a row for each time that a detector was asked: ``detector``, its label,
            ``detector_name``, ``kind`` (model or input), ``parameters``, ``defender`` and so on; for a detector of
            models ``score`` (missing where it found nothing to judge) and ``note``; for one of inputs the columns
            that ``detecting.INPUT_RATES`` names. Equal ``weights_sha256`` are one model: benign updates do not depend
            on the trigger.
        failed: ``what``, ``stage``, ``error`` and ``identity`` of what failed.
        pending: number of reported runs, repairs and detections that are not done, those expected included.
        references: task, model, seed, accuracy, hash and training seconds of each trained reference.
        versions: of the libraries that the runs used; several where they differ.
        machine: that reports.
    """

    name: str
    title: str
    command: str
    spec_text: str
    results: pd.DataFrame
    selection: pd.DataFrame
    choices: pd.DataFrame
    repairs: pd.DataFrame
    detections: pd.DataFrame
    failed: pd.DataFrame
    pending: int
    references: list[dict[str, Any]]
    versions: dict[str, str]
    machine: str
    _store: Store = field(repr=False)
    _suite: Suite = field(repr=False)

    def instances(self, identity: str) -> pd.DataFrame:
        """The per-instance table of a reported run, in the order of the split ``test``."""
        frame: pd.DataFrame = read_instances(self._store.instances(identity))
        return frame

    def scores(self, identity: str) -> pd.DataFrame:
        """What a detector of inputs gave each: columns ``triggered`` and ``score``; empty where it is not known."""
        return read_scores(self._store.instances(identity))

    def inverted(self, identity: str) -> list[tuple[int, Tensor]]:
        """The triggers that a detector of models found, the most suspicious first: label, picture on black."""
        return read_triggers(self._store.instances(identity))

    @cached_property
    def examples(self) -> dict[str, Examples]:
        """A few inputs of each task and trigger (``"TASK, TRIGGER"``), with and without it."""
        found = {}
        for spec in self._suite.tasks:
            task = self._encoded(spec)
            for trigger in self._suite.triggers:
                if task is not None:
                    found[f"{spec.name}, {trigger.trigger}"] = _examples(task, trigger)
        return found

    def pictures(self, task: str, rows: list[int]) -> Examples | None:
        """Clean examples of a task's split ``test`` by their numbers; None if its data are not at hand."""
        loaded = self._task(task)
        if loaded is None:
            return None
        chosen = loaded.split("test")
        labels = chosen.labels[rows]
        shown = chosen.inputs["pixel_values"][rows] if chosen.texts is None else [chosen.texts[row] for row in rows]
        return Examples(clean=shown, triggered=shown, labels=labels, classes=loaded.classes)

    def _task(self, name: str) -> Task | None:
        spec = next(spec for spec in self._suite.tasks if spec.name == name)
        try:
            return spec.load(seed=self._suite.references[0])
        except AnchorlabError:
            return None

    def _encoded(self, spec: TaskSpec) -> Task | None:
        """The task as its references read it; None while there is none, or if its data are not at hand."""
        task, folder = self._task(spec.name), self._store.reference(reference_job(spec, self._suite.references[0]))
        if task is None or task.kind == "image":
            return task
        return task.encoded(encoding_of(load_model(folder).model)) if folder.exists() else None


def collect(folder: Path) -> SuiteResults:
    """Reads a suite's folder, finished or not.

    Raises:
        AnchorlabError: if it is no suite's folder.
    """
    store = Store(folder)
    text = store.suite()
    suite = parse_suite(text, str(folder / "suite.yaml"))
    known = plan(suite, store)
    return SuiteResults(
        name=suite.name,
        title=suite.title,
        command=str(store.run().get("command", "")),
        spec_text=text,
        results=_results(known, store),
        selection=_selection(known, store),
        choices=pd.DataFrame([_choice(chosen) for chosen in known.chosen]),
        repairs=_repairs(known, store),
        detections=_detections(known, store),
        failed=pd.DataFrame(failures(suite, store), columns=["what", "stage", "error", "identity"]),
        pending=_pending(known, store),
        references=_references(known, store),
        versions=_versions(known, store),
        machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        _store=store,
        _suite=suite,
    )


def write_results(results: SuiteResults, out: Path) -> None:
    """Writes results.csv, selection.csv and choices.csv into a folder, and repairs.csv and detections.csv if any."""
    frames = {"results": results.results, "selection": results.selection, "choices": results.choices}
    derived = {"repairs": results.repairs, "detections": results.detections}
    for name, frame in (frames | {name: frame for name, frame in derived.items() if len(frame)}).items():
        write_atomically(out / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))


def _results(known: Plan, store: Store) -> pd.DataFrame:
    rows = []
    for entry in known.reported:
        for row in store.result(entry.cell) or []:
            place = _place(entry.task, entry.trigger, entry.cell)
            rows.append(
                {
                    **place,
                    "role": entry.role,
                    "target_asr": entry.target_asr,
                    "anchors_asked": entry.anchors,
                    **_made(entry),
                    **_measured(row),
                }
            )
    return pd.DataFrame(rows)


def _pending(known: Plan, store: Store) -> int:
    reported = sum(not store.done(entry.cell) for entry in known.reported)
    derived = {entry.cell.identity for entry in known.derived.entries if not store.done(entry.cell)}
    return known.undecided + reported + len(derived) + known.derived.expected


def _repairs(known: Plan, store: Store) -> pd.DataFrame:
    rows = [
        {
            **_stands(entry),
            "defence": entry.cell.label,
            "defence_name": entry.cell.defence,
            **_measured(row),
            **_before(entry, row, store),
        }
        for entry in known.derived.entries
        if isinstance(entry.cell, RepairCell)
        for row in store.result(entry.cell) or []
    ]
    return pd.DataFrame(rows, columns=list(_REPAIRS))


def _detections(known: Plan, store: Store) -> pd.DataFrame:
    rows = [
        {
            **_stands(entry),
            "detector": entry.cell.label,
            "detector_name": entry.cell.detector,
            "kind": entry.cell.judges,
            **_measured(row),
        }
        for entry in known.derived.entries
        if isinstance(entry.cell, DetectionCell)
        for row in store.result(entry.cell) or []
    ]
    return pd.DataFrame(rows, columns=list(_DETECTIONS))


def _stands(entry: Derived) -> dict[str, Any]:
    subject, cell = entry.subject, entry.cell
    return {
        "task": subject.task.name,
        "model": subject.task.architecture,
        "trigger": subject.trigger.trigger,
        "rule": subject.trigger.rule,
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


def _before(entry: Derived, row: dict[str, Any], store: Store) -> dict[str, Any]:
    """What was measured of the model before its repair; a reference is its own, at no distance."""
    if entry.subject.source is None:
        known = {"accuracy": row["accuracy_reference"], "asr": row["asr_reference"], "kl": 0.0, "churn": 0.0}
    else:
        known = (store.result(entry.subject.source) or [{}])[0]
    return {f"{name}_before": known.get(name) for name in _BEFORE}


def _selection(known: Plan, store: Store) -> pd.DataFrame:
    seeds = {job.name: job.seed for _, job in known.references}
    rows = [
        {
            **_place(task, trigger, cell),
            "anchors_asked": "all" if cell.anchors is None else str(cell.anchors),
            "strength": cell.strength,
            "seed": cell.seed,
            "reference_seed": seeds[cell.reference],
            "identity": cell.identity,
            **_measured(row),
        }
        for task, trigger, cell in known.selection
        for row in store.result(cell) or []
    ]
    return pd.DataFrame(rows)


def _place(task: TaskSpec, trigger: TriggerSpec, cell: Cell) -> dict[str, Any]:
    return {
        "task": task.name,
        "model": task.architecture,
        "trigger": trigger.trigger,
        "rule": trigger.rule,
        "target": trigger.label,
        "method": cell.label,
    }


def _made(entry: Reported) -> dict[str, Any]:
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


def _choice(chosen: Chosen) -> dict[str, Any]:
    return {
        "task": chosen.task.name,
        "trigger": chosen.trigger.trigger,
        "rule": chosen.trigger.rule,
        "target": chosen.trigger.label,
        "anchors_asked": chosen.anchors,
        "method": chosen.label,
        "target_asr": chosen.target_asr,
        "parameters": json.dumps(chosen.parameters, sort_keys=True),
        **asdict(chosen.choice),
    }


def _references(known: Plan, store: Store) -> list[dict[str, Any]]:
    found = []
    for _, job in known.references:
        manifest = store.manifest(job)
        if manifest is not None:
            found.append(
                {
                    "task": job.task,
                    "model": job.model,
                    "seed": job.seed,
                    "accuracy": manifest["measurements"]["accuracy"],
                    "weights_sha256": manifest["weights_sha256"],
                    "seconds": manifest["seconds"],
                }
            )
    return found


def _versions(known: Plan, store: Store) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    cells: list[Cell] = [entry.cell for entry in known.reported]
    cells += [entry.cell for entry in known.derived.entries]
    for cell in cells:
        if store.done(cell):
            for name, number in store.versions(cell).items():
                found.setdefault(name, set()).add(number)
    return {name: " and ".join(sorted(numbers)) for name, numbers in found.items()}


def _examples(task: Task, trigger: TriggerSpec) -> Examples:
    attack = build_attack(task, TRIGGERS.parse(trigger.trigger), trigger.rule, trigger.label)
    shown = attack.attacked(task.split("test"), limit=_SHOWN)
    return Examples(
        clean=_shown(shown.inputs, task),
        triggered=_shown(attack.apply(shown.inputs), task),
        labels=shown.labels,
        classes=task.classes,
        trigger=attack.on_black(shown.inputs) if task.kind == "image" else None,
    )


def _shown(inputs: Mapping[str, Tensor], task: Task) -> Tensor | list[str]:
    """Inputs as a reader sees them: images, or what the model reads of texts."""
    if task.encoding is None:
        return inputs["pixel_values"]
    tokenizer, rows = task.encoding.tokenizer, zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    return [tokenizer.decode(ids[mask].tolist(), skip_special_tokens=True) for ids, mask in rows]
