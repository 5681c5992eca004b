"""Runs one job of a suite about a finished model, in any process: repairs, judges or deploys it; writes nothing."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.deployed import deployed
from anchorlab.artifacts.provenance import RunMeter, versions_of_run, weights_hash
from anchorlab.attacks.attack import Attack, build_attack
from anchorlab.consistency.answers import Answers, answers, instances_of
from anchorlab.consistency.compare import comparison_of
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_device
from anchorlab.models.weights import interpolate
from anchorlab.progress import no_bars
from anchorlab.repairs.oracles import build_repair, is_oracle
from anchorlab.repairs.repair import repair
from anchorlab.scoring.relearning import Relearning, relearn
from anchorlab.scoring.repairs import choose_on_test
from anchorlab.suites.cells import DeploymentCell, DetectionCell, EvaluationCell, Measured, RepairCell
from anchorlab.suites.detections import detect
from anchorlab.suites.kept_adapters import with_kept_adapter
from anchorlab.suites.opened import DamagedModel, Folder, Opened, load_whole, measured, on_disk, opened_reference
from anchorlab.triggers import TRIGGERS


def measure_evaluation(cell: EvaluationCell, reference: Folder, model: Folder | None) -> Measured:
    """Repairs or judges a model.

    Args:
        cell: the cell to run.
        reference: the reference's folder.
        model: folder of the injected model; None where the cell is about the reference itself.

    Raises:
        AnchorlabError: if the cell cannot run, or the repair or detector refuses the model.
    """
    with no_bars():
        opened = opened_reference(cell, reference)
        candidate = _load_candidate(cell, opened, model)
        if isinstance(cell, RepairCell):
            row, table = _repair(cell, opened, candidate), None
        elif isinstance(cell, DeploymentCell):
            row, table = _deployed(cell, opened, candidate), None
        else:
            row, table = detect(cell, _as_judged(cell, candidate, opened, model), opened.task)
    weights = {"scale": cell.scale, "weights_sha256": candidate.manifest.weights_sha256}
    return Measured([{**weights, **row}], table, None, versions_of_run())


def _load_candidate(cell: EvaluationCell, opened: Opened, folder: Folder | None) -> Artifact:
    """The model that a cell repairs or judges, as it was reported."""
    if cell.model is None:
        return opened.artifact
    if folder is None:
        raise AnchorlabError(
            f"the injected model of {cell.of} is gone from the suite's folder: run the suite again with "
            "--retry-failed, and it is made again"
        )
    with on_disk(folder) as path:
        injected = load_whole(path, DamagedModel)
    if cell.scale == 1:
        return injected
    model = interpolate(opened.artifact.model.cpu(), injected.model, cell.scale)
    manifest = injected.manifest.model_copy(update={"weights_sha256": weights_hash(model)})
    return replace(injected, model=model, manifest=manifest)


def _repair(cell: RepairCell, opened: Opened, candidate: Artifact) -> dict[str, Any]:
    """The repaired model against the clean reference, under the attack of the candidate."""
    needs_trusted = build_repair(cell.defence, cell.parameters).needs_trusted
    attack = build_attack(opened.task, TRIGGERS.from_dict(cell.trigger), cell.rule, cell.target)
    choose_depth = None
    if is_oracle(cell.defence):
        choose_depth = choose_on_test(
            candidate, task=opened.task, trigger=attack.trigger, label_rule=attack.label_rule, seed=cell.seed
        )
    repaired = repair(
        candidate,
        cell.defence,
        parameters=cell.parameters,
        defender_data=cell.defender,
        task=opened.task,
        trusted=opened.artifact if needs_trusted else None,
        choose_depth=choose_depth,
        seed=cell.seed,
    )
    _, row = measured(opened, answers(repaired.model, opened.task.split(cell.split), attack), attack, cell.split)
    manifest = repaired.manifest
    assert manifest.defender is not None
    cost = {"seconds": manifest.seconds, "peak_bytes": manifest.peak_bytes, "grown_bytes": manifest.grown_bytes}
    said = {} if manifest.note is None else {"note": manifest.note}
    return {
        "defender_count": manifest.defender.count,
        **cost,
        **row,
        **_relearned(cell, opened, repaired, attack),
        **said,
    }


def _relearned(cell: RepairCell, opened: Opened, repaired: Artifact, attack: Attack) -> dict[str, Any]:
    """The ASR of the repaired model, and of its reference, after a little tuning on a few triggered examples."""
    if not cell.relearn:
        return {}
    settings = Relearning(counts=cell.relearn)
    given: dict[str, Any] = {"task": opened.task, "trigger": attack.trigger, "label_rule": attack.label_rule}
    given |= {"seed": cell.seed, "split": cell.split}
    key = (attack.key, cell.split, cell.seed, cell.relearn)
    if key not in opened.relearned:
        opened.relearned[key] = relearn(opened.artifact, settings, **given)
    found = {f"asr_relearned_{count}": asr for count, asr in relearn(repaired, settings, **given).items()}
    return found | {f"asr_relearned_{count}_reference": asr for count, asr in opened.relearned[key].items()}


def _as_judged(cell: DetectionCell, candidate: Artifact, opened: Opened, kept: Folder | None) -> Artifact:
    """A model as a detector gets it: in the form in which it is deployed, or as an adapter on its reference."""
    if cell.adapter and kept is not None:
        return replace(candidate, model=with_kept_adapter(opened.artifact.model, kept))
    return _in_form(candidate, cell.form, opened.task)


def _in_form(model: Artifact, form: str | None, task: Task) -> Artifact:
    """A model as it is deployed; ranges of int8 are measured on the same images for all models of a task."""
    made = model if form is None else deployed(model, form, task=task)
    assert isinstance(made, Artifact)
    return made


def _deployed(cell: DeploymentCell, opened: Opened, candidate: Artifact) -> dict[str, Any]:
    """A deployed model against the reference in the same form, and against its own float twin."""
    meter = RunMeter(find_device())
    attack = build_attack(opened.task, TRIGGERS.from_dict(cell.trigger), cell.rule, cell.target)
    split = opened.task.split(cell.split)
    made = answers(_in_form(candidate, cell.form, opened.task).model, split, attack)

    def against(first: Answers) -> dict[str, Any]:
        frame = instances_of(first, made, split.labels, attack)
        comparison = comparison_of(frame, attack, task=opened.task.name, split=cell.split, intervals=False)
        return comparison.model_dump(mode="json", exclude={"intervals", "task", "split"})

    key = (attack.key, f"{cell.split} in {cell.form}")
    if key not in opened.answers:
        opened.answers[key] = answers(_in_form(opened.artifact, cell.form, opened.task).model, split, attack)
    twin = against(answers(candidate.model, split, attack))
    own = {f"{name}_twin": twin[f"{name}_reference"] for name in ("accuracy", "asr")}
    own |= {f"{name}_twin": twin[name] for name in ("kl", "churn")}
    return {**asdict(meter.cost()), **against(opened.answers[key]), **own}
