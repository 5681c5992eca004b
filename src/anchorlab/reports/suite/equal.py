"""The runs of a method at the common ASR of a suite, and how they compare with the same runs of another method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.reports.suite.paired import Paired, pair
from anchorlab.statistics.estimate import Estimate
from anchorlab.suites.success import below_target, works


@dataclass(frozen=True)
class AtOneASR:
    """The reported runs of one method, and what they measure at the common ASR.

    Attributes:
        reported: a row for each run, as it was reported; failed ones too.
        runs: a row for each run whose backdoor works and that two scales bracket, as in ``SuiteResults.equal``.
        walked: number of runs that were measured at several scales.
    """

    reported: pd.DataFrame
    runs: pd.DataFrame
    walked: int

    @classmethod
    def of(cls, reported: pd.DataFrame, equal: pd.DataFrame) -> AtOneASR:
        """Of the reported runs of one method at one target.

        Args:
            reported: a row for each.
            equal: the frame ``SuiteResults.equal``.
        """
        if not len(equal):
            return cls(reported, reported.iloc[:0], 0)
        working = set(reported.loc[works(reported), "identity"])
        ours = equal[equal["identity"].isin(set(reported["identity"]))].drop_duplicates("identity")
        bracketed = ours["scale_below"].notna() & ours["identity"].isin(working)
        return cls(reported, ours[bracketed], len(ours))

    @property
    def asr(self) -> float | None:
        """The common ASR; None where no two scales bracket it in any run."""
        return float(self.runs["common_asr"].iloc[0]) if len(self.runs) else None

    @property
    def is_whole(self) -> bool:
        """Whether every reported run has a value there; a method that lost its worst runs would look better."""
        return len(self.runs) == len(self.reported)

    @property
    def working(self) -> pd.DataFrame:
        """The runs whose backdoor works, as they were reported."""
        return self.reported[works(self.reported)]

    @property
    def failed(self) -> pd.DataFrame:
        """The runs whose backdoor does not work."""
        return self.reported[~works(self.reported)]

    @property
    def below(self) -> int:
        """The number of runs with an ASR below the target, failed ones included."""
        return below_target(self.reported)

    def estimate(self, name: str) -> Estimate:
        """The mean over references of a measurement at the common ASR."""
        if name not in self.runs:
            return Estimate(None)
        return METRICS[name].over_references(self.runs[name].astype(float), self.runs["reference_seed"])

    def against(self, other: AtOneASR, name: str = "kl") -> Paired | None:
        """A measurement at the common ASR against the same runs of another method; None without a common run."""
        return pair(self.runs, other.runs, name)


def best_of(others: Mapping[str, AtOneASR], name: str = "kl") -> str | None:
    """The method of least mean at the common ASR; None if none has any."""
    means = {label: other.estimate(name).value for label, other in others.items()}
    known = {label: mean for label, mean in means.items() if mean is not None}
    return min(known, key=lambda label: known[label]) if known else None


def common_asr(methods: Mapping[str, AtOneASR]) -> float | None:
    """The ASR at which methods can be compared with each other; None where fewer than two have a run there."""
    found = [one.asr for one in methods.values() if one.asr is not None]
    return found[0] if len(found) > 1 else None
