"""A suite's results condition by condition: means with intervals, paired differences, the instances that changed most.

A *setting* is a task with its model, trigger and label rule; a *condition* is a setting at a target attack success
rate; within it stand groups, one for each number of anchors, because only what was made from the same data is compared.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from anchorlab.consistency.bootstrap import Bootstrap, Resampled
from anchorlab.consistency.statistics import Difference, differences_of, estimates_of
from anchorlab.errors import AnchorlabError
from anchorlab.reports.measures import COMPARED
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.tests import holm
from anchorlab.suites.results import SuiteResults

#: Methods that every other one is compared with, where they were run.
BASELINES = ("plain", "anchoring")

#: Methods whose most changed instances are shown, and how many of them.
CHANGED_BY = ("anchoring", "plain")
CHANGED = 8

#: What they are found by.
_ANSWERS = ("label", "prediction_reference", "prediction", "kl")

_SETTING = ("task", "model", "trigger", "rule", "target")

#: Columns that an empty frame may lack.
_NEEDED = ("method", "role", "target_asr", "anchors", "anchors_asked", "seed", "reference_seed", "identity")
_CHOSEN = ("method", "target_asr", "anchors_asked", "reached", "best_asr")


@dataclass(frozen=True)
class Setting:
    """A task with its model, trigger and label rule."""

    task: str
    model: str
    trigger: str
    rule: str
    target: int | str | None

    @property
    def words(self) -> str:
        """For headings."""
        target = "" if self.target is None else f", target {self.target}"
        return f"{self.task}, {self.trigger}, {self.rule}{target}"

    @property
    def slug(self) -> str:
        """For file names and anchors of links."""
        target = "" if self.target is None else f"-{self.target}"
        return slug(f"{self.task}-{self.model}-{self.trigger}-{self.rule}{target}")


@dataclass(frozen=True)
class Entry:
    """The runs of one method, or control, in one group.

    Attributes:
        label: how tables call the method.
        role: ``method``, ``control`` or ``noise``.
        runs: a row a run; empty if the method could not reach the target.
        estimates: mean over runs and 95% interval, by measurement.
        best_asr: the highest success rate that was found on ``selection``, for a method that is not reached.
    """

    label: str
    role: str
    runs: pd.DataFrame
    estimates: dict[str, Estimate]
    best_asr: float | None = None

    def values(self, name: str) -> list[float]:
        """The runs' values in a column; none if there is no such column."""
        return [float(value) for value in self.runs[name].astype(float)] if name in self.runs else []

    def estimate(self, name: str) -> Estimate:
        """The estimate of a measurement, without a value where it is undefined."""
        return self.estimates.get(name, Estimate(None, None, None))


@dataclass(frozen=True)
class ChangedInstance:
    """A clean instance, and what a method made of it.

    Attributes:
        row: its number in the test split.
        label: its true label.
        reference: what the references predict, most of them if they differ.
        candidate: what the candidates predict, most of them if they differ.
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
    """What was made with the same number of anchors.

    Attributes:
        asked: the number of anchors as the suite asked for it: ``64`` or ``all``.
        anchors: the number itself; None if nothing was run.
        entries: methods in the order of the suite, then controls.
        differences: baseline to label to differences from that baseline, Holm-adjusted over the baseline's.
        changed: method to the instances that it changed most, most changed first.
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
        return f"{self.setting.slug}-asr{slug(f'{100 * self.target_asr:g}')}"

    @property
    def entries(self) -> list[Entry]:
        """Those of all groups, then the noise floor."""
        return [entry for group in self.groups for entry in group.entries] + self.noise

    @property
    def labels(self) -> list[str]:
        """Methods and controls, each once."""
        return list(dict.fromkeys(entry.label for group in self.groups for entry in group.entries))


