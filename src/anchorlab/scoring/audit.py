"""``audit``: is a candidate's difference from its trusted reference like that of ordinary updates?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.provenance import same_weights
from anchorlab.artifacts.resolve import check_trusted, common_task, in_order_of, module_of, named_task, note_other_cut
from anchorlab.data import Split, Task
from anchorlab.errors import AnchorlabError, quoted, unknown
from anchorlab.injection.tuning import Tuning
from anchorlab.metrics import Pair
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import predict
from anchorlab.models.device import lent
from anchorlab.scoring.audit_alike import check_alike
from anchorlab.scoring.audit_cautions import audit_cautions
from anchorlab.scoring.audit_ranks import least_p, updates_needed
from anchorlab.scoring.audit_result import Audit, AuditedAnswers, Judged, UpdateSetting
from anchorlab.scoring.audit_statistics import (
    ACCESSES,
    LEVEL,
    Access,
    audit_values,
    values_of,
)
from anchorlab.scoring.audit_words import sentences_of, verdict_of
from anchorlab.scoring.benign_updates import (
    DistinctUpdates,
    as_reference,
    benign_updates,
    check_update,
    ordinary_tunings,
    plan_updates,
    update_name,
)
from anchorlab.scoring.ranked import joint_audit
from anchorlab.seeding import derive
from anchorlab.statistics.arrays import Floats

#: Most benign updates that are made.
_MOST_UPDATES = 10_000


@checked
def audit(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    *,
    benign: int | Sequence[Artifact | nn.Module] | None = None,
    level: float = LEVEL,
    access: str | None = None,
    tuning: Tuning | Sequence[Tuning] | None = None,
    folder: str | Path | None = None,
    queries: int | None = None,
    split: str = "test",
    task: Task | str | None = None,
    seed: int = 0,
) -> Audit:
    """Tests whether a candidate's difference from its reference is like that of ordinary updates.

    The test is two-sided: an update that moves less than any benign one is as unusual as one that moves more. An audit
    compares answers to clean queries alone, so that the candidate may have another architecture.

    Args:
        reference: the trusted clean model, with its manifest or as a bare classifier of raw inputs.
        candidate: the model to audit, in either form.
        benign: benign updates of the reference, or the number of updates to make; None for as many as the level needs.
        level: of the test, above 0 and below 1.
        access: what the verdict is judged by: labels, probabilities, logits, or joint for all at once; None for
            logits, the richest.
        tuning: settings of updates to make, one or several, which share them; None for a short and a long one.
        folder: the folder of updates to make; updates that are there already are read from it; None to keep none.
        queries: number of clean examples to draw; all of the split if None.
        split: the split that the queries come from.
        task: the task with its data, or its name; the reference's manifest's if None.
        seed: seed of the queries, and of random sets of them.

    Raises:
        AnchorlabError: if there are too few benign updates for the level, if one that is given has the weights of
            another, of the reference or of the candidate, if there are fewer examples than queries, or if a model
            cannot read them.
    """
    task = named_task(task, reference)
    note_other_cut([reference, candidate], task, split)
    return audit_models(
        reference,
        candidate,
        benign=benign,
        level=level,
        access=access,
        tuning=tuning,
        folder=folder,
        queries=queries,
        split=split,
        task=task,
        seed=seed,
    )


def audit_models(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    *,
    benign: int | Sequence[Artifact | nn.Module] | None,
    level: float,
    access: str | None,
    tuning: Tuning | Sequence[Tuning] | None,
    folder: str | Path | None,
    queries: int | None,
    split: str,
    task: Task | None,
    seed: int,
) -> Audit:
    """As ``audit``, but nothing is asked of the members of ``benign`` before they are used.

    So a sequence may open each model when it is asked for: 39 large ones do not fit into memory.
    """
    check_trusted(reference, "the reference of an audit")
    reference = whole(reference)  # of which updates are made
    judged = judged_by(access, list(ACCESSES))
    check_level(level)
    if split == "owner":
        raise AnchorlabError(
            "updates learn from the split 'owner', so its answers say little of other inputs: ask queries of the split "
            "'test', 'selection', 'defender' or 'held-out'"
        )
    count = updates_needed(level, sides=sides_of(judged)) if benign is None else _count(benign)
    check_enough(count, level, judged)
    if isinstance(benign, Sequence) and (tuning is not None or folder is not None):
        raise AnchorlabError("tuning and folder are for updates that are made: leave them out beside a list")
    if task is None and isinstance(reference, Artifact):
        task = reference.task()
    check_alike(reference, candidate, task)
    identical = same_weights(module_of(reference), module_of(candidate))
    known = (module_of(reference), "the reference"), (module_of(candidate), "the candidate")
    candidate = in_order_of(reference, candidate, task)
    data = check_queries(reference, [candidate], split, task=task, queries=queries)
    updates: Iterable[Artifact | nn.Module]
    if benign is None or isinstance(benign, int):
        tunings = ordinary_tunings(data) if tuning is None else tuning
        tunings = [tunings] if isinstance(tunings, Tuning) else list(tunings)
        model = reference.manifest.architecture if isinstance(reference, Artifact) else ""
        planned = plan_updates(data, count, tunings, model=model)
        settings = tuple(of.setting() for of in planned)
        updates = benign_updates(as_reference(reference, data), planned, folder, task=data)
    else:
        distinct = DistinctUpdates()
        for one, name in known:
            distinct.add(one, name, update=False)
        for number, update in enumerate(benign, 1):
            check_update(reference, update, number)
            distinct.add(module_of(update), update_name(benign, number))
            data = check_queries(reference, [candidate, in_order_of(reference, update, task)], split, task=data)
        settings, updates = (UpdateSetting("given", count),), benign
    drawn = data.draw(split, queries, "queries", seed=seed, what="queries")
    examples = data.split(split).select(drawn)
    logits = _logits(reference, examples, "the reference")
    pair = Pair(logits, _logits(candidate, examples, "the candidate"))
    null = [
        values_of(Pair(logits, _logits(in_order_of(reference, update, task), examples, f"benign update {number}")))
        for number, update in enumerate(updates, 1)
    ]
    answers = AuditedAnswers(
        reference_predictions=pair.p.prediction,
        candidate_predictions=pair.q.prediction,
        reference=pair.p.probability,
        candidate=pair.q.probability,
        labels=examples.labels.cpu().numpy(),
        classes=tuple(data.classes),
        queries=examples,
        rows=drawn.numpy(),
    )
    measured = Measured([values_of(pair), *null], settings, answers, identical)
    return audit_of(measured, judged=judged, level=level, seed=seed)


@dataclass(frozen=True)
class Measured:
    """What an audit is computed from.

    Attributes:
        values: kind of access to its statistic on each query, of the candidate and then of each update.
        settings: how the updates came to be, in their order.
        answers: what both models answered.
        identical: whether all weights of both models are known to be equal.
    """

    values: Sequence[dict[Access, Floats]]
    settings: tuple[UpdateSetting, ...]
    answers: AuditedAnswers
    identical: bool = False


def audit_of(measured: Measured, *, judged: Judged, level: float, seed: int) -> Audit:
    """The audit from what was measured."""
    names = [setting.name for setting in measured.settings for _ in range(setting.count)]
    candidate, *null = measured.values
    accesses = audit_values(candidate, null, seed=derive(seed, "audit"), level=level, settings=names)
    joint = joint_audit(accesses)
    verdict = verdict_of(accesses, joint, judged, level)
    count = len(next(iter(candidate.values())))
    sentences = sentences_of(verdict, accesses, joint, measured.settings, count, identical=measured.identical)
    return Audit(
        count=count,
        updates=len(null),
        level=level,
        settings=measured.settings,
        accesses=tuple(accesses),
        joint=joint,
        verdict=verdict,
        sentences=sentences,
        cautions=audit_cautions(verdict, accesses, joint, measured.answers),
        answers=measured.answers,
    )


def judged_by(access: str | None, there: Sequence[Access]) -> Judged:
    """What the verdict is judged by: what the auditor names, or else the richest access that there is.

    Raises:
        AnchorlabError: for another name, or an access that the answers do not allow.
    """
    if access is None:
        return there[-1]
    possible: list[Judged] = [*there, "joint"]
    if access not in possible:
        raise unknown("access", access, possible)
    return access


def check_level(level: float) -> None:
    """Raises AnchorlabError unless a level is one."""
    if not 0 < level < 1:
        raise AnchorlabError(f"the level {quoted(level)} is not possible: give a number above 0 and below 1, as 0.05")
    if 2 / level > _MOST_UPDATES:
        raise AnchorlabError(
            f"the level {level:g} needs more than {_MOST_UPDATES:,} benign updates: give {2 / _MOST_UPDATES:g} or more"
        )


def check_enough(count: int, level: float, judged: str) -> None:
    """Raises AnchorlabError, which says how many it takes, if a number of updates is too small for the level."""
    if not 1 <= count <= _MOST_UPDATES:
        raise AnchorlabError(
            f"{count} benign updates are not possible: give a number from 1 to {_MOST_UPDATES:,}, "
            "or leave it out to make as many as the level needs"
        )
    sides = sides_of(judged)
    needed, least = updates_needed(level, sides=sides), least_p(count, sides=sides)
    if count < needed:
        # Rounded up, so that the level that is named is enough.
        larger = "" if least >= 1 else f", or a level of {math.ceil(1000 * least) / 1000:g} or more"
        raise AnchorlabError(
            f"{count} benign update{'s' * (count != 1)} allow{'s' * (count == 1)} no p-value below {least:.2g}, and a "
            f"{'two-sided ' * (sides == 2)}test at the level of {level:g} needs {needed}: give {needed} or more{larger}"
        )


def sides_of(judged: str) -> int:
    """How many sides the test has that a verdict is judged by; the joint test's statistic has both already."""
    return 1 if judged == "joint" else 2


def _count(benign: int | Sequence[Any]) -> int:
    return benign if isinstance(benign, int) else len(benign)


def check_queries(
    reference: Artifact | nn.Module,
    others: Sequence[Artifact | nn.Module],
    split: str,
    *,
    task: Task | None = None,
    queries: int | None = None,
) -> Task:
    """The task as all of these models read it; arguments are as in ``audit``.

    Raises:
        AnchorlabError: if they do not read the same, or the split has fewer examples.
    """
    task = common_task(task, reference, others)
    task.check_count(split, queries, "queries")
    return task


def _logits(model: Artifact | nn.Module, examples: Split, name: str) -> Any:
    device, module = find_device(), module_of(model)
    with lent(device, module):
        answers = predict(module, examples.to(device).inputs)
    if not answers.isfinite().all():
        rate = model.manifest.settings.get("learning_rate") if isinstance(model, Artifact) else None
        remedy = "look at its weights" if rate is None else f"it was tuned at learning rate {rate:g}, give a lower one"
        raise AnchorlabError(
            f"{name} answers queries with logits that are not finite, so that nothing can be compared: {remedy}"
        )
    return answers.cpu().numpy()
