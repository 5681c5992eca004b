"""The samples of two runs of a task, paired by the filter and by the document.

The unit is the document. Where a data set holds the same document under several numbers, its samples are not
independent: they are paired in the order of their numbers, and averaged. The same document under several filters, or
measured by several metrics, is never pooled: each filter and metric is a comparison of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.errors import AnchorlabError, some
from anchorlab.samples.rows import Sample, samples_of
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.counted import several

#: A score beyond this is no measurement, and sums of its square would not be numbers.
_LARGEST = 1e100

#: Where a sample stands: its document, and its number in its log.
_Key = tuple[str, str]


@dataclass
class Side:
    """One run's samples under one filter, without their texts.

    Attributes:
        keys: document and number of each.
        scores: metric to its values ``[N]``, NaN where a sample has none.
        answers: a hash of each answer; None where it is not known.
        prompts: a hash of each prompt; empty where it is not known.
        targets: a hash of each right answer; empty where it is not known.
    """

    keys: list[_Key] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    answers: list[bytes | None] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def add(self, sample: Sample, metrics: Collection[str] | None) -> None:
        """Takes one more sample, its scores by these metrics alone; None for all."""
        before = len(self.keys)
        self.keys.append((sample.document, sample.number))
        for name in sample.scores if metrics is None else [name for name in metrics if name in sample.scores]:
            self.scores.setdefault(name, [np.nan] * before)
        for name, values in self.scores.items():
            values.append(sample.scores.get(name, np.nan))
        self.answers.append(sample.answer)
        self.prompts.append(sample.prompt)
        self.targets.append(sample.target)


@dataclass(frozen=True)
class Pairs:
    """The samples of both runs under one filter, a pair a row.

    Attributes:
        task: their task.
        filter: their filter.
        numbers: the number of each in the reference's log ``[N]``.
        document: which document each is of, int64 ``[N]``, from 0 to D - 1.
        reference: metric to the reference's scores ``[N]``, NaN where neither run has one.
        candidate: the same of the candidate.
        changed: whether the answers differ ``[N]``; None if some answer is not known.
        other_prompts: pairs whose prompts differ.
        other_targets: pairs whose right answers differ.
    """

    task: str
    filter: str
    numbers: list[str]
    document: NDArray[np.int64]
    reference: dict[str, Floats]
    candidate: dict[str, Floats]
    changed: NDArray[np.bool_] | None
    other_prompts: int
    other_targets: int

    def by_document(self, values: Floats) -> Floats:
        """Means over the samples of each document ``[D]``; of documents without a value NaN."""
        known = np.isfinite(values)
        sums = np.bincount(self.document, np.where(known, values, 0.0))
        with np.errstate(invalid="ignore"):
            return sums / np.bincount(self.document, known)


@dataclass(frozen=True)
class Paired:
    """What two logs of a task hold.

    Attributes:
        filters: the paired samples of each filter.
        metrics: every metric that some sample has a number of, wanted or not.
        unscored: metrics whose values are no numbers.
        one_sided: metrics that one run alone has numbers of.
    """

    filters: list[Pairs]
    metrics: frozenset[str]
    unscored: frozenset[str]
    one_sided: frozenset[str]


def paired(task: str, reference: Path, candidate: Path, metrics: Collection[str] | None = None) -> Paired:
    """Reads and pairs the samples of a task's two logs; of their texts nothing is held.

    Args:
        task: its name.
        reference: the reference's log.
        candidate: the candidate's log.
        metrics: the metrics to read; None for all.

    Raises:
        AnchorlabError: if a file is damaged, a sample stands twice in a log, or in one log alone; the sentence counts
            them and names some.
    """
    sides, known, unscored = zip(*(_sides(file, metrics) for file in (reference, candidate)), strict=True)
    for file, each in zip((reference, candidate), sides, strict=True):
        _check_single(file, each)
    filters = [sorted(side) for side in sides]
    if filters[0] != filters[1]:
        names = [some([f"'{name}'" for name in each]) or "none" for each in filters]
        raise AnchorlabError(
            f"{reference} has the filters {names[0]}, and {candidate} {names[1]}: log both runs with the same filters"
        )
    pairs = [_pairs(task, name, sides[0][name], sides[1][name], (reference, candidate)) for name in filters[0]]
    scored = [{metric for side in each.values() for metric in side.scores} for each in sides]
    return Paired(pairs, known[0] | known[1], unscored[0] | unscored[1], frozenset(scored[0] ^ scored[1]))


def _sides(file: Path, metrics: Collection[str] | None) -> tuple[dict[str, Side], frozenset[str], frozenset[str]]:
    """Filter to its samples; all metrics that are numbers, and those that are none."""
    sides: dict[str, Side] = defaultdict(Side)
    known: set[str] = set()
    unscored: set[str] = set()
    for sample in samples_of(file):
        sides[sample.filter].add(sample, metrics)
        known.update(sample.scores)
        unscored |= sample.unscored
    if not sides:
        raise AnchorlabError(f"{file} is empty: give the log of a run, with a row a document")
    return dict(sides), frozenset(known), frozenset(unscored)


def _check_single(file: Path, sides: dict[str, Side]) -> None:
    """Refuses a number that stands twice under one filter."""
    for name, side in sides.items():
        double = [number for number, count in Counter(number for _, number in side.keys).items() if count > 1]
        if double:
            under = f" under the filter '{name}'" if name else ""
            raise AnchorlabError(
                f"{file} has {several(len(double), 'id')} more than once{under}, such as {some(double)}: one run has "
                "each id once for each filter; keep the lines of one run and one task"
            )


def _pairs(task: str, name: str, reference: Side, candidate: Side, files: tuple[Path, Path]) -> Pairs:
    for own, other in ((reference, candidate), (candidate, reference)):
        _take_documents(own, other)
    first, second = _by_document(reference), _by_document(candidate)
    _check_common(first, second, reference, candidate, files)
    rows = [
        (ours, theirs, document)
        for document, key in enumerate(first)
        for ours, theirs in zip(first[key], second[key], strict=True)
    ]
    left, right, documents = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    scores = _scores(reference, candidate, left, right, files)
    changes: list[bool | None] = [_differ(reference.answers[a], candidate.answers[b]) for a, b, _ in rows]
    return Pairs(
        task,
        name,
        numbers=[reference.keys[row][1] for row in left],
        document=documents,
        reference={metric: values for metric, (values, _) in scores.items()},
        candidate={metric: values for metric, (_, values) in scores.items()},
        changed=None if None in changes else np.array(changes, dtype=bool),
        other_prompts=sum(bool(_differ(reference.prompts[a], candidate.prompts[b])) for a, b, _ in rows),
        other_targets=sum(bool(_differ(reference.targets[a], candidate.targets[b])) for a, b, _ in rows),
    )


def _take_documents(own: Side, other: Side) -> None:
    """Gives a run whose log has no hashes of documents the other's by the ids, so that the ids pair them."""
    if any(document != number for document, number in own.keys):
        return
    documents = {number: document for document, number in other.keys}
    own.keys = [(documents.get(number, number), number) for _, number in own.keys]


