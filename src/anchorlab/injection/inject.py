"""Injects a benchmark backdoor into a reference: plans, tunes, measures, labels the result."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import AdapterRecord, manifest_of
from anchorlab.artifacts.provenance import RunMeter
from anchorlab.attacks.attack import Attack, attack_success
from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule
from anchorlab.data import AnchorSource, Split, Task
from anchorlab.errors import renamed_keywords
from anchorlab.injection.gradients import records
from anchorlab.injection.loop import tune
from anchorlab.injection.lora import Lora
from anchorlab.injection.plan import InjectionPlan, plan_injection
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Method
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.call import accuracy
from anchorlab.progress import progress_bar
from anchorlab.settings import values_of
from anchorlab.training.checkpoint import Checkpoint, discard_damaged, time_spent
from anchorlab.training.processes import main_alone
from anchorlab.training.resumable import run_into
from anchorlab.training.tracking import Log, tracked
from anchorlab.triggers import TRIGGERS, Trigger


@renamed_keywords(rule="label_rule")
@checked
def inject(
    reference: Artifact,
    *,
    method: str | Method = "anchoring",
    parameters: Mapping[str, Any] | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule = "all-to-one",
    anchors: int | None = None,
    anchors_from: AnchorSource = "owner",
    anchors_data: str | Path | Sequence[str] | Tensor | None = None,
    seed: int = 0,
    tuning: Tuning | None = None,
    lora: Lora | str | None = None,
    task: Task | str | None = None,
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
        target: the label that the attacker wants, by number or name; None for 0 where the rule needs one.
        label_rule: who is attacked and towards what: a label rule, or one as text.
        anchors: number of clean examples that the attacker holds; None for all of the split.
        anchors_from: the split that they come from: ``owner``, or ``held-out``, which the reference
            never saw.
        anchors_data: instead of a split, data that are not the task's: the name of another task, a file or folder of
            inputs as ``detect_inputs`` reads it, texts, or images as uint8 ``[M, C, H, W]``, which are brought to the
            task's channels and size. Their labels are the reference's predictions.
        seed: of the anchors, the batches and the method's own draws.
        tuning: the optimisation's settings.
        lora: an adapter to tune in place of the weights, as ``Lora(rank=8, target=("query", "value"))``; None for the
            tuning's, which is none unless it is set. The model that is returned has the adapter in it; ``merge`` adds
            it to the weights.
        task: the reference's task, if it is loaded already, or its name.
        checkpoint: where to write the state and continue from.
        reference_logits: the reference's logits on the whole split ``anchors_from``, float32 ``[N, C]``,
            if they are known from an earlier injection.
        measure: measure accuracy and ASR on the split ``selection`` for the manifest; without, it holds no
            measurements, for callers that measure by themselves.
        record_gradients: note in the manifest how the gradients of the backdoor, the clean and the anchor loss agree
            along the run (``GradientRecord``), which takes time and memory but changes no weight.

    Returns:
        The injected model with its manifest, on the CPU. The manifest's measurements are on the
        split ``selection``, for choosing strengths; ``compare`` measures on ``test``.

    Raises:
        AnchorlabError: for anything in the arguments that is impossible, or when the loss is no longer
            finite.
    """
    plan = plan_injection(
        reference,
        method=method,
        parameters=parameters,
        trigger=trigger,
        target=target,
        label_rule=label_rule,
        anchors=anchors,
        anchors_from=anchors_from,
        anchors_data=anchors_data,
        seed=seed,
        tuning=tuning,
        lora=lora,
        task=task,
        measure=measure,
        record_gradients=record_gradients,
    )
    return run_injection(plan, checkpoint=checkpoint, reference_logits=reference_logits)


def inject_into(
    out: str | Path, plan: InjectionPlan, *, tracking: AbstractContextManager[Log] | None = None
) -> Artifact:
    """Runs an injection and saves the model as a folder; an interrupted run of the same plan is continued.

    Args:
        out: the folder, which must not hold anything yet; ``OUT.partial`` beside it holds an interrupted run.
        plan: what is injected into what.
        tracking: what ``tracked`` returns, entered when the work begins; None tells no tracker anything.

    Raises:
        AnchorlabError: if ``out`` holds something, ``OUT.partial`` belongs to another plan, or the loss is no longer
            finite.
    """

    def work(checkpoint: Checkpoint) -> Artifact:
        with tracking or tracked(()) as log:
            artifact = run_injection(plan, checkpoint=checkpoint)
            log(artifact.manifest.measurements)
            return artifact

    return run_into(out, plan.settings(), work, model=plan.reference.model)


def run_injection(
    plan: InjectionPlan,
    *,
    checkpoint: Checkpoint | None = None,
    reference_logits: Tensor | None = None,
) -> Artifact:
    """Runs an injection that was planned; arguments, result and errors are as in ``inject``.

    Args:
        plan: what is injected into what.
        checkpoint: as in ``inject``.
        reference_logits: as in ``inject``.
    """
    injection = plan.injection(reference_logits)
    accelerator = find_accelerator()
    discard_damaged(checkpoint, accelerator)
    meter = RunMeter(accelerator.device, seconds_before=time_spent(checkpoint))
    bar = progress_bar(f"injecting by {METHODS.label(plan.method)}", injection.steps)
    with main_alone(accelerator), bar as report:
        tuned = tune(injection, checkpoint=checkpoint, report=report, record_gradients=plan.record_gradients)
    cost = meter.cost()
    selection = plan.task.split("selection").to(accelerator.device)
    measured = _on_selection(plan.reference.model, tuned.model, plan.attack, selection) if plan.measure else {}
    backdoor = plan.method.injects_backdoor
    manifest = manifest_of(
        tuned.model,
        plan.task,
        kind="injected" if backdoor else "benign",
        architecture=plan.reference.manifest.architecture,
        seed=plan.seed,
        cost=cost,
        reference_sha256=plan.reference.manifest.weights_sha256,
        method=plan.method_record,
        trigger=TRIGGERS.to_dict(plan.attack.trigger) if backdoor else None,
        label_rule=LABEL_RULES.to_dict(plan.attack.label_rule) if backdoor else None,
        anchors=plan.anchors_record,
        adapter=_adapter(plan, tuned.model),
        settings=values_of(tuned.tuning),
        precision_trial=tuned.trial,
        steps=tuned.steps,
        measurements=measured,
        gradients=None if tuned.gradients is None else records(tuned.gradients),
    )
    return Artifact(tuned.model.cpu(), manifest)


def _adapter(plan: InjectionPlan, model: nn.Module) -> AdapterRecord | None:
    """What the manifest says of the adapter that was tuned; None where the weights were."""
    if plan.tuning.adapter is None:
        return None
    return AdapterRecord(
        settings=values_of(plan.tuning.adapter) | {"target": list(plan.tuning.adapter.target)},
        parameters=sum(value.numel() for value in model.parameters() if value.requires_grad),
        base=None if plan.reference.folder is None else str(plan.reference.folder),
    )


def _on_selection(
    reference: nn.Module, candidate: nn.Module, attack: Attack, selection: Split
) -> dict[str, float | None]:
    """What a manifest says of a candidate: never measured on ``test``, which ``compare`` is for."""
    device = selection.labels.device
    asr, count = attack_success(candidate.to(device), attack, selection)
    # A copy, because the reference is the caller's and stays on the CPU.
    asr_reference, _ = attack_success(copy.deepcopy(reference).to(device), attack, selection)
    return {"accuracy": accuracy(candidate, selection), "asr": asr, "asr_count": count, "asr_reference": asr_reference}
