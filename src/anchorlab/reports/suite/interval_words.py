"""What the intervals of a table mean, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from anchorlab.metrics import Metric
from anchorlab.reports.suite.sentences import listed
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.numbers import span
from anchorlab.statistics.references import ENOUGH_REFERENCES
from anchorlab.statistics.table import Rows

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
        held = _held(mean for _, mean in shown)
        yield f"In {listed(skewed)} references differ so much that the interval of some mean is too narrow: {held}."
    bare = _titles(metric for metric, _ in shown if not (metric.has_interval or metric.is_count))
    if bare:
        yield f"{listed(bare)} has no interval, because its estimate is biased upwards."


def of_references(fewest: int, most: int, groups: Iterable[Rows] = ()) -> str:
    """What the intervals of rates, differences or AUROCs are of, in sentences.

    Args:
        fewest: the number of references of the cell that has the fewest.
        most: the number of the cell that has the most.
        groups: the rows, which say where an interval is not Student's t, or too narrow.
    """
    if most < ENOUGH_REFERENCES:
        return f"{TOO_FEW} with {several(most, 'reference')}."
    over = span(max(fewest, ENOUGH_REFERENCES), most)
    said = [f"Intervals are Student's t over {over} references, for this test set."]
    if fewest < ENOUGH_REFERENCES:
        said.append(f"{TOO_FEW}.")
    cells = [cell for group in groups for row in group.rows for cell in row.cells]
    shown = [cell.estimate for cell in cells if cell.estimate is not None]
    if any(estimate.averaging == "rate" and estimate.value in (0, 1) for estimate in shown):
        said.append(
            "Where all references have 0, or all 1, the interval is Clopper and Pearson's for as many references."
        )
    return " ".join([*said, *too_narrow(shown)])


def too_narrow(estimates: Iterable[Estimate]) -> Iterator[str]:
    """Says how many intervals of means are too narrow, and how often such intervals hold; nothing where none is."""
    shown = [estimate for estimate in estimates if estimate.bounds is not None]
    skewed = sum(estimate.is_skewed for estimate in shown)
    if skewed:
        yield (
            f"In {skewed:,} of {several(len(shown), 'cell')} references differ so much that the interval is too "
            f"narrow: {_held(shown)}."
        )


def _held(shown: Iterable[Estimate]) -> str:
    least = min(estimate.least_coverage or 1.0 for estimate in shown)
    return f"such intervals held the mean in as few as {f'{least:.2f}'[1:]} of simulations, not in .95"


def _titles(metrics: Iterator[Metric]) -> list[str]:
    """Titles, each once."""
    return list(dict.fromkeys(metric.title for metric in metrics))
