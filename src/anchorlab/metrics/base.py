"""A metric is one record: what it is called, what it means, how each instance and then the whole table is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from anchorlab.metrics.pair import Pair
from anchorlab.metrics.summaries import Count, Mean, Summary
from anchorlab.metrics.table import InstanceTable
from anchorlab.statistics.arrays import Integers
from anchorlab.statistics.numbers import fraction, significant

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
        limits: the least and the greatest value, for the documentation.
        better: which way lies the consistent model; empty where neither is better.
        scale: ``log`` where values span powers of ten.
        compared_as: whether methods are compared by the difference or by the ratio of their values.
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
