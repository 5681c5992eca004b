"""The table of a paper at one common ASR: each measurement as it is there, and how many runs have a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from anchorlab.metrics import Metric
from anchorlab.reports.paper.numbers import text_width
from anchorlab.reports.paper.request import Request
from anchorlab.reports.paper.table import GAP, PaperTable
from anchorlab.reports.suite.equal import AtOneASR
from anchorlab.reports.suite.summary import Condition, Entry
from anchorlab.suites.equal import is_compared
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.spec import STOPPED


@dataclass(frozen=True)
class EqualTable(PaperTable):
    """A table of one condition at the common ASR; its entries hold the runs that have a value there.

    Attributes:
        asr: the common ASR.
        at_one: the runs by number of anchors and method.
    """

    asr: float
    at_one: Mapping[tuple[str, str], AtOneASR]

    @classmethod
    def at_common_asr(
        cls, condition: Condition, results: SuiteResults, request: Request, label: str
    ) -> EqualTable | None:
        """The table of what a paper wants of a condition; None where no run has a value at the common ASR."""
        columns = [metric for metric in request.columns if is_compared(metric)]
        at_one, groups = {}, []
        for group in condition.groups:
            entries = []
            for entry in filter(_has_backdoor, group.entries):
                if request.shows(entry.label):
                    at_one[group.asked, entry.label] = one = AtOneASR.of(entry.reported, results.equal)
                    entries.append(_at_one_asr(entry, one, columns))
            groups += [(group, entries)] if entries else []
        asr = next((one.asr for one in at_one.values() if one.asr is not None), None)
        return None if asr is None or not columns else cls(condition, groups, columns, label, asr, at_one)

    @property
    def success(self) -> float:
        """The common ASR."""
        return self.asr

    def competing(self, asked: str, entries: Sequence[Entry]) -> list[Entry]:
        """Methods of which every run has a value: the others may have lost just their worst runs."""
        return [entry for entry in entries if len(entry.runs) == len(self.at_one[asked, entry.label].reported)]

    def missing(self, asked: str, entry: Entry) -> str:
        """Why a method has no value at the common ASR."""
        one = self.at_one[asked, entry.label]
        if len(one.working) and not one.walked:
            return "measured at one scale only"
        return f"no run brackets ASR {self.asr:g}" if len(one.working) else super().missing(asked, entry)

    def stub(self, asked: str, entry: Entry) -> list[str]:
        """How many runs have a value, of all."""
        one = self.at_one[asked, entry.label]
        return [f"{len(one.runs)} of {len(one.reported)}" if len(one.reported) else "--"]

    @property
    def stub_heads(self) -> list[str]:
        """The heading of the column of runs."""
        return ["runs"]

    @property
    def width_of_stub(self) -> float:
        """The width of the column of runs, in points."""
        cells = [self.stub(group.asked, entry)[0] for group, entries in self.groups for entry in entries]
        return max(map(text_width, [*cells, *self.stub_heads])) + GAP

    def first_sentence(self, which: str) -> str:
        """What the table shows."""
        target = f"of the runs at a target ASR of {self.condition.target_asr:g}"
        return f"Consistency at one common ASR of {self.asr:g} {target}, {self.where()}{which}."

    def further_sentences(self) -> Iterator[str]:
        """How values are read off, and which runs are in no mean."""
        yield (
            "Each value is read off between the two neighbouring scales of a run's perturbation that bracket this ASR; "
            "nothing is extrapolated. Runs: how many have a value, of all."
        )
        yield from super().further_sentences()

    @property
    def rule_of_bold(self) -> str:
        """Who competes."""
        return f"{super().rule_of_bold} Methods of which a run has no value here do not compete either."


def _has_backdoor(entry: Entry) -> bool:
    """Whether an entry belongs into a table at a common ASR, also where it did not reach the target."""
    return entry.role == "method" or (entry.label == STOPPED and len(entry.reported) > 0)


def _at_one_asr(entry: Entry, one: AtOneASR, columns: Sequence[Metric]) -> Entry:
    """The runs that have a value, with their measurements at the common ASR in place of their own."""
    runs = one.reported[one.reported["identity"].isin(set(one.runs["identity"]))] if len(one.runs) else entry.runs[:0]
    names = [metric.name for metric in columns if metric.name in one.runs]
    found = one.runs.set_index("identity")
    values = {name: runs["identity"].map(found[name]) for name in names} if len(runs) else {}
    values |= {"asr": pd.Series(one.asr, index=runs.index, dtype=float)}
    return replace(entry, runs=runs.assign(**values), estimates={name: one.estimate(name) for name in names})
