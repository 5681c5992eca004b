"""What the verdict of an audit cannot mean, each with its cure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anchorlab.consistency.cautions import chance_level, near_chance
from anchorlab.scoring.audit_result import AuditedAnswers, Verdict
from anchorlab.scoring.audit_statistics import AccessAudit
from anchorlab.scoring.ranked import JointAudit, Ranked

#: Queries are few if a candidate must move this many times as far as the farthest update to be noticed.
_FAR = 2.0


def audit_cautions(
    verdict: Verdict, accesses: Sequence[AccessAudit], joint: JointAudit, answers: AuditedAnswers
) -> tuple[str, ...]:
    """All that is to be said against a verdict, the gravest first."""
    judged = joint.access if verdict.access == "joint" else verdict.access
    access = next(one for one in accesses if one.access == judged)
    found = (
        _untrained(answers),
        updates_change_nothing(access),
        _few_queries(access, len(answers.reference_predictions)),
        between_settings(access),
    )
    return tuple(sentence for sentence in found if sentence is not None)


def _untrained(answers: AuditedAnswers) -> str | None:
    if answers.labels is None:
        return None
    count = len(answers.labels)
    right = float((answers.reference_predictions == answers.labels).mean())
    chance = chance_level(np.bincount(answers.labels).tolist())
    return near_chance(right, count, chance, cure="check that data and classes are the reference's")


def updates_change_nothing(access: Ranked) -> str | None:
    """That nothing moves any benign update, so that no rank means much."""
    if max(access.null) > 0:
        return None
    return (
        f"no benign update changes anything in {access.access}, so that every candidate that changes something is "
        "unusual: give queries of more kinds, or updates that train longer"
    )


def _few_queries(access: AccessAudit, count: int) -> str | None:
    above, largest = access.noticeable.above, max(access.null)
    if not access.can_find:  # with any number of queries
        return None
    if largest == 0 or (above is not None and above <= _FAR * largest):
        return None
    seen = "no difference at all" if above is None else f"only a difference {above / largest:.1f} times as large"
    return (
        f"{count:,} queries are too few for much power: from {access.access}, {seen} as that of the farthest update is "
        "noticed with a chance of 95%, so that a small one is missed: give more rows"
    )


def between_settings(access: Ranked) -> str | None:
    """That the candidate lies outside the updates of each setting alone, but between those of two."""
    sides = set()
    for name in access.by_setting:
        null = access.null_of(name)
        if min(null) <= access.value <= max(null):
            return None
        sides.add("more" if access.value > max(null) else "less")
    if len(sides) < 2:
        return None
    return (
        "the candidate lies outside the updates of each setting, but between them, so that the verdict hangs on which "
        "are ordinary: give updates as this vendor makes them with --benign, or other --steps"
    )
