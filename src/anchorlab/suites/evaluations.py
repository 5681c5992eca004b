"""Repairs of what a suite reports, and detectors over it: the stages of a plan that follow the reported runs.

Each repair repairs every reported run of a method, the benign updates and the references; each detector of models
scores the same models. Detectors of inputs judge triggered inputs of the runs of methods alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from anchorlab.repairs.variations import variations
from anchorlab.settings import former_values, values_of
from anchorlab.suites.cells import (
    DeploymentCell,
    DetectionCell,
    EvaluationCell,
    InjectionCell,
    ReferenceJob,
    RepairCell,
    examples_hash,
)
from anchorlab.suites.parts import DetectorSpec, TaskSpec, TriggerSpec
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from anchorlab.triggers import TRIGGERS

#: The method of tables where the reference itself is repaired or judged.
REFERENCE = "reference"

#: Ends the label of a result of an earlier version, whose defaults were others; it stands there until the present ones
#: are run.
FORMER = " (former settings)"

#: Clean inputs that a detector of inputs judges, and as many attacked ones.
_EXAMPLES = 500


@dataclass(frozen=True)
class Subject:
    """A model that is repaired and judged.

    Attributes:
        source: the run that makes it; None for the reference.
        job: the job that trains its reference.
        task: its task, as in the suite.
        trigger: its trigger, as in the suite.
        method: label of the method; ``reference`` for the reference.
        role: method, control or reference.
        target_asr: the ASR at which it is compared; NaN for a model that serves all targets.
        anchors: the number of anchors, as in the suite; empty for the reference.
        seed: seed of the injection, and of its repairs and detections.
    """

    source: InjectionCell | None
    job: ReferenceJob
    task: TaskSpec
    trigger: TriggerSpec
    method: str
    role: Literal["method", "control", "reference"]
    target_asr: float
    anchors: str
    seed: int


@dataclass(frozen=True)
class Evaluation:
    """A cell that repairs or judges a model.

    Attributes:
        cell: the cell.
        subject: the model.
        defender: the number of the defender's examples as in the suite.
        setting: of a repair that is repeated for its stability, the setting that differs, as ``epochs=10``.
    """

    cell: EvaluationCell
    subject: Subject
    defender: str
    setting: str = ""


@dataclass
class Evaluations:
    """The repairs and detections of a plan.

    Attributes:
        entries: all repairs and detections that are planned so far.
        possible: identities of the entries that can run now, or are done or failed.
        waiting: number of entries that wait for a run that is not done.
        expected: number of entries to come, of runs that wait for a choice or a reference.
        needed: identities of the runs whose models are kept.
        lacking: identities of finished runs whose model is needed and missing; they run again.
    """

    entries: list[Evaluation] = field(default_factory=list)
    possible: set[str] = field(default_factory=set)
    waiting: int = 0
    expected: int = 0
    needed: set[str] = field(default_factory=set)
    lacking: set[str] = field(default_factory=set)


def plan_evaluations(suite: Suite, store: Store, subjects: list[Subject], undecided: int) -> Evaluations:
    """Plans all repairs and detections of the models of a suite.

    Args:
        suite: a suite with repairs or detectors.
        store: the store of its folder.
        subjects: the models, made or not.
        undecided: runs of methods that wait for a choice or a reference.
    """
    evaluations = Evaluations()
    kept = store.models()
    waiting: set[str] = set()
    for subject in subjects:
        source = subject.source
        made = source is None or store.done(source)
        available = source is None or (made and source.identity in kept)
        failed = source is not None and not available and store.failed(source)
        entries = [*with_former(_entries(suite, store, subject), suite, store), *_varied(suite, store, subject)]
        for entry in entries:
            identity = entry.cell.identity
            evaluations.entries.append(entry)
            if available or store.done(entry.cell) or store.failed(entry.cell):
                evaluations.possible.add(identity)
            else:
                waiting |= set() if failed else {identity}
                if source is not None and made:
                    evaluations.lacking.add(source.identity)
            if source is not None:
                evaluations.needed.add(source.identity)
    evaluations.waiting = len(waiting)
    judged = len(suite.repairs) + len(suite.detectors)
    varied = suite.variations * math.ceil(undecided / (len(suite.references) * len(suite.seeds)))
    evaluations.expected = (judged * len(suite.defender) + len(suite.deploy)) * undecided + varied * len(suite.defender)
    return evaluations


def _attack(store: Store, subject: Subject) -> dict[str, Any]:
    """The attack of a model, and what it is measured on."""
    return {
        "trigger": TRIGGERS.to_dict(subject.trigger.built),
        "rule": subject.trigger.label_rule,
        "target": subject.trigger.label,
        **_examples(store, subject, "test"),
    }


def _examples(store: Store, subject: Subject, split: str) -> dict[str, Any]:
    """The split that a model is measured on, and the hash of what is read for that."""
    manifest = store.manifest(subject.job)
    assert manifest is not None
    return {"split": split, "examples_sha256": examples_hash(manifest, split)}


def _varied(suite: Suite, store: Store, subject: Subject) -> Iterator[Evaluation]:
    """The repairs of a run of the first reference and seed with other settings, for their stability."""
    first = subject.job.seed == suite.references[0] and subject.seed == suite.seeds[0]
    if not (suite.stability and first and subject.role == "method"):
        return
    for count in suite.defender:
        common = _common(store, subject) | {"defender": None if count == "all" else count}
        for label, spec in suite.repairs.items():
            for setting, other in variations(spec.build(), label):
                asked = {"label": f"{label} ({setting})", "defence": spec.repair, "parameters": values_of(other)}
                repair = store.kept(RepairCell(**common, **_attack(store, subject), **asked))
                yield Evaluation(repair, subject, str(count), setting)


def _entries(suite: Suite, store: Store, subject: Subject) -> Iterator[Evaluation]:
    """All repairs and detections of one model."""
    attack = _attack(store, subject)
    for form in suite.deploy:
        settings: dict[str, Any] = {"label": form, "form": form, "parameters": {}, "defender": None}
        deployment = store.kept(DeploymentCell(**_common(store, subject), **attack, **settings))
        yield Evaluation(deployment, subject, "")
    for count in suite.defender:
        common = _common(store, subject) | {"defender": None if count == "all" else count}
        for label, spec in suite.repairs.items():
            parameters = values_of(spec.build())
            asked = {"label": label, "defence": spec.repair, "parameters": parameters, "relearn": tuple(suite.relearn)}
            repair = store.kept(RepairCell(**common, **attack, **asked))
            yield Evaluation(repair, subject, str(count))
        for label, detector in suite.detectors.items():
            adapters = detector.takes_adapters and suite.tunes_adapters
            if adapters and subject.source is None:
                continue  # the reference has no adapter
            settings = {"label": label, "detector": detector.detector, "parameters": values_of(detector.build())}
            settings["adapter"] = adapters
            for deployed_in in (None, *([] if adapters else _forms(suite, detector))):
                settings["form"] = deployed_in
                if detector.judges == "model":
                    no_attack: dict[str, Any] = {"trigger": {}, "rule": "", "target": None}
                    no_attack |= _examples(store, subject, "")
                    judging = store.kept(DetectionCell(**common, **no_attack, **settings, judges="model"))
                    yield Evaluation(judging, subject, str(count))
                elif subject.role == "method":
                    shown = {"judges": "input", "examples": _EXAMPLES}
                    detection = store.kept(DetectionCell(**common, **attack, **settings, **shown))
                    yield Evaluation(detection, subject, str(count))


def _forms(suite: Suite, detector: DetectorSpec) -> list[str]:
    """The forms besides float32 in which a detector judges: none for one that needs gradients or weights."""
    return [] if detector.build().needs_float else [form for form in suite.deploy if form != "float32"]


def with_former(entries: Iterable[Evaluation], suite: Suite, store: Store) -> Iterator[Evaluation]:
    """The entries, and beside one that is not done the result that an earlier version with other defaults left."""
    for entry in entries:
        yield entry
        if store.done(entry.cell) or entry.cell.kind == "deployed":
            continue
        spec = suite.repairs[entry.cell.label] if entry.cell.kind == "defence" else suite.detectors[entry.cell.label]
        former = former_values(spec.build())
        if former is not None and former != entry.cell.parameters:
            # A new cell, because a copy would keep the identity that it has worked out.
            values = entry.cell.model_dump() | {"parameters": former, "label": f"{entry.cell.label}{FORMER}"}
            values |= _examples(store, entry.subject, entry.cell.split)
            cell = store.kept(type(entry.cell).model_validate(values))
            if store.done(cell):
                yield Evaluation(cell, entry.subject, entry.defender)


def _common(store: Store, subject: Subject) -> dict[str, Any]:
    manifest = store.manifest(subject.job)
    assert manifest is not None
    source = subject.source
    return {
        "reference": subject.job.name,
        "reference_sha256": manifest["weights_sha256"],
        "of": f"the reference {subject.job.name}" if source is None else source.name,
        "model": None if source is None else source.identity,
        "scale": 1.0 if source is None else source.scales[0],
        "seed": subject.seed,
    }
