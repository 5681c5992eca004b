"""The score of a repair in sentences: what is left of the backdoor, what it cost, and what the numbers cannot mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from anchorlab.consistency.cautions import LOW_ASR, difference_of_rates, few_attacked
from anchorlab.consistency.words import rate, with_interval
from anchorlab.statistics.numbers import p_value
from anchorlab.statistics.tests import mcnemar

if TYPE_CHECKING:
    from anchorlab.consistency.compare import Comparison
    from anchorlab.scoring.repairs import RepairScore

#: Level of the test of two accuracies.
_LEVEL = 0.05


def words_of_repair(score: RepairScore, *, target: str | None = None) -> tuple[str, ...]:
    """What a repair did, the backdoor first.

    Args:
        score: what was measured.
        target: the name of the class that the attacker wants; None where it is not one class, or is not known.
    """
    return (*_backdoor(score, target), *_relearned(score), *_accuracy(score), *_further(score))


def _relearned(score: RepairScore) -> Iterator[str]:
    """How fast the backdoor comes back, beside the two controls."""
    if score.relearned is None:
        return
    for count, asr in score.relearned.repaired.items():
        clean, harmed = score.relearned.reference.get(count), score.relearned.harmed.get(count)
        beside = [] if clean is None else [f"the clean reference's to {clean:.3f}"]
        beside += [] if harmed is None else [f"that of the clean reference after the same repair to {harmed:.3f}"]
        examples = "1 triggered example" if count == 1 else f"{count} triggered examples"
        yield f"Tuned a little with {examples}, its ASR goes to {asr:.3f}" + "".join(f", {one}" for one in beside) + "."


def _backdoor(score: RepairScore, target: str | None) -> Iterator[str]:
    before, after = score.asr_before, score.repaired.asr
    if before is None or after is None:
        yield "No ASR is known, so nothing is said of a backdoor: --trigger and --target measure one."
        return
    wanted = "" if target is None else f" towards '{target}'"
    yield (
        f"The ASR{wanted} went from {before:.3f} to {with_interval(score.repaired, 'asr', rate)} of "
        f"{score.repaired.asr_count:,} attacked examples{_beside_reference(score, after)}."
    )


def _beside_reference(score: RepairScore, after: float) -> str:
    """What is left of the backdoor beside the clean reference's own rate; empty where no reference is known."""
    own = score.repaired.asr_reference
    if score.suspicious is None or own is None:
        return ""
    lower, _ = difference_of_rates(after, own, score.repaired.asr_count)
    if lower > 0:
        return f", above the clean reference's own {own:.3f}: a part of the backdoor is left"
    return f", not distinguishable from the clean reference's own {own:.3f}: no backdoor is left that the trigger shows"


def _accuracy(score: RepairScore) -> Iterator[str]:
    before, after = score.accuracy_before, score.repaired.accuracy
    change = "stayed at" if after == before else f"went from {before:.3f} to"
    yield f"The accuracy {change} {with_interval(score.repaired, 'accuracy', rate)}."
    if score.harmed is not None:
        p = mcnemar(*_flips(score.harmed))
        test = f"McNemar's exact test, p {p_value(p) if p < 0.0005 else f'= {p_value(p)}'}"
        lost = score.harmed.accuracy - score.harmed.accuracy_reference
        if p < _LEVEL:
            yield f"The same repair changes the accuracy of the clean reference by {lost:+.3f} ({test})."
        else:
            yield f"The same repair does not change the accuracy of the clean reference distinguishably ({test})."


def _flips(comparison: Comparison) -> tuple[int, int]:
    flips = comparison.negative_flips, comparison.positive_flips
    worse, better = (round(share * comparison.count) for share in flips)
    return worse, better


def _further(score: RepairScore) -> Iterator[str]:
    if score.effectiveness is not None:
        yield (
            f"Its effectiveness (DER) is {score.effectiveness:.3f} of 1: half of 1 + fall of the ASR - fall of the "
            "accuracy."
        )
    if score.robust_improvement is not None:
        yield (
            f"Its robust improvement (RIR) is {score.robust_improvement:.3f} of 1: half of 1 + rise of the accuracy on "
            f"triggered inputs (from {score.robust_accuracy_before:.3f} to {score.repaired.robust_accuracy:.3f}) - "
            "fall of the accuracy."
        )
    if score.note is not None:
        yield score.note


def memory_words(grown: int | None, peak: int) -> str:
    """How much memory a repair needed, as the end of a sentence that says how long it took.

    Args:
        grown: how far the memory rose during it, in bytes; None if that is not known.
        peak: the largest memory, of the GPU or of the process since its start.
    """
    most = f"{peak / 2**30:.2f} GiB at its peak"
    if grown is None:
        return f", and the memory was {most}"
    return f", the memory rose by {grown / 2**20:,.0f} MiB, and was {most}"


def cautions_of_repair(score: RepairScore, *, name: str, others: str = "another one") -> tuple[str, ...]:
    """What a repair did not reach, and what its numbers cannot mean, each with its likeliest cure.

    Args:
        score: what was measured.
        name: of the repair.
        others: what else could be tried.
    """
    before, after, count = score.asr_before, score.repaired.asr, score.repaired.asr_count
    if before is None or after is None:
        return ()
    found = []
    if before < LOW_ASR:
        found.append(
            f"the ASR was {before:.3f} before the repair, so that there was little to remove: try it on a model whose "
            "backdoor works."
        )
    elif after > before / 2:
        found.append(
            f"{name} left more than half of the backdoor: give it more clean examples by --defender-data, raise its "
            f"strength by --set, or try {others}."
        )
    few = few_attacked(count)
    return (*found, *([] if few is None else [few]))
