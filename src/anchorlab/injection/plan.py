"""An injection as it was asked for, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import AnchorsRecord, check_same_data, task_record
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.resolve import check_trusted, common_task, named_task
from anchorlab.attacks.attack import Attack, build_attack
from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule, target_or_first
from anchorlab.data import AnchorSource, Split, Task
from anchorlab.data.split import index_hash
from anchorlab.errors import AnchorlabError
from anchorlab.injection.lora import Lora, check_method, with_adapter
from anchorlab.injection.objective import Injection
from anchorlab.injection.other_anchors import OtherData, other_anchors
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Method
from anchorlab.models.architectures import fresh_model
from anchorlab.models.forms import check_trainable
from anchorlab.seeding import derive
from anchorlab.settings import build, values_of
from anchorlab.triggers import TRIGGERS, Trigger


@dataclass(frozen=True)
class InjectionPlan:
    """What is injected into what; the fields are explained at ``inject``.

    Attributes:
        reference: the trained clean model.
        task: its task, as the model reads it.
        method: how clean behaviour is kept.
        attack: trigger and label rule.
        anchors: the attacker's clean examples.
        anchor_indices: their indices into the split or data that they come from, int64 ``[N]``.
        anchors_record: what a manifest says of the anchors.
        tuning: the optimisation's settings, with the task's defaults.
        seed: of all draws.
        measure: whether accuracy and ASR are measured on the split ``selection``.
        record_gradients: whether the gradients of the losses are recorded along the run.
    """

    reference: Artifact
    task: Task
    method: Method
    attack: Attack
    anchors: Split
    anchor_indices: Tensor
    anchors_record: AnchorsRecord
    tuning: Tuning
    seed: int
    measure: bool
    record_gradients: bool

    @property
    def method_record(self) -> dict[str, Any]:
        """Name and hyper-parameters of the method, also of one that is not registered."""
        return {"name": METHODS.label(self.method), **values_of(self.method)}

    def settings(self) -> dict[str, Any]:
        """All that determines the result, as JSON values: an interrupted run is continued with the same ones only."""
        settings: dict[str, Any] = {
            "command": "inject",
            "reference": self.reference.manifest.weights_sha256,
            "task": task_record(self.task).identity(),
            "method": self.method_record,
            "trigger": TRIGGERS.to_dict(self.attack.trigger),
            "label_rule": LABEL_RULES.to_dict(self.attack.label_rule),
            # Without what only other data have, so that runs interrupted before there were any can still be continued.
            "anchors": self.anchors_record.model_dump(mode="json", exclude_none=True),
            "seed": self.seed,
            "tuning": values_of(self.tuning),
        }
        if self.record_gradients:
            # Named only where it is on, so that runs interrupted before there was this option can still be continued.
            settings["record_gradients"] = True
        return settings

    def injection(self, reference_logits: Tensor | None = None) -> Injection:
        """What the tuning loop gets.

        Args:
            reference_logits: the reference's logits on the whole split that the anchors come from, float32 ``[N, C]``,
                if they are known.

        Raises:
            AnchorlabError: for logits beside anchors that come from no split, or of another shape than the split's, or
                that are not finite.
        """
        if reference_logits is not None and self.anchors_record.source == "other":
            raise AnchorlabError(
                "reference_logits are on a split of the task, but the anchors are of other data: leave one of them out"
            )
        if reference_logits is not None:
            self._check_logits(reference_logits)
        start, manifest = self.reference.model, self.reference.manifest
        if self.method.fresh_start:
            seed = derive(self.seed, "scratch")
            start = fresh_model(start, manifest.architecture, manifest.trained_here, self.task, seed=seed)
        elif self.tuning.adapter is not None:
            start = with_adapter(start, self.tuning.adapter, self.seed)
        known = None
        if reference_logits is not None:
            known = reference_logits[self.anchor_indices.to(reference_logits.device)]
        return Injection(
            reference=self.reference.model,
            start=start,
            method=self.method,
            attack=self.attack,
            anchors=self.anchors,
            tuning=self.tuning,
            seed=self.seed,
            selection=self.task.split("selection"),
            augmentation=self.task.definition.augmentation,
            known_logits=known,
        )

    def _check_logits(self, reference_logits: Tensor) -> None:
        source = self.anchors_record.source
        expected = (len(self.task.split(source)), len(self.task.classes))
        if tuple(reference_logits.shape) != expected or not reference_logits.is_floating_point():
            raise AnchorlabError(
                f"reference_logits are {str(reference_logits.dtype).removeprefix('torch.')} of shape "
                f"{list(reference_logits.shape)}, expected floats of {list(expected)}, a row for each example of the "
                f"split '{source}': give the reference's logits on all of it"
            )
        if not reference_logits.isfinite().all():
            raise AnchorlabError(
                "reference_logits are not finite: compute them in float32, or leave them out, and they are computed"
            )


def plan_injection(
    reference: Artifact,
    *,
    method: str | Method = "anchoring",
    parameters: Mapping[str, Any] | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule = "all-to-one",
    anchors: int | None = None,
    anchors_from: AnchorSource = "owner",
    anchors_data: OtherData | None = None,
    seed: int = 0,
    tuning: Tuning | None = None,
    lora: Lora | str | None = None,
    task: Task | str | None = None,
    measure: bool = True,
    record_gradients: bool = False,
) -> InjectionPlan:
    """Checks what is asked for; the arguments are explained at ``inject``.

    Raises:
        AnchorlabError: for anything in the arguments that is impossible.
    """
    check_trusted(reference, "the reference", ["suspicious"])
    check_trainable(reference.model, "an injection")
    chosen = METHODS.build(method, parameters)
    if not chosen.injects_backdoor:
        check_trusted(reference, "the reference of a benign update")
    tuning = _with_lora(tuning or Tuning(), lora)
    if tuning.adapter is None:
        reference = whole(reference)
    else:
        _check_lora(reference, tuning, chosen)
    task = common_task(named_task(task, reference), reference, [])
    if record_gradients:
        _check_backdoor(chosen)
    target = target_or_first(label_rule, target) if isinstance(label_rule, str) else target
    attack = build_attack(task, trigger, label_rule, target, used=chosen.injects_backdoor or measure)
    _check_method(chosen, task, attack, reference)
    _check_splits(reference, task)
    held, indices, record = _anchors(reference, task, anchors, anchors_from, anchors_data, seed)
    settings = tuning.for_task(task, reference.manifest.architecture)
    plan = InjectionPlan(
        reference=reference,
        task=task,
        method=chosen,
        attack=attack,
        anchors=held,
        anchor_indices=indices,
        anchors_record=record,
        tuning=settings if chosen.steps_factor is not None else as_trained(reference, settings, METHODS.label(chosen)),
        seed=seed,
        measure=measure,
        record_gradients=record_gradients,
    )
    _check_attacked(plan)
    return plan


def _anchors(
    reference: Artifact, task: Task, count: int | None, source: AnchorSource, data: OtherData | None, seed: int
) -> tuple[Split, Tensor, AnchorsRecord]:
    """The anchors, their indices into what they are drawn from, and what a manifest says of them."""
    if data is None:
        indices, split = task.anchor_indices(count, seed=seed, source=source), task.split(source)
        held = split if count is None else split.select(indices)
        return held, indices, AnchorsRecord(count=len(held), source=source, sha256=index_hash(indices))
    if source != "owner":
        raise AnchorlabError(
            f"anchors are asked for from the split '{source}' and from other data: leave out --anchors-from or "
            "--anchors-data"
        )
    other = other_anchors(data, reference.model, task, count, seed=seed)
    record = AnchorsRecord(
        count=len(other.split),
        source="other",
        sha256=index_hash(other.indices),
        data=other.place,
        contents=other.contents,
    )
    return other.split, other.indices, record


def as_trained(reference: Artifact, tuning: Tuning, method: str) -> Tuning:
    """The settings of the reference's training; precision, compiling and the like are the run's own.

    Args:
        reference: the trained clean model.
        tuning: the run's settings.
        method: name of the method that asks, for messages.

    Raises:
        AnchorlabError: if its manifest has no record of a training, as after an adoption.
    """
    manifest = reference.manifest
    if not manifest.steps or "epochs" not in manifest.settings:
        raise AnchorlabError(
            f"the method {method} repeats the training of the reference, of which its manifest has no record: give "
            "steps_factor=3, say, to take the settings of tuning and three times its steps"
        )
    names = ("batch_size", "learning_rate", "weight_decay", "warmup", "clip", "augment", "optimiser")
    recorded = {name: manifest.settings[name] for name in names if name in manifest.settings}
    return replace(tuning, steps=manifest.steps, **recorded)


def _with_lora(tuning: Tuning, lora: Lora | str | None) -> Tuning:
    """The settings with the adapter that was named beside them.

    Raises:
        AnchorlabError: if they name another one.
    """
    if lora is None:
        return tuning
    settings = build(Tuning, "the tuning", {**values_of(tuning), "lora": str(lora)})
    if tuning.lora not in (None, settings.lora):
        raise AnchorlabError(f"the tuning has the adapter {tuning.lora}, and lora is {settings.lora}: give one of them")
    return settings


def _check_lora(reference: Artifact, tuning: Tuning, method: Method) -> None:
    """Raises AnchorlabError unless this injection can tune an adapter in the reference."""
    check_method(method, METHODS.label(method))
    if tuning.batchnorm == "tracked":
        raise AnchorlabError(
            "an adapter stores no statistics of BatchNorm, which batchnorm=tracked would move: leave --batchnorm out"
        )
    assert tuning.adapter is not None
    with_adapter(reference.model, tuning.adapter, 0)  # refuses before any work what cannot be put in


def _check_backdoor(method: Method) -> None:
    """Raises AnchorlabError for a method without a backdoor, which has no gradient to record."""
    if not method.injects_backdoor:
        raise AnchorlabError(
            f"the method {METHODS.label(method)} injects nothing, so there is no backdoor gradient to record: leave "
            "--record-gradients out"
        )


def _check_method(method: Method, task: Task, attack: Attack, reference: Artifact) -> None:
    """Raises AnchorlabError for a method that is not for such data, such a trigger or such a model."""
    if method.modality not in ("any", task.kind):
        raise AnchorlabError(
            f"the method {METHODS.label(method)} is for {method.modality}s, but the task {task.name} holds "
            f"{task.kind}s: take another, see 'anchorlab list methods'"
        )
    if method.injects_backdoor:
        method.check_pieces(attack.pieces)
    _check_weighted(method)
    method.trained(reference.model)


def _check_weighted(method: Method) -> None:
    """Raises AnchorlabError for a method whose penalty would never be called."""
    cls = type(method)
    if cls.penalty is not Method.penalty and cls.weight is Method.weight and cls.balance is Method.balance:
        raise AnchorlabError(
            f"the method {METHODS.label(method)} has a penalty, but no weight, so that it would be plain tuning: give "
            f"{cls.__name__} a property weight, as in anchorlab.methods.Anchoring"
        )


def _check_splits(reference: Artifact, task: Task) -> None:
    """Raises AnchorlabError if a task is cut otherwise than for the reference, or has no selection split.

    Held-out anchors and the selection split would hold what the reference was trained on.
    """
    record = reference.manifest.task
    if task.name == record.name and task.seed != record.seed and task.hashes() != record.splits:
        raise AnchorlabError(
            f"the task {task.name} is cut with seed {task.seed}, but the reference was trained on the splits of seed "
            f"{record.seed}: give load_task the same seed and data"
        )
    if task.name == record.name:
        check_same_data(record, task)
    task.check_filled("selection")


def _check_attacked(plan: InjectionPlan) -> None:
    """Raises AnchorlabError if no anchor could carry the trigger, or the target has no example to learn from."""
    rule, task = plan.attack.label_rule, plan.task
    if not plan.method.injects_backdoor:
        return
    if not bool(rule.applies(plan.anchors.labels).any()):
        source = plan.anchors_record.source
        whole = source == "other" or len(plan.anchors) == len(task.split(source))
        elsewhere = "other data" if source == "other" else f"another split than '{source}'"
        cure = f"take them from {elsewhere}, or attack another class"
        raise AnchorlabError(
            f"none of the {len(plan.anchors):,} anchors is of a class that the label rule attacks: "
            f"{cure if whole else 'give more anchors'}"
        )
    if rule.target is not None and task.classes[rule.target] in task.lacking("owner"):
        raise AnchorlabError(
            f"the target '{task.classes[rule.target]}' is a class without examples in the training part of "
            f"{task.name}, so that nothing shows how clean ones look: choose another target"
        )
