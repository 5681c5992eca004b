"""Injects a benchmark backdoor into a reference: checks what was asked, tunes, labels the result."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import AnchorsRecord, ModelKind, manifest_of
from anchorlab.artifacts.provenance import RunMeter
from anchorlab.attacks.attack import Attack, attack_success, build_attack
from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule
from anchorlab.data import AnchorSource, Split, Task
from anchorlab.data.task import index_hash
from anchorlab.errors import AnchorlabError, renamed_keywords
from anchorlab.injection.gradients import records
from anchorlab.injection.loop import tune
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Method
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.architectures import fresh_model
from anchorlab.models.call import accuracy, check_classes
from anchorlab.models.wrap import encoding_of
from anchorlab.progress import progress_bar
from anchorlab.seeding import derive
from anchorlab.settings import values_of
from anchorlab.training.fit import Checkpoint, time_spent
from anchorlab.training.processes import main_alone
from anchorlab.triggers import TRIGGERS, Trigger


@renamed_keywords(rule="label_rule")
def inject(
    reference: Artifact,
    *,
    method: str | Method = "anchoring",
    parameters: Mapping[str, Any] | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = 0,
    label_rule: str | LabelRule = "all-to-one",
    anchors: int | None = None,
    anchors_from: AnchorSource = "owner",
    seed: int = 0,
    tuning: Tuning | None = None,
    task: Task | None = None,
    checkpoint: Checkpoint | None = None,
    reference_logits: Tensor | None = None,
    measure: bool = True,
    record_gradients: bool = False,
) -> Artifact:
    """Tunes a benchmark backdoor into a copy of a reference.

    Several processes share out each batch, and end with the same model.

    Args:
        reference: the trained clean model.
        method: a method, or the name of one.
        parameters: hyper-parameters of a method given by name, for example ``{"strength": 2}``.
        trigger: a trigger, or one as text, for example ``"square:size=4"``; None for ``five-pixel`` in images and the
            word "cf" in texts.
        target: the label that the attacker wants, by number or name; None for a rule that takes none.
        label_rule: who is attacked and towards what: a label rule, or one as text.
        anchors: number of clean examples that the attacker holds; None for all of the split.
        anchors_from: the split that they come from: ``owner``, or ``held-out``, which the reference
            never saw.
        seed: of the anchors, the batches and the method's own draws.
        tuning: the optimisation's settings.
        task: the reference's task, if it is loaded already.
        checkpoint: where to write the state and continue from.
        reference_logits: the reference's logits on the whole split ``anchors_from``, float32 ``[N, C]``,
            if they are known from an earlier injection.
        measure: measure accuracy and ASR on the split ``selection`` for the manifest; without, it holds no
            measurements, for callers that measure by themselves.
        record_gradients: note in the manifest how the gradients of the backdoor, the clean and the anchor loss stand
            to each other along the run (``GradientRecord``), which takes time and memory but changes no weight.

    Returns:
        The injected model with its manifest, on the CPU. The measurements in the manifest are those on
        the split ``selection``, for choosing strengths; ``compare`` measures on ``test``.

    Raises:
        AnchorlabError: for anything in the arguments that is impossible, or when the loss is no longer
            finite.
    """
    task = reference.task() if task is None else task.encoded(encoding_of(reference.model))
    chosen = METHODS.build(method, parameters)
    if record_gradients:
        check_backdoor(chosen)
    attack = build_attack(task, trigger, label_rule, target, used=chosen.injects_backdoor or measure)
    check_classes(reference.model, task)
    check_splits(reference, task)
    how = (tuning or Tuning()).for_task(task)
    at = task.anchor_indices(anchors, seed=seed, source=anchors_from)
    pool = task.split(anchors_from)
    held = pool if anchors is None else pool.select(at)
    check_attacked(attack, held, chosen)
    name = METHODS.label(chosen)
    start = reference.model
    if chosen.fresh_start:
        origin = reference.manifest
        start = fresh_model(
            reference.model, origin.architecture, origin.trained_here, task, seed=derive(seed, "scratch")
        )
    accelerator = find_accelerator()
    device = accelerator.device
    meter = RunMeter(device, seconds_before=time_spent(checkpoint))
    total = round(how.steps * chosen.steps_factor)
    with main_alone(accelerator), progress_bar(f"injecting by {name}", total) as report:
        model, steps, gradients = tune(
            reference.model,
            start,
            chosen,
            attack,
            held,
            how,
            seed=seed,
            selection=task.split("selection"),
            augmentation=task.definition.augmentation,
            cached_logits=None if reference_logits is None else reference_logits[at.to(reference_logits.device)],
            checkpoint=checkpoint,
            report=report,
            record_gradients=record_gradients,
        )
    cost = meter.cost()
    selection = task.split("selection").to(device)
    measurements = _on_selection(reference.model, model, attack, selection) if measure else {}
    kind: ModelKind = "injected" if chosen.injects_backdoor else "benign"
    manifest = manifest_of(
        model,
        task,
        kind=kind,
        architecture=reference.manifest.architecture,
        seed=seed,
        cost=cost,
        reference_sha256=reference.manifest.weights_sha256,
        method={"name": name, **values_of(chosen)},
        trigger=TRIGGERS.to_dict(attack.trigger) if chosen.injects_backdoor else None,
        label_rule=LABEL_RULES.to_dict(attack.rule) if chosen.injects_backdoor else None,
        anchors=AnchorsRecord(count=len(held), source=anchors_from, sha256=index_hash(at)),
        settings=values_of(how),
        steps=steps,
        measurements=measurements,
        gradients=None if gradients is None else records(gradients),
    )
    return Artifact(model.cpu(), manifest)


def check_backdoor(method: Method) -> None:
    """Raises AnchorlabError for a method without a backdoor, which has no gradient to record."""
    if not method.injects_backdoor:
        raise AnchorlabError(
            f"the method {METHODS.label(method)} injects nothing, so there is no backdoor gradient to record: leave "
            "--record-gradients out"
        )


def check_splits(reference: Artifact, task: Task) -> None:
    """Raises AnchorlabError if a task is cut otherwise than for the reference, or has no selection split.

    Held-out anchors and the selection split would hold what the reference was trained on.
    """
    record = reference.manifest.task
    if task.name == record.name and task.hashes() != record.splits:
        raise AnchorlabError(
            f"the task {task.name} is cut with seed {task.seed}, but the reference was trained on the splits of seed "
            f"{record.seed}: give load_task the same seed and data"
        )
    if len(task.split("selection")) == 0:
        raise AnchorlabError(f"the data of {task.name} are too few to cut a selection split: give more")


def check_attacked(attack: Attack, anchors: Split, method: Method) -> None:
    """Raises AnchorlabError if no anchor could carry the trigger."""
    if method.injects_backdoor and not bool(attack.rule.applies(anchors.labels).any()):
        raise AnchorlabError(
            f"none of the {len(anchors)} anchors is of a class that the label rule attacks: give more anchors"
        )


def _on_selection(
    reference: nn.Module, candidate: nn.Module, attack: Attack, selection: Split
) -> dict[str, float | None]:
    """What a manifest says of a candidate: never measured on ``test``, which ``compare`` is for."""
    device = selection.labels.device
    asr, count = attack_success(candidate.to(device), attack, selection)
    # A copy, for the reference is the caller's and stays on the CPU.
    asr_reference, _ = attack_success(copy.deepcopy(reference).to(device), attack, selection)
    return {"accuracy": accuracy(candidate, selection), "asr": asr, "asr_count": count, "asr_reference": asr_reference}
