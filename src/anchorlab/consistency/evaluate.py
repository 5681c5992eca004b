"""Two models over one split: how consistent is the candidate with the reference, and how strong is the backdoor?"""

from __future__ import annotations

from dataclasses import dataclass

from accelerate import Accelerator
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import binomtest
from torch import Tensor, nn

from anchorlab.artifacts import Artifact
from anchorlab.attacks import Attack, build_attack, check_classes
from anchorlab.consistency.metrics import measure, predictions
from anchorlab.errors import AnchorlabError
from anchorlab.label_rules import LabelRule, rule_from_dict, rule_to_dict
from anchorlab.models import predict
from anchorlab.tasks import Split, Task
from anchorlab.triggers import Trigger


class Comparison(BaseModel):
    """What ``compare`` measures: rates are fractions; an undefined value is None and ``undefined`` says why."""

    model_config = ConfigDict(frozen=True)

    task: str = Field(description="name of the task")
    split: str = Field(description="the split measured on")
    count: int = Field(description="clean instances")
    accuracy: float = Field(description="share of clean instances that the candidate gets right")
    accuracy_reference: float = Field(description="the same of the reference")
    asr: float | None = Field(description="share of triggered attacked instances given the attacker's label")
    asr_count: int = Field(description="triggered attacked instances; those of the target class are left out")
    asr_reference: float | None = Field(description="the reference's own rate on the same triggered instances")
    logit_distance: float = Field(description="mean squared shift of a logit")
    logit_distance_centred: float = Field(description="the same, less the shift common to all classes")
    probability_distance: float = Field(description="mean Euclidean distance of the probabilities")
    kl: float = Field(description="mean divergence of the candidate from the reference, nats")
    kl_symmetric: float = Field(description="mean of both divergences, nats")
    pearson_correct: float | None = Field(description="correlation of being right")
    pearson_score: float | None = Field(description="correlation of the true class's log-probability")
    churn: float = Field(description="share of clean instances with another prediction")
    negative_flips: float = Field(description="share that was right and became wrong")
    positive_flips: float = Field(description="share that was wrong and became right")
    intervals: dict[str, tuple[float, float]] = Field(description="Wilson's 95% intervals of the rates")
    undefined: dict[str, str] = Field(description="why a value is undefined")


@dataclass(frozen=True)
class Answers:
    """One model's logits on a split: clean ``[N, C]``, and on the attacked instances triggered ``[M, C]``."""

    clean: Tensor
    triggered: Tensor | None


def answers(model: nn.Module, split: Split, attack: Attack | None) -> Answers:
    """Runs a model over a split, clean and, if there is an attack, triggered; float32 on the CPU."""
    device = Accelerator().device
    model = model.to(device)
    examples = split.to(device)
    clean = predict(model, examples.inputs).cpu()
    if attack is None:
        return Answers(clean, None)
    attacked = examples.select(attack.rule.applies(examples.labels).nonzero().flatten())
    if len(attacked) == 0:
        return Answers(clean, clean[:0])
    return Answers(clean, predict(model, attacked.inputs, transform=attack.apply).cpu())


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
    try:
        consistency = measure(reference.clean.numpy(), candidate.clean.numpy(), labels.numpy())
    except ValueError as error:
        raise AnchorlabError(str(error)) from error
    undefined = dict(consistency.undefined)
    asr, asr_reference, count, hits = None, None, 0, 0
    if attack is None:
        undefined["asr"] = undefined["asr_reference"] = (
            "no trigger is known: the candidate has no manifest that names one"
        )
    else:
        wanted = attack.rule.relabel(labels)[attack.rule.applies(labels)].numpy()
        count = len(wanted)
        if count == 0:
            undefined["asr"] = undefined["asr_reference"] = "no instance of the split is attacked by the label rule"
        else:
            assert reference.triggered is not None
            assert candidate.triggered is not None
            hits = int((predictions(candidate.triggered.numpy()) == wanted).sum())
            asr = hits / count
            asr_reference = float((predictions(reference.triggered.numpy()) == wanted).mean())
    rates = {
        name: (round(getattr(consistency, name) * consistency.count), consistency.count)
        for name in ("accuracy", "accuracy_reference", "churn", "negative_flips", "positive_flips")
    }
    if asr is not None:
        rates["asr"] = (hits, count)
    figures = {name: value for name, value in consistency.to_dict().items() if name in Comparison.model_fields}
    return Comparison(
        **figures
        | {
            "task": task,
            "split": split,
            "asr": asr,
            "asr_count": count,
            "asr_reference": asr_reference,
            "intervals": {name: wilson(hits, total) for name, (hits, total) in rates.items()},
            "undefined": undefined,
        }
    )


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95% interval of a rate (Wilson 1927), from scipy."""
    interval = binomtest(hits, total).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def compare(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    *,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | None = None,
    rule: str | LabelRule | None = None,
    split: str = "test",
) -> Comparison:
    """Measures a candidate against the reference on clean data, and its backdoor on triggered data.

    Args:
        reference: the trained clean model, with its manifest or as a bare classifier of raw inputs.
        candidate: the model compared with it, likewise.
        task: data to measure on; None for those of the reference's manifest.
        trigger: trigger to measure; None for that of the candidate's manifest.
        target: the attacker's label, with ``trigger`` or ``rule`` or to override the manifest's.
        rule: label rule; None for that of the candidate's manifest, or all-to-one.
        split: the split to measure on.

    Raises:
        AnchorlabError: if the models' classes are not the task's, or trigger or target do not fit.
    """
    if task is None:
        if not isinstance(reference, Artifact):
            raise AnchorlabError("the reference has no manifest that names its data: give --task, or task in Python")
        task = reference.task()
    before, after = (model.model if isinstance(model, Artifact) else model for model in (reference, candidate))
    for model in (before, after):
        check_classes(model, task)
    known = candidate if isinstance(candidate, Artifact) else None
    attack = attack_of(known, task, trigger=trigger, target=target, rule=rule)
    examples = task.split(split)
    return compare_answers(
        answers(before, examples, attack),
        answers(after, examples, attack),
        examples.labels,
        attack,
        task=task.name,
        split=split,
    )


def attack_of(
    candidate: Artifact | None,
    task: Task,
    *,
    trigger: str | Trigger | None = None,
    target: int | None = None,
    rule: str | LabelRule | None = None,
) -> Attack | None:
    """The attack to measure: the manifest's, each part of which an argument overrides; None if there is none.

    A target alone changes the manifest's label rule to that target.

    Raises:
        AnchorlabError: if the parts do not make a whole, or do not fit the task.
    """
    known_rule = candidate.label_rule if candidate else None
    known_trigger = trigger or (candidate.trigger if candidate else None)
    if known_trigger is None:
        if target is not None or rule is not None:
            raise AnchorlabError(
                "a target or label rule was given, but no trigger is known: give --trigger as well, "
                "for the candidate has no manifest that names one"
            )
        return None
    if rule is None and known_rule is not None:
        if target is not None:
            known_rule = rule_from_dict(rule_to_dict(known_rule) | {"target": target})
        return build_attack(task, known_trigger, known_rule, None)
    return build_attack(task, known_trigger, rule or "all-to-one", target)
