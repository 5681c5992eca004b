"""The comparison of two runs' logs in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anchorlab.samples.result import SampleComparison, TaskComparison
from anchorlab.statistics.counted import several
from anchorlab.statistics.numbers import p_value, significant

#: Level of the tests after Holm's correction.
LEVEL = 0.05

#: Most rows that are named in a sentence.
_NAMED = 3


def words_of_samples(found: SampleComparison) -> tuple[str, ...]:
    """What was found: where the scores differ by more than chance, and how many answers flipped."""
    return (*_scores(found.rows), *_flips(found.rows), *_answers(found.rows))


def _scores(rows: Sequence[TaskComparison]) -> Iterator[str]:
    tested = [row for row in rows if row.p_holm is not None]
    if not tested:
        return
    over = several(len({row.task for row in tested}), "task")
    corrected = (
        f"after Holm's correction for {len(tested):,} comparisons in {over}"
        if len(tested) > 1
        else "over its documents"
    )
    for side, sign in (("below", -1), ("above", 1)):
        found = [row for row in tested if _differs(row) and (row.difference or 0) * sign > 0]
        if found:
            more = f"; and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
            named = "; ".join(_described(row) for row in sorted(found, key=_surest)[:_NAMED])
            yield f"The candidate's score is {side} the reference's {corrected}: {named}{more}."
    alike = [row for row in tested if not _differs(row)]
    if len(alike) == len(tested):
        closest = min(alike, key=_surest)
        which = "No score of the candidate's is" if len(tested) > 1 else "The candidate's score is not"
        yield f"{which} distinguishable from the reference's {corrected}; the least p is that of {_described(closest)}."
    elif alike:
        yield f"{several(len(alike), 'other comparison')} cannot be distinguished from chance."


def _differs(row: TaskComparison) -> bool:
    return row.p_holm is not None and row.p_holm < LEVEL


def _surest(row: TaskComparison) -> float:
    return 1.0 if row.p is None else row.p


def _described(row: TaskComparison) -> str:
    values = f"{_score(row.value)} against {_score(row.value_reference)}"
    p = "" if row.p_holm is None else f", p {_p(row.p_holm)}"
    return f"{row.name}, {values} (difference {difference_text(row)}{p})"


def _flips(rows: Sequence[TaskComparison]) -> Iterator[str]:
    """The row with the most flips, because what cancels in an accuracy shows here."""
    flipped = [row for row in rows if row.negative_flips is not None and row.positive_flips is not None]
    if not flipped:
        return
    row = max(flipped, key=lambda each: (each.negative_flips or 0) + (each.positive_flips or 0))
    worse, better = (round((share or 0) * row.documents) for share in (row.negative_flips, row.positive_flips))
    most = "Most answers flip in" if len(flipped) > 1 else "Flips in"
    yield (
        f"{most} {row.name}: of {several(row.documents, 'document')}, {worse:,} were right and became wrong, "
        f"{better:,} were wrong and became right."
    )


def _answers(rows: Sequence[TaskComparison]) -> Iterator[str]:
    """How many answers differ, where nothing says which are right."""
    for row in [row for row in rows if not row.metric and row.churn is not None][:_NAMED]:
        changed = round((row.churn or 0) * row.documents)
        of = several(row.documents, "document") + (f" in {row.name}" if row.task or row.filter else "")
        yield f"The answers differ on {changed:,} of {of}; no score says which is right."


def difference_text(row: TaskComparison) -> str:
    """The difference with its interval, as in ``-0.0430 [-0.0612, -0.0248]``."""
    if row.difference is None:
        return ""
    ends = "" if row.interval is None else f" [{', '.join(_score(end) for end in row.interval)}]"
    return f"{_score(row.difference)}{ends}"


def _score(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) < 10 else significant(value, 5)


def _p(value: float) -> str:
    return p_value(value) if value < 0.0005 else f"= {p_value(value)}"