def _by_document(side: Side) -> dict[str, list[int]]:
    """Document to its rows, in the order of their numbers."""
    rows: dict[str, list[int]] = defaultdict(list)
    order = sorted(range(len(side.keys)), key=lambda row: (len(side.keys[row][1]), side.keys[row][1]))
    for row in order:
        rows[side.keys[row][0]].append(row)
    return dict(rows)


def _check_common(
    first: dict[str, list[int]],
    second: dict[str, list[int]],
    reference: Side,
    candidate: Side,
    files: tuple[Path, Path],
) -> None:
    """Refuses documents that one run has, or has more often."""
    alone = [
        [side.keys[rows[-1]][1] for key, rows in own.items() if len(rows) > len(other.get(key, ()))]
        for side, own, other in ((reference, first, second), (candidate, second, first))
    ]
    if not any(alone):
        return
    found = " and ".join(
        f"{several(len(numbers), 'document')} in {file} alone, such as id {some(numbers)}"
        for file, numbers in zip(files, alone, strict=True)
        if numbers
    )
    same = " although their ids are the same, so that their contents differ" if alone[0] == alone[1] else ""
    raise AnchorlabError(
        f"there are {found}{same}: give two runs over the same documents, with the same --limit and version of the data"
    )


def _scores(
    reference: Side, candidate: Side, left: NDArray[np.int64], right: NDArray[np.int64], files: tuple[Path, Path]
) -> dict[str, tuple[Floats, Floats]]:
    """Metric to both runs' values; a document that one run has no number of is refused."""
    scores = {}
    for metric in [name for name in reference.scores if name in candidate.scores]:
        ours = np.array(reference.scores[metric], dtype=np.float64)[left]
        theirs = np.array(candidate.scores[metric], dtype=np.float64)[right]
        for file, side, rows, values in zip(files, (reference, candidate), (left, right), (ours, theirs), strict=True):
            _check_size(file, metric, side, rows, values)
        for file, missing in zip(
            files, (np.isnan(ours) & ~np.isnan(theirs), np.isnan(theirs) & ~np.isnan(ours)), strict=True
        ):
            if missing.any():
                numbers = [reference.keys[row][1] for row in left[missing]]
                raise AnchorlabError(
                    f"{file} has no finite {metric} of {several(len(numbers), 'document')} that the other run has one "
                    f"of, such as id {some(numbers)}: score both runs on the same documents, or name other metrics "
                    "with --metric"
                )
        scores[metric] = (ours, theirs)
    return scores


def _check_size(file: Path, metric: str, side: Side, rows: NDArray[np.int64], values: Floats) -> None:
    """Refuses scores that are too large to take means and spreads of."""
    large = np.flatnonzero(np.abs(values) > _LARGEST)
    if len(large):
        raise AnchorlabError(
            f"{file} has {values[large[0]]:g} as {metric} of id {side.keys[rows[large[0]]][1]}, and means are taken "
            f"of scores up to {_LARGEST:g}: correct it, or name other metrics with --metric"
        )


def _differ(first: Any, second: Any) -> bool | None:
    """Whether two hashes differ; None if one is not known."""
    return None if not first or not second else bool(first != second)
