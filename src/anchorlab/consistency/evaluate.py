"""Two models over one split: how consistent is the candidate with the reference, and how strong is the backdoor?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of, common_task, module_of
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.consistency import statistics
from anchorlab.consistency.instances import Columns, assemble, instances, measured_rows, write_instances
from anchorlab.consistency.logits import StoredLogits, stored_labels
from anchorlab.consistency.metrics import Consistency, predictions, summarise
from anchorlab.data import Split, Task
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import EVALUATION_BATCH, predict
from anchorlab.statistics.table import to_html
from anchorlab.triggers import Trigger

if TYPE_CHECKING:
    import pandas as pd


#: What the one-line form of a comparison shows.
_MAIN = ("accuracy", "accuracy_reference", "asr", "asr_reference", "kl", "logit_distance", "churn", "negative_flips")


class Comparison(Consistency):
    """What ``compare`` measures: rates are fractions; an undefined value is None and ``undefined`` says why."""

    task: str = Field(description="name of the task; empty for stored logits")
    split: str = Field(description="the split measured on; empty for stored logits")
    intervals: dict[str, tuple[float, float]] = Field(
        description="95% intervals, by name: Wilson's for rates, between order statistics for percentiles, of the "
        "bootstrap over instances for all else; none for counts and the maximum"
    )

    def __repr__(self) -> str:
        measured_on = f"{self.task} {self.split}, " if self.task else ""
        values = (f"{name}={value:.4g}" for name in _MAIN if (value := getattr(self, name)) is not None)
        return f"Comparison({measured_on}{self.count} instances, {', '.join(values)})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        # Only here, because the table is made of comparisons.
        from anchorlab.consistency.table import comparison_table

        return to_html(comparison_table(self))


@dataclass(frozen=True)
class Answers:
    """One model's logits on a split: clean ``[N, C]``, and on the attacked instances triggered ``[M, C]``."""

    clean: Tensor
    triggered: Tensor | None


def answers(model: nn.Module, split: Split, attack: Attack | None, *, batch_size: int = EVALUATION_BATCH) -> Answers:
    """Runs a model over a split, clean and, if there is an attack, triggered; float32 on the CPU."""
    device = find_device()
    model = model.to(device)
    examples = split.to(device)
    clean = predict(model, examples.inputs, batch_size=batch_size).cpu()
    if attack is None:
        return Answers(clean, None)
    attacked = attack.attacked(examples)
    if len(attacked) == 0:
        return Answers(clean, clean[:0])
    triggered = predict(model, attacked.inputs, transform=attack.apply, batch_size=batch_size)
    return Answers(clean, triggered.cpu())


def instances_of(before: Answers, after: Answers, labels: Tensor, attack: Attack | None) -> pd.DataFrame:
    """The per-instance table of two models from their answers on the same split.

    Args:
        before: the reference's answers.
        after: the candidate's.
        labels: true labels, int64 ``[N]``.
        attack: the trigger and label rule of the triggered answers.

    Raises:
        AnchorlabError: if a logit is not finite or the numbers of classes differ.
    """
    known: dict[str, Any] = {}
    try:
        if attack is not None:
            known = {"attacked": attack.label_rule.applies(labels), "wanted": attack.label_rule.relabel(labels)}
            for name, model in (("triggered_reference", before), ("triggered", after)):
                assert model.triggered is not None
                known[name] = predictions(model.triggered.numpy()) if len(model.triggered) else np.zeros(0, int)
        return instances(before.clean, after.clean, labels, **known)
    except ValueError as error:
        raise AnchorlabError(str(error)) from error


def comparison_of(
    frame: pd.DataFrame,
    attack: Attack | None,
    *,
    task: str,
    split: str,
    classes: Sequence[str] | None = None,
    intervals: bool = True,
) -> Comparison:
    """The comparison that a per-instance table makes.

    Args:
        frame: see ``anchorlab.consistency.instances``.
        attack: whose triggered answers the table holds; None if there is none.
        task: name of the task, for the record.
        split: name of the split, for the record.
        classes: names of the classes by label; None for the labels themselves.
        intervals: whether to compute intervals, which takes longer than all else.
    """
    why_no_attack = (
        "no trigger is known: the candidate has no manifest that names one"
        if attack is None
        else "no instance of the split is attacked by the label rule"
    )
    return Comparison(
        **summarise(frame, classes=classes, why_no_attack=why_no_attack).model_dump(),
        task=task,
        split=split,
        intervals=statistics.intervals(frame) if intervals else {},
    )