def slug(text: str) -> str:
    """A text as part of a file name: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def summarise(results: SuiteResults, *, resamples: int = 2000, seed: int = 0) -> list[Condition]:
    """Every condition of a suite, in the order in which they first appear.

    The per-instance table of each run is read and resampled once; what is needed of those of one setting and
    number of anchors is held in memory together.

    Args:
        results: of the suite.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        AnchorlabError: if there is nothing to show yet.
    """
    if results.results.empty and results.choices.empty:
        raise AnchorlabError("there are no results to show: run the suite first, with 'anchorlab suite run'")
    runs = results.results.reindex(columns=[*dict.fromkeys([*results.results.columns, *_NEEDED])])
    choices = results.choices.reindex(columns=[*dict.fromkeys([*results.choices.columns, *_CHOSEN])])
    bootstrap = Bootstrap(resamples=resamples, seed=seed)
    conditions: list[Condition] = []
    for setting in _settings(runs, choices):
        here, chosen = at_setting(runs, setting), at_setting(choices, setting)
        reported = here[here["role"] != "noise"]
        noise = [
            Entry(str(label), "noise", rows, _Reader(results, bootstrap).estimates(rows))
            for label, rows in here[here["role"] == "noise"].groupby("method", sort=False)
        ]
        targets = pd.concat([chosen["target_asr"], reported["target_asr"]]).dropna().unique()
        groups: dict[float, list[Group]] = {float(target): [] for target in sorted(targets)}
        for asked in dict.fromkeys([*reported["anchors_asked"].astype(str), *chosen["anchors_asked"].astype(str)]):
            reader = _Reader(results, bootstrap)  # a new one for each size, so that memory is given back
            at_size = reported[reported["anchors_asked"].astype(str) == asked]
            for target, found in groups.items():
                served = at_size[(at_size["target_asr"] == target) | at_size["target_asr"].isna()]
                chosen_here = chosen[(chosen["anchors_asked"].astype(str) == asked) & (chosen["target_asr"] == target)]
                if len(served) or len(chosen_here):
                    found.append(_group(asked, served, chosen_here, reader))
        conditions += [Condition(setting, target, found, noise) for target, found in groups.items() if found]
    return conditions


class _Reader:
    """Reads and resamples each run once, for it stands in several comparisons and at several targets."""

    def __init__(self, results: SuiteResults, bootstrap: Bootstrap) -> None:
        self.results, self.bootstrap = results, bootstrap
        self._known: dict[str, tuple[Resampled, pd.DataFrame]] = {}

    def estimates(self, runs: pd.DataFrame) -> dict[str, Estimate]:
        return estimates_of(self._resampled(runs))

    def differences(self, runs: pd.DataFrame, baseline: pd.DataFrame) -> list[Difference]:
        """Of the runs that have a partner with the same reference and seed; none if there is no such pair."""
        ours, theirs = (rows.set_index(["reference_seed", "seed"]) for rows in (runs, baseline))
        pairs = ours.index.intersection(theirs.index, sort=False)
        if len(pairs) == 0:
            return []
        a, b = self._resampled(ours.loc[pairs]), self._resampled(theirs.loc[pairs])
        return differences_of(a, b, metrics=COMPARED)

    def answers(self, runs: pd.DataFrame) -> list[pd.DataFrame]:
        """The columns ``_ANSWERS`` of each run's per-instance table."""
        return [answers for _, answers in self._read(runs)]

    def _resampled(self, runs: pd.DataFrame) -> list[Resampled]:
        return [resampled for resampled, _ in self._read(runs)]

    def _read(self, runs: pd.DataFrame) -> Iterator[tuple[Resampled, pd.DataFrame]]:
        for identity in runs["identity"]:
            if identity not in self._known:
                frame = self.results.instances(identity)
                # A copy, for a view would keep the whole table in memory.
                self._known[identity] = self.bootstrap.resample(frame), frame[list(_ANSWERS)].copy()
            yield self._known[identity]


def _group(asked: str, runs: pd.DataFrame, choices: pd.DataFrame, reader: _Reader) -> Group:
    """The entries of one number of anchors at one target, their differences, and the instances changed most."""
    by_label = {str(label): rows for label, rows in runs.groupby("method", sort=False)}
    missed = choices[~choices["reached"].astype(bool)].set_index("method")["best_asr"].astype(float).to_dict()
    order = [*choices["method"].astype(str), *(label for label in by_label if label not in set(choices["method"]))]
    entries = []
    for label in dict.fromkeys(order):
        rows = by_label.get(label, runs.iloc[:0])
        if len(rows):
            entries.append(Entry(label, str(rows["role"].iloc[0]), rows, reader.estimates(rows)))
        elif label in missed:
            entries.append(Entry(label, "method", rows, {}, missed[label]))
    entries.sort(key=lambda entry: entry.role != "method")
    reached = {entry.label: entry for entry in entries if len(entry.runs)}
    anchors = int(runs["anchors"].max()) if len(runs) else None
    return Group(
        asked,
        anchors,
        entries,
        {name: _from_baseline(reached, name, reader) for name in BASELINES if name in reached},
        {name: _changed(reader.answers(reached[name].runs)) for name in CHANGED_BY if name in reached},
    )


