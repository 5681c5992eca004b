"""A comparison in sentences: does the candidate still answer like the reference, and does the backdoor work?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from anchorlab.statistics.numbers import p_value, significant
from anchorlab.statistics.tests import mcnemar

if TYPE_CHECKING:
    from anchorlab.consistency.compare import Comparison

#: Level of the test of two accuracies.
_LEVEL = 0.05


def words_of_comparison(comparison: Comparison, *, target: str | None = None) -> tuple[str, ...]:
    """What was found, in two or three sentences with counts and 95% intervals: answers, accuracy, attack.

    Args:
        comparison: what ``compare`` measured.
        target: the name of the class that the attacker wants; None where it is not one class, or is not known.
    """
    return (*words_without_attack(comparison), *words_of_attack(comparison, target=target))


def _answers(comparison: Comparison) -> Iterator[str]:
    where = f" of {comparison.task}, split {comparison.split}" if comparison.task else ""
    examples = f"{comparison.count:,} clean examples{where}"
    changed = round(comparison.churn * comparison.count)
    if not changed and comparison.kl == 0:
        yield f"The candidate answers exactly like the reference on {examples}: no prediction differs, and the KL is 0."
        return
    kl = f"the KL is {with_interval(comparison, 'kl')} nats"
    if not changed:
        yield f"The candidate predicts the same as the reference on all {examples}; {kl}."
        yield from _certified(comparison)
        return
    worse, better = _flips(comparison)
    yield (
        f"The candidate predicts otherwise than the reference on {changed:,} of {examples}: {worse:,} were right and "
        f"became wrong, {better:,} were wrong and became right; the churn is {with_interval(comparison, 'churn')}, "
        f"{kl}."
    )
    yield from _certified(comparison)


def _certified(comparison: Comparison) -> Iterator[str]:
    """What theory says without a look at the predictions, beside what happened."""
    if comparison.certified is None:
        return
    certain = round(comparison.certified * comparison.count)
    changed = round(comparison.churn * comparison.count)
    if certain == comparison.count:
        yield (
            "By theory no prediction could change, because the reference's margin exceeds the range of the shift of "
            "the logits on each of them."
        )
        return
    yield (
        f"By theory {certain:,} of these predictions could not change, because the reference's margin exceeds the "
        f"range of the shift of their logits; of the other {comparison.count - certain:,}, {changed:,} did."
    )


def _flips(comparison: Comparison) -> tuple[int, int]:
    """How many predictions were right and became wrong, and the other way."""
    flips = comparison.negative_flips, comparison.positive_flips
    worse, better = (round(share * comparison.count) for share in flips)
    return worse, better


def _accuracy(comparison: Comparison) -> Iterator[str]:
    """Whether the accuracies differ by more than chance explains."""
    ours, theirs = comparison.accuracy, comparison.accuracy_reference
    worse, better = _flips(comparison)
    if worse == better == 0:
        yield f"Its accuracy is the reference's, {theirs:.3f}."
        return
    p = mcnemar(worse, better)
    test = f"McNemar's exact test, p {p_value(p) if p < 0.0005 else f'= {p_value(p)}'}"
    if p >= _LEVEL:
        yield f"Its accuracy, {ours:.3f}, is not distinguishable from the reference's, {theirs:.3f} ({test})."
    else:
        side = "below" if ours < theirs else "above"
        yield f"Its accuracy, {ours:.3f}, is {abs(ours - theirs):.3f} {side} the reference's, {theirs:.3f} ({test})."


def words_of_attack(comparison: Comparison, *, target: str | None = None) -> tuple[str, ...]:
    """The last of them alone: how often the attack succeeds."""
    return tuple(_attack(comparison, target))


def words_without_attack(comparison: Comparison) -> tuple[str, ...]:
    """The others alone: how consistent the candidate is."""
    return (*_answers(comparison), *_accuracy(comparison))


def _attack(comparison: Comparison, target: str | None) -> Iterator[str]:
    if comparison.asr is None:
        reason = comparison.undefined.get("asr", "")
        if reason.startswith("no trigger"):
            yield "No trigger is known, so there is no ASR: --trigger and --target measure one."
        elif comparison.task and reason:
            yield f"There is no ASR: {reason}."
        return
    wanted = "the label that the attacker wants" if target is None else f"the target '{target}'"
    hits = round(comparison.asr * comparison.asr_count)
    sentence = (
        f"With the trigger, {hits:,} of {comparison.asr_count:,} attacked examples get {wanted}: ASR "
        f"{with_interval(comparison, 'asr', rate)}"
    )
    if comparison.asr_reference is not None:
        sentence += f"; the reference's own rate is {with_interval(comparison, 'asr_reference', rate)}"
    yield f"{sentence}."


def rate(value: float) -> str:
    """A rate with three decimals."""
    return f"{value:.3f}"


def with_interval(comparison: Comparison, name: str, write: Callable[[float], str] = significant) -> str:
    """A measurement with its interval, as in ``0.0301 [0.0203, 0.0416]``.

    Args:
        comparison: what was measured.
        name: of the measurement.
        write: writes a number.
    """
    bounds = comparison.intervals.get(name)
    value = write(getattr(comparison, name))
    return value if bounds is None else f"{value} [{write(bounds[0])}, {write(bounds[1])}]"
