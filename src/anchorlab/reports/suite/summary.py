"""A suite's results condition by condition: means over references, paired differences, the instances changed most.

A *setting* is a task with its model, trigger and label rule; a *condition* is a setting at a target attack success
rate; it has a group for each number of anchors, because only runs on the same data are compared.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anchorlab.consistency.influences import Influences, influences
from anchorlab.consistency.kept import Kept
from anchorlab.consistency.runs import Difference, differences_of, estimates_of
from anchorlab.errors import AnchorlabError
from anchorlab.metrics.table import InstanceTable
from anchorlab.reports.measures import COMPARED
from anchorlab.reports.suite.settings import Setting, at_setting, settings_of, slug
from anchorlab.reports.suite.strengths import strength_name
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.tests import holm
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.success import works

#: Methods that every other one is compared with, where they were run.
BASELINES = ("plain", "anchoring")

#: Methods whose most changed instances are shown, and how many instances.
CHANGED_BY = ("anchoring", "plain")
CHANGED = 8

#: Columns of a per-instance table that find the changed instances and describe them.
_ANSWERS = ("label", "prediction_reference", "prediction", "kl")

#: Columns that a frame lacks while it is empty.
_RUN_COLUMNS = ("method", "role", "target_asr", "anchors", "anchors_asked", "seed", "reference_seed", "identity")
_CHOICE_COLUMNS = ("method", "target_asr", "anchors_asked", "reached", "best_asr")


@dataclass(frozen=True)
class Entry:
    """The runs of one method, or control, in one group.

    Attributes:
        label: the name of the method in tables.
        role: ``method``, ``control`` or ``noise``.
        runs: a row for each run whose backdoor works; empty if the method could not reach the target.
        estimates: mean over references and 95% interval, by measurement.
        best_asr: the highest success rate measured on ``selection``, for a method that does not reach the target; not a
            number if every run there failed.
        strength_name: what the column ``strength`` is: a strength, a count or a radius; empty for a method without one.
        failed: a row for each run whose backdoor does not work: it is no evidence of consistency, and in no mean.
    """

    label: str
    role: str
    runs: pd.DataFrame
    estimates: dict[str, Estimate]
    best_asr: float | None = None
    strength_name: str = ""
    failed: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def reported(self) -> pd.DataFrame:
        """Every run, failed ones too."""
        return pd.concat([self.runs, self.failed]) if len(self.failed) else self.runs

    @property
    def references(self) -> int:
        """The number of references that the runs are on."""
        return int(self.runs["reference_seed"].nunique()) if len(self.runs) else 0

    def values(self, name: str) -> list[float]:
        """The runs' values in a column; none if there is no such column."""
        return [float(value) for value in self.runs[name].astype(float)] if name in self.runs else []

    def estimate(self, name: str) -> Estimate:
        """The estimate of a measurement, without a value where it is undefined."""
        return self.estimates.get(name, Estimate(None, None, None))


@dataclass(frozen=True)
class ChangedInstance:
    """A clean instance whose output a method changed much.

    Attributes:
        row: its number in the test split.
        label: its true label.
        reference: what most references predict.
        candidate: what most candidates predict.
        agreeing: the number of runs that predict ``candidate``.
        runs: the number of runs.
        kl: mean divergence over runs, nats.
    """

    row: int
    label: int
    reference: int
    candidate: int
    agreeing: int
    runs: int
    kl: float


