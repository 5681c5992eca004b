"""What the intervals of a table mean, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from anchorlab.metrics import Metric
from anchorlab.reports.suite.sentences import listed
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.numbers import span
from anchorlab.statistics.references import COVERAGE_OF_SKEWED, ENOUGH_REFERENCES

#: Said of means over one or two references.
TOO_FEW = "One or two references say nothing of others, so there is no interval"


def intervals_in_words(
    entries: Sequence[tuple[int, Mapping[str, Estimate]]], measures: Sequence[Metric]
) -> Iterator[str]:
    """How means were made, what their intervals are of, and which hold for other test instances too.

    Args:
        entries: the number of references of each row, and its means by measurement.
        measures: the columns.
    """
    if not entries:
        return
    every = [(metric, means.get(metric.name)) for _, means in entries for metric in measures]
    shown = [(metric, mean) for metric, mean in every if mean is not None and mean.value is not None]
    geometric = _titles(metric for metric, mean in shown if mean.averaging == "geometric")
    plain = _titles(metric for metric, mean in shown if metric.averaging == "geometric" and mean.averaging == "plain")
    if geometric:
        yield f"Means of {listed(geometric)} are geometric."
    if plain and max(count for count, _ in entries) > 1:
        yield f"Where a run has a value of exactly 0, the mean of {listed(plain)} is plain."
    counts = [count for count, _ in entries]
    if min(counts) < ENOUGH_REFERENCES:
        fewest = several(min(counts), "reference")
        values = "; the values of both stand behind the mean" if 2 in counts else ""
        yield f"{TOO_FEW} with {fewest}{values}."
    if max(counts) < ENOUGH_REFERENCES:
        return
    yield (
        f"Intervals are Student's t over {span(max(min(counts), ENOUGH_REFERENCES), max(counts))} references, for this "
        "test set."
    )
    counted = _titles(metric for metric, mean in shown if mean.over_instances)
    if counted:
        yield (
            f"In {listed(counted)} the test instances carry over a fifth of the variance of some mean; its interval "
            "then has the variance over references and instances, and holds for other test instances too."
        )
    skewed = _titles(metric for metric, mean in shown if mean.is_skewed)
    if skewed:
        low, high = (f"{end:.2f}"[1:] for end in COVERAGE_OF_SKEWED)
        yield (
            f"In {listed(skewed)} references differ so much that the interval of some mean is too narrow: such "
            f"intervals held the mean in {low} to {high} of simulations, not in .95."
        )
    bare = _titles(metric for metric, _ in shown if not (metric.has_interval or metric.is_count))
    if bare:
        yield f"{listed(bare)} has no interval, because its estimate is biased upwards."


def of_references(fewest: int, most: int) -> str:
    """What the intervals of rates, differences or AUROCs are of, a sentence."""
    if most < ENOUGH_REFERENCES:
        return f"{TOO_FEW} with {several(most, 'reference')}."
    few = f" {TOO_FEW}." if fewest < ENOUGH_REFERENCES else ""
    over = span(max(fewest, ENOUGH_REFERENCES), most)
    return f"Intervals are Student's t over {over} references, for this test set.{few}"


def _titles(metrics: Iterator[Metric]) -> list[str]:
    """Titles, each once."""
    return list(dict.fromkeys(metric.title for metric in metrics))