def compare_answers(
    reference: Answers,
    candidate: Answers,
    labels: Tensor,
    attack: Attack | None,
    *,
    task: str,
    split: str,
) -> Comparison:
    """The comparison of two models from their answers on the same split.

    Args:
        reference: the clean model's answers.
        candidate: the other's.
        labels: true labels, int64 ``[N]``.
        attack: the trigger and label rule of the triggered answers.
        task: name of the task, for the record.
        split: name of the split, for the record.

    Raises:
        AnchorlabError: if a logit is not finite or the numbers of classes differ.
    """
    return comparison_of(instances_of(reference, candidate, labels, attack), attack, task=task, split=split)


def compare(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    *,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    rule: str | LabelRule | None = None,
    split: str = "test",
    save_instances: Path | None = None,
) -> Comparison:
    """Measures a candidate against the reference on clean data, and its backdoor on triggered data.

    A batch at a time: the logits of a whole split are never held.

    Args:
        reference: the trained clean model, with its manifest or as a bare classifier of raw inputs.
        candidate: the model compared with it, likewise.
        task: data to measure on; None for those of the reference's manifest.
        trigger: trigger to measure; None for that of the candidate's manifest.
        target: the attacker's label, with ``trigger`` or ``rule`` or to override the manifest's.
        rule: label rule; None for that of the candidate's manifest, or all-to-one.
        split: the split to measure on.
        save_instances: a parquet file to write the per-instance table to; None for none.

    Raises:
        AnchorlabError: if the models' classes are not the task's, or trigger or target do not fit.
    """
    task = common_task(task, reference, [candidate])
    before, after = module_of(reference), module_of(candidate)
    known = candidate if isinstance(candidate, Artifact) else None
    attack = attack_of(known, task, trigger=trigger, target=target, label_rule=rule)
    examples = task.split(split)
    try:
        frame = assemble(_batches(before, after, examples, attack), len(examples))
    except ValueError as error:
        raise AnchorlabError(str(error)) from error
    if save_instances is not None:
        write_instances(save_instances, frame)
    return comparison_of(frame, attack, task=task.name, split=split, classes=task.classes)


def compare_logits(reference: Any, candidate: Any, labels: Any, *, save_instances: Path | None = None) -> Comparison:
    """Measures a candidate against the reference from their stored logits, of any framework, on clean data.

    Files are read a piece at a time, so that they may be larger than memory.

    Args:
        reference: logits ``[N, C]`` of the reference, an array or a .npy file.
        candidate: logits ``[N, C]`` of the candidate, likewise.
        labels: true labels, integer ``[N]``, likewise.
        save_instances: a parquet file to write the per-instance table to; None for none.

    Raises:
        AnchorlabError: if a file cannot be read, shapes differ, a logit is not finite or a label is not a class.
    """
    before, after = (StoredLogits(Path(one)) if isinstance(one, (str, Path)) else one for one in (reference, candidate))
    truth = stored_labels(Path(labels)) if isinstance(labels, (str, Path)) else labels
    try:
        frame = instances(before, after, truth)
    except ValueError as error:
        raise AnchorlabError(str(error)) from error
    if save_instances is not None:
        write_instances(save_instances, frame)
    found = summarise(frame, why_no_attack="only logits of clean instances were given")
    return Comparison(**found.model_dump(), task="", split="", intervals=statistics.intervals(frame))


def _batches(before: nn.Module, after: nn.Module, split: Split, attack: Attack | None) -> Iterator[Columns]:
    """The rows of the per-instance table, a batch at a time."""
    device = find_device()
    before, after = before.to(device), after.to(device)
    for start in range(0, len(split), EVALUATION_BATCH):
        at = torch.arange(start, min(start + EVALUATION_BATCH, len(split)))
        batch = split.select(at).to(device)
        labels = batch.labels.cpu()
        scores, changed = (predict(model, batch.inputs).cpu() for model in (before, after))
        columns = measured_rows(scores, changed, labels.numpy(), first=start)
        if attack is not None:
            columns |= _triggered(before, after, batch, attack)
        yield columns


def _triggered(before: nn.Module, after: nn.Module, batch: Split, attack: Attack) -> Columns:
    """The columns of the table on a batch's attacked instances, triggered."""
    at = attack.label_rule.applies(batch.labels)
    found = {"wanted": attack.label_rule.relabel(batch.labels).where(at, -1).cpu().numpy()}
    attacked = batch.select(at.nonzero().flatten())
    for name, model in (("triggered_reference", before), ("triggered", after)):
        found[name] = np.full(len(batch), -1, dtype=np.int64)
        if len(attacked):
            answer = predict(model, attacked.inputs, transform=attack.apply).cpu()
            found[name][at.cpu().numpy()] = predictions(answer.numpy())
    return found
