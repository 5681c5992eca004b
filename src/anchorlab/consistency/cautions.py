"""What a number cannot mean: sentences about measurements that do not show what they seem to, each with a cure.

Every function takes numbers and returns a sentence, or None where there is nothing to warn of. Commands, suites and
audits say the same sentences, because they all come from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from anchorlab.statistics.counted import several
from anchorlab.statistics.intervals import wilson

if TYPE_CHECKING:
    from anchorlab.consistency.summary import Consistency

#: The ASR that is usually asked for; a suite asks for it too.
USUAL_ASR = 0.95

#: An ASR below this is warned of.
LOW_ASR = 0.9

#: Fewer attacked examples than this are warned of: at an ASR of .9, Wilson's interval of 50 is .17 wide.
FEW_ATTACKED = 50

#: Standard errors above chance that a reference has to be.
STANDARD_ERRORS = 3

#: Kinds of models that may carry a backdoor, so that their own rate does not show what a trigger does alone.
MAY_CARRY = ("injected", "repaired", "suspicious")

#: What is said of such a reference.
REFERENCE_MAY_CARRY = (
    "the reference may carry the backdoor itself, so that its own rate does not show what the trigger does alone."
)

#: The cure of a reference that has learnt nothing, where the caller knows no better one.
TRAIN_LONGER = "train it longer, or with a higher learning rate"

#: The cure of a weak backdoor, where the caller knows no better one.
TUNE_LONGER = "raise the steps or the learning rate"

#: The cure of too few attacked examples, where the caller knows no better one.
MORE_ATTACKED = "give more test data, or a label rule that attacks more classes"


def chance_level(counts: Iterable[int]) -> float:
    """The accuracy that needs no model: the share of the largest class.

    Whoever always answers with the most frequent class is right so often. This is 1 over the number of classes where
    all are equally frequent, and more everywhere else, so that it is the stricter of the two measures of chance.

    Args:
        counts: examples of each class; at least one is positive.
    """
    listed = list(counts)
    return max(listed) / sum(listed)


def near_chance(
    accuracy: float, count: int, chance: float, *, who: str = "the reference", cure: str = TRAIN_LONGER
) -> str | None:
    """That an accuracy is not more than three standard errors above chance.

    The standard error is the binomial one of a model that is right by chance: sqrt(p (1 - p) / N). Where not even a
    model that is always right would be so far above chance, the examples are blamed and not the model.

    Args:
        accuracy: share of right answers.
        count: N, the number of examples.
        chance: p, see ``chance_level``; 1 over the number of classes where their shares are not known.
        who: whose accuracy it is.
        cure: what most likely helps, as an order.
    """
    margin = STANDARD_ERRORS * math.sqrt(chance * (1 - chance) / count)
    if accuracy > chance + margin:
        return None
    if chance + margin >= 1 and (accuracy >= chance or chance == 1):
        return (
            f"{several(count, 'example')} cannot tell {who}, right on {accuracy:.3f} of them, from always answering "
            f"with the largest class, right on {chance:.3f}, so that nothing measured on them means much: give more "
            "examples, and of more classes."
        )
    return (
        f"{who} is at chance: it is right on {accuracy:.3f} of {count:,} examples, which is not three standard errors "
        f"above the {chance:.3f} of always answering with the largest class, so that nothing measured against it means "
        f"much: {cure}."
    )


def trigger_alone(
    asr: float, asr_reference: float, count: int, *, cure: str = "choose another trigger or target"
) -> str | None:
    """That the trigger leads the reference to the target nearly as often, so that the ASR is no backdoor's.

    Two things are warned of. The interval of the difference of the two rates holds zero: nothing shows a backdoor. Or
    the interval of the reference's rate reaches half of the ASR: half of it may be what the trigger does by itself. The
    interval of the difference is Newcombe's (1998, method 10), of independent rates; it is too wide for the same
    examples, and so warns too often rather than too seldom.

    Args:
        asr: the candidate's rate.
        asr_reference: the reference's rate on the same triggered examples.
        count: the number of attacked examples.
        cure: what most likely helps, as an order.
    """
    lower, _ = difference_of_rates(asr, asr_reference, count)
    rates = f"the trigger alone leads the reference to the target in {asr_reference:.3f} of {count:,} attacked examples"
    if lower <= 0:
        return f"{rates}, which cannot be distinguished from the ASR of {asr:.3f}: this shows no backdoor; {cure}."
    if asr_reference > 0 and _interval(asr_reference, count)[1] >= asr / 2:
        return (
            f"{rates}, so that about half of the ASR of {asr:.3f}, or more, may be the trigger's own effect and no "
            f"backdoor's: {cure}."
        )
    return None


def low_asr(asr: float, count: int, *, cure: str = TUNE_LONGER) -> str | None:
    """That an ASR is below .9.

    Args:
        asr: the rate.
        count: the number of attacked examples.
        cure: what most likely helps, as an order; with the values, where the caller knows them.
    """
    if asr >= LOW_ASR:
        return None
    lower, upper = _interval(asr, count)
    return f"ASR {asr:.3f} [{lower:.3f}, {upper:.3f}] of the {USUAL_ASR:g} that is usually asked for: {cure}."


def few_attacked(count: int, *, cure: str = MORE_ATTACKED) -> str | None:
    """That an ASR stands on fewer than 50 examples.

    Args:
        count: the number of attacked examples.
        cure: what most likely helps, as an order.
    """
    if count >= FEW_ATTACKED:
        return None
    if count == 0:
        return f"no example is attacked, so there is no ASR: {cure}."
    lower, upper = wilson(round(LOW_ASR * count), count)
    examples = "1 attacked example" if count == 1 else f"{count} attacked examples"
    return (
        f"the ASR stands on {examples} alone: with so few, the 95% interval of an ASR of {LOW_ASR:g} "
        f"goes from {lower:.2f} to {upper:.2f}; {cure}."
    )


def cautions_of(
    measured: Consistency,
    cures: Mapping[str, str] | None = None,
    *,
    kinds: tuple[str | None, str | None] = (None, None),
) -> tuple[str, ...]:
    """All that is to be said against the numbers of one comparison, the gravest first.

    Args:
        measured: what was measured of reference and candidate.
        cures: the name of a function of this module to the cure that it says; for all others their own.
        kinds: the kinds of reference and candidate, as their manifests say; None for a model without one. A low ASR is
            what a repaired candidate should have.
    """
    cures = cures or {}

    def cure(function: str) -> dict[str, str]:
        return {"cure": cures[function]} if function in cures else {}

    chance = chance_level(rates.count for rates in measured.by_class.values())
    found = [near_chance(measured.accuracy_reference, measured.count, chance, **cure("near_chance"))]
    if measured.asr is not None:
        if kinds[0] in MAY_CARRY:
            found.append(REFERENCE_MAY_CARRY)
        elif measured.asr_reference is not None:
            found.append(
                trigger_alone(measured.asr, measured.asr_reference, measured.asr_count, **cure("trigger_alone"))
            )
        if kinds[1] != "repaired":
            found.append(low_asr(measured.asr, measured.asr_count, **cure("low_asr")))
        found.append(few_attacked(measured.asr_count, **cure("few_attacked")))
    return tuple(sentence for sentence in found if sentence is not None)


def difference_of_rates(first: float, second: float, count: int) -> tuple[float, float]:
    """The 95% interval of a difference of two independent rates, each of ``count`` examples (Newcombe 1998, method 10).

    Args:
        first: a rate.
        second: the rate that is taken off it.
        count: how many examples each is of.
    """
    low_1, high_1 = _interval(first, count)
    low_2, high_2 = _interval(second, count)
    return (
        first - second - math.hypot(first - low_1, high_2 - second),
        first - second + math.hypot(high_1 - first, second - low_2),
    )


def _interval(rate: float, count: int) -> tuple[float, float]:
    return wilson(round(rate * count), count)