def _from_baseline(entries: dict[str, Entry], baseline: str, reader: _Reader) -> dict[str, list[Difference]]:
    """Differences of every other entry from a baseline, Holm-adjusted over all of the methods together.

    Controls are compared too, but are no hypotheses: they are adjusted among themselves.
    """
    found = {
        label: reader.differences(entry.runs, entries[baseline].runs)
        for label, entry in entries.items()
        if label != baseline
    }
    for methods in (True, False):
        family = [label for label in found if (entries[label].role == "method") is methods]
        adjusted = iter(holm([one.p for label in family for one in found[label]]))
        for label in family:
            found[label] = [dataclasses.replace(one, p_holm=next(adjusted)) for one in found[label]]
    return {label: ones for label, ones in found.items() if ones}


def _changed(frames: Sequence[pd.DataFrame]) -> list[ChangedInstance]:
    """The instances of largest mean divergence over the runs."""
    kl = np.mean([frame["kl"].to_numpy(dtype=np.float64) for frame in frames], axis=0)
    first = frames[0]
    found = []
    for row in np.argsort(-kl, kind="stable")[:CHANGED]:
        reference, _ = _most([int(frame["prediction_reference"].iloc[row]) for frame in frames])
        candidate, agreeing = _most([int(frame["prediction"].iloc[row]) for frame in frames])
        label = int(first["label"].iloc[row])
        found.append(ChangedInstance(int(row), label, reference, candidate, agreeing, len(frames), float(kl[row])))
    return found


def _most(values: list[int]) -> tuple[int, int]:
    """The most frequent value, the first of several, and how often it is there."""
    winner = max(dict.fromkeys(values), key=values.count)
    return winner, values.count(winner)


def reasons(entries: Sequence[Entry], names: Sequence[str]) -> dict[str, str]:
    """Why measurements are undefined somewhere, by name; the first reason found."""
    found: dict[str, str] = {}
    for entry in entries:
        if "undefined" in entry.runs:
            for text in entry.runs["undefined"].dropna().unique():
                known: dict[str, Any] = json.loads(str(text) or "{}")
                for name in names:
                    if name in known:
                        found.setdefault(name, str(known[name]))
    return found


def at_setting(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """The rows of a setting."""
    return frame[np.array([_same(setting, other) for other in _settings_of(frame)], dtype=bool)]


def _settings_of(frame: pd.DataFrame) -> list[Setting]:
    """The setting of each row."""
    columns = [frame[name] if name in frame else [None] * len(frame) for name in _SETTING]
    return [_setting(*values) for values in zip(*columns, strict=True)]


def _setting(task: Any, model: Any, trigger: Any, rule: Any, target: Any) -> Setting:
    task, model, trigger, rule = ("" if pd.isna(value) else str(value) for value in (task, model, trigger, rule))
    # A column of numbers that lacks some holds floats.
    label = None if pd.isna(target) else str(target) if isinstance(target, str) else int(target)
    return Setting(task, model, trigger, rule, label)


def _settings(runs: pd.DataFrame, choices: pd.DataFrame) -> list[Setting]:
    """Every setting that has a trigger, each once; what the runs say of the model counts."""
    found: list[Setting] = []
    for setting in (*_settings_of(runs), *_settings_of(choices)):
        if setting.trigger and not any(_same(other, setting) for other in found):
            found.append(setting)
    return found


def _same(setting: Setting, other: Setting) -> bool:
    """Whether the other is of this setting; choices name no model, and a noise floor may name no trigger."""
    return all(
        getattr(other, name) in ("", None) or getattr(setting, name) == getattr(other, name) for name in _SETTING
    )
