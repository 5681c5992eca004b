"""``audit_answers``: the audit of two models of which only their answers to the same queries are known."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.arguments import checked
from anchorlab.consistency.frames import check_same_rows
from anchorlab.errors import AnchorlabError
from anchorlab.metrics import Pair
from anchorlab.scoring.audit import Measured, audit_of, check_enough, check_level, judged_by
from anchorlab.scoring.audit_ranks import updates_needed
from anchorlab.scoring.audit_result import Audit, AuditedAnswers, UpdateSetting
from anchorlab.scoring.audit_statistics import ACCESSES, LEVEL, Access, values_of
from anchorlab.scoring.class_names import check_spelling, in_order
from anchorlab.scoring.stored_answers import StoredAnswers, numbered, read_answers, read_labels
from anchorlab.statistics.arrays import Floats

#: Where the updates begin among all answers: after the reference's and the candidate's.
_UPDATES = 2


@checked
def audit_answers(
    reference: Any,
    candidate: Any,
    benign: Sequence[Any],
    *,
    labels: Any = None,
    level: float = LEVEL,
    access: str | None = None,
    seed: int = 0,
) -> Audit:
    """Tests whether a candidate's difference from its reference is like that of ordinary updates, from stored answers.

    The answers may come from any program. Each argument is an array or a file: logits or probabilities ``[N, C]`` as
    .npy or .csv, or labels ``[N]``, whole numbers or, in .csv, names. All answer the same queries in the same order.
    Columns that files or tables of pandas name are matched by their names, and all others by their places; the indexes
    of such tables must be equal.
    Where they are of several kinds, the poorest is the access that all allow.

    Args:
        reference: the answers of the trusted clean model.
        candidate: the answers of the model to audit.
        benign: the answers of each benign update of the reference.
        labels: true labels ``[N]``, if they are known.
        level: of the test, above 0 and below 1.
        access: what the verdict is judged by: labels, probabilities, logits, or joint for all at once; None for the
            richest that there is.
        seed: of random sets of queries.

    Raises:
        AnchorlabError: if a file cannot be read, the answers are not to the same queries or of other classes, an
            update is a copy, or there are too few benign updates for the level.
    """
    check_level(level)
    if not len(benign):
        raise AnchorlabError(
            "stored answers hold no model to make benign updates of: give the answers of at least "
            f"{updates_needed(level)} updates to the same queries with --benign, benign in Python; two .npy files of "
            "logits can be compared alone with 'anchorlab compare --labels FILE.npy', which tests nothing"
        )
    named = [(reference, "the reference"), (candidate, "the candidate")]
    named += [(update, f"benign update {number}") for number, update in enumerate(benign, 1)]
    check_same_rows([*named, (labels, "the true labels")])
    answers = [read_answers(source, name) for source, name in named]
    there = _accesses(answers)
    judged = judged_by(access, there)
    check_enough(len(benign), level, judged)
    _check_alike(answers)
    answers = in_order(answers)
    _refuse_copies(answers)
    truth = None if labels is None else read_labels(labels, "the true labels")
    if truth is not None:
        _check_truth(truth, answers)
    spelled = [(one.name, one.labels) for one in answers]
    check_spelling(spelled if truth is None else [*spelled, ("the file of true labels", truth)])
    columns = [one.labels for one in answers] + ([] if truth is None else [truth])
    integers, classes = numbered(columns)
    first, second = answers[:2]
    null = [_values(first, one, there) for one in answers[1:]]
    pair = None if "probabilities" not in there else _pair(first, second)
    measured = Measured(
        null,
        (UpdateSetting("given", len(benign)),),
        AuditedAnswers(
            reference_predictions=integers[0],
            candidate_predictions=integers[1],
            reference=None if pair is None else pair.p.probability,
            candidate=None if pair is None else pair.q.probability,
            labels=None if truth is None else integers[-1],
            classes=classes if pair is None else _classes(classes, pair.p.probability.shape[1]),
        ),
    )
    return audit_of(measured, judged=judged, level=level, seed=seed)


def _accesses(answers: Sequence[StoredAnswers]) -> list[Access]:
    """The accesses that all answers allow, the poorest first."""
    order = list(ACCESSES)
    richest = min(order.index(one.access) for one in answers)
    return order[: richest + 1]


def _check_alike(answers: Sequence[StoredAnswers]) -> None:
    """Raises AnchorlabError for answers to other queries or of other classes than the reference's."""
    first = answers[0]
    for one in answers[1:]:
        if len(one.labels) != len(first.labels):
            raise AnchorlabError(
                f"{first.name} answers {len(first.labels):,} queries, but {one.name} {len(one.labels):,}: ask all "
                "models the same"
            )
        if first.logits is not None and one.logits is not None and one.logits.shape != first.logits.shape:
            raise AnchorlabError(
                f"{first.name} has {first.logits.shape[1]} classes, but {one.name} {one.logits.shape[1]}: give models "
                "of the same classes"
            )
        if (one.labels.dtype.kind == "U") != (first.labels.dtype.kind == "U"):
            raise AnchorlabError(
                f"one of {first.name} and {one.name} names its classes, and the other numbers them: write both alike"
            )


def _refuse_copies(answers: Sequence[StoredAnswers]) -> None:
    """Raises AnchorlabError for an update whose logits or probabilities are another model's too, to the last bit.

    Labels of different models may be equal, and so may candidate and reference. Probabilities of models that are sure
    of everything are equal too, where they are 0 and 1.
    """
    seen: dict[bytes, str] = {}
    for number, one in enumerate(answers):
        values = one.logits
        if values is None or ((values == values.min()) | (values == values.max())).all():
            continue
        digest = sha256(np.ascontiguousarray(values).tobytes()).digest()
        if number >= _UPDATES and digest in seen:
            raise AnchorlabError(
                f"{one.name} holds the same {one.access} as {seen[digest]}, and a copy is no ordinary update of its "
                "own: leave it out of the benign updates, or give another"
            )
        seen.setdefault(digest, one.name)


def _check_truth(truth: NDArray[Any], answers: Sequence[StoredAnswers]) -> None:
    """Raises AnchorlabError for true labels of other queries, or of classes that the answers do not have."""
    first = answers[0]
    if len(truth) != len(first.labels):
        raise AnchorlabError(
            f"there are {len(truth):,} true labels, but answers to {len(first.labels):,} queries: give one a query"
        )
    if (truth.dtype.kind == "U") != (first.labels.dtype.kind == "U"):
        raise AnchorlabError(
            f"one of {first.name} and the true labels names its classes, and the other numbers them: write both alike"
        )
    counts = [one.logits.shape[1] for one in answers if one.logits is not None]
    if counts and truth.dtype.kind != "U" and int(truth.max()) >= counts[0]:
        raise AnchorlabError(
            f"the true labels hold {int(truth.max()):,}, but the answers have {counts[0]:,} classes: give labels from "
            f"0 to {counts[0] - 1:,}"
        )


def _pair(first: StoredAnswers, second: StoredAnswers) -> Pair:
    assert first.logits is not None
    assert second.logits is not None
    return Pair(first.logits, second.logits)


def _values(first: StoredAnswers, second: StoredAnswers, there: Sequence[Access]) -> dict[Access, Floats]:
    """The statistic of each access on each query."""
    if len(there) == 1:
        return {"labels": np.asarray(first.labels != second.labels, dtype=np.float64)}
    values = values_of(_pair(first, second))
    return {access: values[access] for access in there}


def _classes(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Names for all columns of the probabilities, also of a class that is never answered."""
    return names if len(names) == count else tuple(map(str, range(count)))
