"""A metric is one record: what it is called, what it means, how each instance and then the whole table is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from numpy.typing import NDArray

from anchorlab.metrics.pair import Pair
from anchorlab.metrics.summaries import Calibration, Count, Mean, Summary
from anchorlab.metrics.table import InstanceTable
from anchorlab.statistics.arrays import Integers
from anchorlab.statistics.estimate import Averaging, Estimate
from anchorlab.statistics.numbers import fraction, significant
from anchorlab.statistics.references import contrast_over_references, mean_over_references
from anchorlab.statistics.two_way import InstanceVariance

#: Ends of a range that are no numbers.
_ENDS = {"∞": math.inf, "−∞": -math.inf, "√2": math.sqrt(2), "ln 2": math.log(2)}

#: Measures each instance: both models' logits and the labels int64 ``[N]``, to float64 ``[N]``.
Each = Callable[[Pair, Integers], NDArray[Any]]


@dataclass(frozen=True)
class Metric:
    """A measurement of a candidate against its reference.

    With ``each``, the per-instance table has a column of the metric's name. Without ``summary``, the metric is the
    mean of that column.

    Attributes:
        name: the field of ``Consistency``, the key in JSON, the column in CSV files.
        title: the heading of its column.
        definition: one or two sentences.
        each: measures each instance; None if the columns that are there already suffice.
        summary: makes one number of the per-instance table; None for the mean of the metric's own column.
        unit: what a value is counted in; empty for a share or another pure number.
        formula: of one instance, for the documentation.
        limits: the least and the greatest value in words, such as ``0 to 1``; intervals are cut to them.
        better: which way lies the consistent model; empty where neither is better.
        scale: ``log`` where values span powers of ten.
        compared_as: whether methods are compared by the difference or by the ratio of their values; means over
            references are geometric where it is the ratio.
        of_reference: whether it measures the reference alone.
        needs_attack: whether it is undefined where no instance is attacked.
        cites: the papers that it comes from: keys of ``anchorlab.reports.paper``'s references.bib, or BibTeX entries.
    """

    name: str
    title: str
    definition: str
    each: Each | None = None
    summary: Summary | None = None
    unit: str = ""
    formula: str = ""
    limits: str = ""
    better: Literal["lower", "higher", ""] = "lower"
    scale: Literal["linear", "log"] = "linear"
    compared_as: Literal["difference", "ratio"] = "difference"
    of_reference: bool = False
    needs_attack: bool = False
    cites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.each is None and self.summary is None:
            raise ValueError(f"the metric '{self.name}' measures nothing: give each, summary or both")

    @property
    def reduction(self) -> Summary:
        """The summary, with its default."""
        return self.summary or Mean(lambda table: table[self.name])

    @property
    def is_count(self) -> bool:
        """Whether it says what was measured, not how it came out."""
        return isinstance(self.summary, Count)

    @property
    def logarithmic(self) -> bool:
        """Whether values span powers of ten."""
        return self.scale == "log"

    @property
    def has_interval(self) -> bool:
        """Whether its mean has an interval; a count has none, and a calibration error, which is biased, neither."""
        return not isinstance(self.summary, Count | Calibration)

    @property
    def averaging(self) -> Averaging:
        """How it is averaged over references: geometrically where methods are compared by its ratio."""
        if self.compared_as == "ratio":
            return "geometric"
        return "rate" if self.range == (0, 1) else "plain"

    @property
    def range(self) -> tuple[float, float]:
        """``limits`` as numbers; all numbers where it says nothing that can be read."""
        low, _, high = self.limits.partition(" to ")
        try:
            least, most = (_ENDS[end] if end in _ENDS else float(end.replace("−", "-")) for end in (low, high))
        except ValueError:
            return -math.inf, math.inf
        return least, most

    def over_references(
        self,
        values: Iterable[float | None],
        references: Iterable[Hashable],
        instances: InstanceVariance | None = None,
    ) -> Estimate:
        """The mean over references of runs' values, see ``anchorlab.statistics.references``."""
        mean = mean_over_references(values, references, self.averaging, limits=self.range, instances=instances)
        return mean if self.has_interval else replace(mean, lower=None, upper=None)

    def contrast(
        self,
        ours: Iterable[float | None],
        theirs: Iterable[float | None],
        references: Iterable[Hashable],
        instances: InstanceVariance | None = None,
    ) -> Estimate:
        """How runs differ from their partners on the same references, see ``anchorlab.statistics.references``."""
        found = contrast_over_references(ours, theirs, references, self.averaging, instances=instances)
        return found if self.has_interval else replace(found, lower=None, upper=None)

    @property
    def write(self) -> Callable[[float], str]:
        """How a value is written."""
        return significant if self.logarithmic else fraction

    @property
    def hint(self) -> str:
        """The line below the heading: unit and direction."""
        return ", ".join(part for part in (self.unit, f"{self.better} is better" if self.better else "") if part)

    def is_in(self, table: InstanceTable) -> bool:
        """Whether the table has what it takes; a table that was stored before the metric was registered has not."""
        return self.each is None or self.name in table