@dataclass(frozen=True)
class Group:
    """The runs that were made with the same number of anchors.

    Attributes:
        asked: the number of anchors as the suite file says it: ``64`` or ``all``.
        anchors: the number itself; None if nothing was run.
        entries: methods in the order of the suite, then controls.
        differences: baseline to label to differences from it; Holm's adjustment is per baseline.
        changed: method to the instances that it changed most, in descending order.
    """

    asked: str
    anchors: int | None
    entries: list[Entry]
    differences: dict[str, dict[str, list[Difference]]] = field(default_factory=dict)
    changed: dict[str, list[ChangedInstance]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For headings: ``64 anchors``, ``all 48,000 anchors``."""
        if self.anchors is None:
            return f"{self.asked} anchors"
        return f"{'all ' if self.asked == 'all' else ''}{self.anchors:,} anchors"

    def of(self, role: str) -> list[Entry]:
        """The entries of a role."""
        return [entry for entry in self.entries if entry.role == role]


@dataclass(frozen=True)
class Condition:
    """A setting at a target attack success rate."""

    setting: Setting
    target_asr: float
    groups: list[Group]
    noise: list[Entry]

    @property
    def words(self) -> str:
        """For headings."""
        return f"{self.setting.words}, target ASR {self.target_asr:g}"

    @property
    def slug(self) -> str:
        """For file names and anchors of links."""
        return f"{self.setting.slug}-asr{slug(f'{100 * self.target_asr:.12g}')}"

    @property
    def entries(self) -> list[Entry]:
        """The entries of all groups, then the noise floor."""
        return [entry for group in self.groups for entry in group.entries] + self.noise

    @property
    def labels(self) -> list[str]:
        """Methods and controls, each once."""
        return list(dict.fromkeys(entry.label for group in self.groups for entry in group.entries))


def summarise(results: SuiteResults) -> list[Condition]:
    """Every condition of a suite, in the order in which they first appear.

    Means and intervals come from the measurements of the runs. Per-instance tables are read once each, where three
    references or more have an interval or the instances changed most are shown.

    Args:
        results: of the suite.

    Raises:
        AnchorlabError: if there is nothing to show yet.
    """
    if results.results.empty and results.choices.empty and results.failed.empty:
        raise AnchorlabError("there are no results to show: run the suite first, with 'anchorlab suite run'")
    runs = _with_columns(results.results, _RUN_COLUMNS)
    choices = _with_columns(results.choices, _CHOICE_COLUMNS)
    conditions: list[Condition] = []
    for setting in settings_of(runs, choices):
        at_this = at_setting(runs, setting), at_setting(choices, setting)
        conditions += _conditions_of(setting, *at_this, lambda: _Reader(results))
    return conditions


def _with_columns(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return frame.reindex(columns=[*dict.fromkeys([*frame.columns, *names])])


def _conditions_of(
    setting: Setting, runs: pd.DataFrame, choices: pd.DataFrame, new_reader: Callable[[], _Reader]
) -> list[Condition]:
    """The conditions of one setting, by target attack success rate."""
    is_noise = runs["role"] == "noise"
    noise = [
        Entry(str(label), "noise", rows, new_reader().estimates(rows))
        for label, rows in runs[is_noise].groupby("method", sort=False)
    ]
    reported = runs[~is_noise]
    targets = pd.concat([choices["target_asr"], reported["target_asr"]]).dropna().unique()
    groups: dict[float, list[Group]] = {float(target): [] for target in sorted(targets)}
    run_sizes, choice_sizes = (frame["anchors_asked"].astype(str) for frame in (reported, choices))
    for asked in dict.fromkeys([*run_sizes, *choice_sizes]):
        reader = new_reader()  # a new one for each size, so that memory is given back
        for target, groups_of_target in groups.items():
            serves = (reported["target_asr"] == target) | reported["target_asr"].isna()
            group_runs = reported[(run_sizes == asked) & serves]
            group_choices = choices[(choice_sizes == asked) & (choices["target_asr"] == target)]
            if len(group_runs) or len(group_choices):
                groups_of_target.append(_group(asked, group_runs, group_choices, reader))
    return [
        Condition(setting, target, groups_of_target, noise)
        for target, groups_of_target in groups.items()
        if groups_of_target
    ]


class _Reader:
    """Reads the table of each run once, because a run stands in several comparisons and at several targets.

    It keeps what is compared and shown in a file: of thousands of runs it would need gigabytes.
    """

    def __init__(self, results: SuiteResults) -> None:
        self.results = results
        self._influences, self._answers = Kept(), Kept()
        runs = results.results
        self._shown = set(runs["identity"][runs["method"].isin(CHANGED_BY)]) if len(runs) else set()
        self._instances: dict[str, bytes] = {}
        self._estimates: dict[tuple[str, ...], dict[str, Estimate]] = {}
        self._differences: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Difference]] = {}

    def estimates(self, runs: pd.DataFrame) -> dict[str, Estimate]:
        identities = tuple(runs["identity"])
        if identities not in self._estimates:
            self._estimates[identities] = estimates_of(runs, self._read)
        return self._estimates[identities]

    def differences(self, runs: pd.DataFrame, baseline: pd.DataFrame) -> list[Difference]:
        """Of the runs that have a partner with the same reference and seed; none if there is no such pair."""
        keys = ["reference_seed", "seed"]
        ours, theirs = (rows.set_index(keys, drop=False) for rows in (runs, baseline))
        pairs = ours.index.intersection(theirs.index, sort=False)
        if len(pairs) == 0:
            return []
        ours, theirs = ours.loc[pairs], theirs.loc[pairs]
        sides = tuple(ours["identity"]), tuple(theirs["identity"])
        if sides not in self._differences:  # at several targets the same runs may stand
            self._differences[sides] = differences_of(ours, theirs, COMPARED, self._compared)
        return self._differences[sides]

    def answers_of_one_test(self, runs: pd.DataFrame) -> list[Mapping[str, NDArray[Any]]]:
        """The columns ``_ANSWERS`` of the table of each run; where references have other examples, of the first's runs.

        The page shows these examples.
        """
        examples = self.results.examples_measured
        differ = len({examples.get(identity, "") for identity in runs["identity"]}) > 1
        of_first = runs["reference_seed"] == self.results.suite.references[0]
        shown = (runs[of_first] if differ else runs)["identity"].tolist()
        for identity in shown:
            if identity not in self._answers:
                self._table(identity)
        return [self._answers.of(identity) for identity in shown]

    def _read(self, identity: str) -> Influences:
        """The influences on every measurement, of which those on what is compared are kept."""
        found = influences(self._table(identity), examples=self.results.examples_measured.get(identity, ""))
        compared = {name: found.by_metric[name] for name in COMPARED if name in found.by_metric}
        self._influences.put(identity, {name: each.astype(np.float32) for name, each in compared.items()})
        self._instances[identity] = found.instances
        return found

    def _compared(self, identity: str) -> Influences:
        if identity not in self._influences:
            self._read(identity)
        return Influences(self._instances[identity], self._influences.of(identity))

    def _table(self, identity: str) -> InstanceTable:
        table = self.results.instance_table(identity)
        if identity in self._shown and identity not in self._answers:
            self._answers.put(identity, {name: table.array(name) for name in _ANSWERS})
        return table


def _group(asked: str, runs: pd.DataFrame, choices: pd.DataFrame, reader: _Reader) -> Group:
    """The entries of one number of anchors at one target, their differences, and the instances changed most."""
    entries = sorted(_entries(runs, choices, reader), key=lambda entry: entry.role != "method")
    reached = {entry.label: entry for entry in entries if len(entry.runs)}
    anchors = int(runs["anchors"].max()) if len(runs) else None
    return Group(
        asked,
        anchors,
        entries,
        {name: _from_baseline(reached, name, reader) for name in BASELINES if name in reached},
        {name: changed for name in CHANGED_BY if name in reached and (changed := _of_group(reached[name], reader))},
    )


def _entries(runs: pd.DataFrame, choices: pd.DataFrame, reader: _Reader) -> Iterator[Entry]:
    """What was run, and the methods that did not reach the target: in the order of the choices, then of the runs."""
    by_label = {str(label): rows for label, rows in runs.groupby("method", sort=False)}
    missed = choices[~choices["reached"].astype(bool)].set_index("method")["best_asr"].astype(float).to_dict()
    for label in dict.fromkeys([*choices["method"].astype(str), *by_label]):
        if label in by_label:
            rows, works_in = by_label[label], works(by_label[label])
            working, failed = rows[works_in], rows[~works_in]
            name = strength_name(reader.results.suite, label)
            means = reader.estimates(working) if len(working) else {}
            yield Entry(label, str(rows["role"].iloc[0]), working, means, strength_name=name, failed=failed)
        else:
            yield Entry(label, "method", runs.iloc[:0], {}, missed.get(label))


def _from_baseline(entries: dict[str, Entry], baseline: str, reader: _Reader) -> dict[str, list[Difference]]:
    """Differences of every other entry from a baseline, Holm-adjusted over all methods together.

    Controls are compared too, but nothing is claimed of them: they are adjusted among themselves.
    """
    by_label = {
        label: reader.differences(entry.runs, entries[baseline].runs)
        for label, entry in entries.items()
        if label != baseline
    }
    for of_methods in (True, False):
        family = [label for label in by_label if (entries[label].role == "method") is of_methods]
        adjusted = iter(holm([difference.p for label in family for difference in by_label[label]]))
        for label in family:
            by_label[label] = [dataclasses.replace(difference, p_holm=next(adjusted)) for difference in by_label[label]]
    return {label: differences for label, differences in by_label.items() if differences}


def _of_group(entry: Entry, reader: _Reader) -> list[ChangedInstance]:
    return _most_changed(reader.answers_of_one_test(entry.runs))


def _most_changed(tables: Sequence[Mapping[str, NDArray[Any]]]) -> list[ChangedInstance]:
    """The instances of largest mean divergence over the runs; none without runs."""
    if not tables:
        return []
    kl = np.zeros(len(tables[0]["kl"]))
    for table in tables:
        kl += table["kl"]
    kl /= len(tables)
    rows = np.argsort(-kl, kind="stable")[:CHANGED]
    references, candidates = (
        np.stack([table[name][rows] for table in tables]).T for name in ("prediction_reference", "prediction")
    )
    changed = []
    for row, label, before, after in zip(rows, tables[0]["label"][rows], references, candidates, strict=True):
        reference, _ = _most_frequent(before.tolist())
        candidate, agreeing = _most_frequent(after.tolist())
        found = (int(row), int(label), int(reference), int(candidate), agreeing, len(tables), float(kl[row]))
        changed.append(ChangedInstance(*found))
    return changed


def _most_frequent(values: list[int]) -> tuple[int, int]:
    """The most frequent value, the first of several, and its count."""
    winner = max(dict.fromkeys(values), key=values.count)
    return winner, values.count(winner)


def reasons(entries: Sequence[Entry], names: Sequence[str]) -> dict[str, str]:
    """Why measurements are undefined somewhere, by name; the first reason if there are several."""
    by_name: dict[str, str] = {}
    for entry in entries:
        for text in entry.runs["undefined"].dropna().unique() if "undefined" in entry.runs else ():
            undefined: dict[str, Any] = json.loads(str(text) or "{}")
            for name in names:
                if name in undefined:
                    by_name.setdefault(name, str(undefined[name]))
    return by_name
