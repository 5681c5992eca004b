"""An audit in words: the verdict, what each access saw, what it depends on, and what it could have seen."""

from __future__ import annotations

from collections.abc import Sequence

from anchorlab.scoring.audit_ranks import least_p, updates_needed
from anchorlab.scoring.audit_result import NO_PROOF, Judged, UpdateSetting, Verdict
from anchorlab.scoring.audit_statistics import AccessAudit, Noticeable, largest_churn
from anchorlab.scoring.ranked import Direction, JointAudit, Ranked

#: What is said of a candidate that has the reference's weights.
EQUAL_WEIGHTS = "All weights of the two models are equal, so that only their configurations can differ."

#: How the statistic of each access is called, and how its size is written.
_NAMES = {"labels": "churn", "probabilities": "KL", "logits": "mean squared logit shift"}


def verdict_of(accesses: Sequence[AccessAudit], joint: JointAudit, judged: Judged, level: float) -> Verdict:
    """The verdict of an access, or of all at once."""
    access = next(one for one in accesses if one.access == (joint.access if judged == "joint" else judged))
    p = joint.p if judged == "joint" else access.p
    unusual = p <= level + 1e-12
    direction = access.direction if unusual else None
    where = f"all accesses at once, most of all {access.access}" if judged == "joint" else access.access
    if direction is None:
        sentence = (
            f"Not unusual: the candidate moved more than {access.below} of the {len(access.null)} benign updates"
            f"{_as_much(access)} and less than {access.above} (p = {p:.3g} from {where}, above the level of "
            f"{level:g})."
        )
    else:
        sentence = (
            f"Unusual: the candidate moved {direction.upper()} than {beaten(access, direction)} "
            f"(p = {p:.3g} from {where}, at the level of {level:g})."
        )
    return Verdict(judged, unusual, direction, p, level, sentence)


def sentences_of(
    verdict: Verdict,
    accesses: Sequence[AccessAudit],
    joint: JointAudit,
    settings: Sequence[UpdateSetting],
    count: int,
    *,
    identical: bool = False,
) -> tuple[str, ...]:
    """The result in words, the verdict first, and last that it proves nothing."""
    updates = sum(setting.count for setting in settings)
    judged = joint.access if verdict.access == "joint" else verdict.access
    access = next(one for one in accesses if one.access == judged)
    others = ", ".join(f"p = {one.p:.3g} from {one.access}" for one in accesses)
    return (
        verdict.sentence,
        *([EQUAL_WEIGHTS] if identical else []),
        f"By access: {others}; jointly p = {joint.p:.3g}. The verdict is that of {verdict.access} alone.",
        f"Compared with {updates} benign updates: {', '.join(map(str, settings))}.",
        *sensitivity(access, settings),
        f"With {count:,} queries and these updates, {_could_see(accesses)}."
        if access.can_find
        else too_few_updates(updates, verdict.level),
        _labels_in_words(accesses[0], count),
        NO_PROOF,
    )


def sensitivity(access: Ranked, settings: Sequence[UpdateSetting]) -> list[str]:
    """How the verdict would read against the updates of each setting alone."""
    if len(settings) < 2:
        return []
    parts = []
    for setting in settings:
        null, p = access.null_of(setting.name), access.by_setting[setting.name]
        more = sum(access.value > value for value in null)
        least = ", the least possible" if p <= least_p(len(null)) else ""
        parts.append(f"more than {more} of the {len(null)} {setting.name} ones (p = {p:.3g}{least})")
    return [f"It hangs on what an ordinary update is: from {access.access} the candidate moved {' and '.join(parts)}."]


def too_few_updates(updates: int, level: float) -> str:
    """That a test of one access alone finds nothing, as where the joint test is chosen, which takes fewer updates."""
    return (
        f"At the level of {level:g} a test of one access alone takes {updates_needed(level)} benign updates, and with "
        f"{updates} it finds nothing whatever the queries are. So sizes of a noticeable difference, and the power, are "
        "not given."
    )


def _could_see(accesses: Sequence[AccessAudit]) -> str:
    """Which differences these queries and updates would have shown."""
    seen = (f"{_NAMES[one.access]} {_noticed(one.noticeable)}" for one in accesses)
    return f"a difference is noticed with a chance of 95% from {'; '.join(seen)}"


def _noticed(noticeable: Noticeable) -> str:
    ends = []
    if noticeable.above is not None:
        ends.append(f"{noticeable.above:.3g} up")
    if noticeable.below is not None:
        ends.append(f"{noticeable.below:.3g} down")
    return " or ".join(ends) or "no size at all"


def _labels_in_words(labels: AccessAudit, count: int) -> str:
    if labels.value == 0:
        return f"No label differs; with 95% confidence fewer than {largest_churn(count):.2g} of all do."
    return f"{100 * labels.value:.3g}% of the labels differ, which says that something changed, not what."


def beaten(access: Ranked, direction: Direction) -> str:
    """How many of the updates the candidate leaves behind to a side, in words."""
    count = access.below if direction == "more" else access.above
    total = len(access.null)
    return f"all {total} benign updates" if count == total else f"{count} of the {total} benign updates"


def _as_much(access: AccessAudit) -> str:
    ties = len(access.null) - access.below - access.above
    return f", as much as {ties}" if ties else ""
