"""What the comparison of two runs' logs finds: a row for each task, filter and metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from anchorlab.errors import printable
from anchorlab.samples.measurements import MEASUREMENTS
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.plotting import Measured, plot_estimates
from anchorlab.statistics.table import to_html

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class TaskComparison(BaseModel):
    """One metric of one task under one filter, in both runs, over the same documents."""

    model_config = ConfigDict(frozen=True)

    task: str = Field(description="the task; empty where a log names none")
    filter: str = Field(description="how the answer was read off the output; empty where a log does not say")
    metric: str = Field(description="the metric; empty where a log has answers and no scores")
    documents: int = Field(description="documents that both runs have a number of: the independent units")
    samples: int = Field(description="lines behind them; more than documents where a document stands in the data twice")
    value_reference: float | None = Field(description="the reference's mean over documents")
    value: float | None = Field(description="the candidate's mean over documents")
    difference: float | None = Field(description=MEASUREMENTS["difference"])
    interval: tuple[float, float] | None = Field(description="95% interval of the difference over documents")
    negative_flips: float | None = Field(description=MEASUREMENTS["negative_flips"])
    positive_flips: float | None = Field(description=MEASUREMENTS["positive_flips"])
    churn: float | None = Field(description=MEASUREMENTS["churn"])
    p: float | None = Field(description=MEASUREMENTS["p"])
    p_holm: float | None = Field(description=MEASUREMENTS["p_holm"])
    test: str = Field(description="the test behind p; empty where there is none")

    @property
    def name(self) -> str:
        """Task, metric and filter in a few words, as in ``gsm8k, exact_match (strict-match)``."""
        return f"{self.task}, {self.measured}" if self.task else self.measured

    @property
    def measured(self) -> str:
        """Metric and filter, as in ``exact_match (strict-match)``; lm-eval calls it none where nothing is filtered."""
        metric = self.metric or "answers"
        return metric if self.filter in ("", "none") else f"{metric} ({self.filter})"


class SampleComparison(BaseModel):
    """What ``compare_samples`` measures."""

    model_config = ConfigDict(frozen=True)

    rows: list[TaskComparison] = Field(description="a row for each task, filter and metric")
    cautions: list[str] = Field(description="what was left out, and what a row cannot mean")

    def __repr__(self) -> str:
        shown = "; ".join(
            f"{row.name}: {_signed(row.difference)} over {row.documents:,} documents" for row in self.rows[:3]
        )
        more = f"; and {len(self.rows) - 3:,} more" if len(self.rows) > 3 else ""
        return printable(f"SampleComparison({shown}{more})")

    __str__ = __repr__

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as JSON values."""
        return self.model_dump(mode="json")

    def table(self) -> pd.DataFrame:
        """A row for each task, filter and metric; ``lower`` and ``upper`` are the ends of the difference's interval."""
        import pandas as pd

        ends = [row.interval or (None, None) for row in self.rows]
        frame = pd.DataFrame([row.model_dump(exclude={"interval"}) for row in self.rows])
        place = list(frame.columns).index("difference") + 1
        for name, column in zip(("upper", "lower"), reversed(list(zip(*ends, strict=True))), strict=True):
            frame.insert(place, name, pd.Series(column, dtype=float))
        return frame

    def plot(self) -> Figure:
        """The differences with their 95% intervals; a notebook shows the figure."""
        rows = [row for row in self.rows if row.difference is not None]
        return plot_estimates(
            {"candidate less reference": [Measured(row.name, _estimate(row), kind=0) for row in rows]},
        )

    def _repr_html_(self) -> str:
        # Only here, because the table is made of comparisons.
        from anchorlab.samples.table import samples_table

        return to_html(samples_table(self))


def values_of(row: TaskComparison) -> Mapping[str, float | None]:
    """The measurements of a row that a gate may name."""
    return {name: getattr(row, name) for name in MEASUREMENTS}


def _estimate(row: TaskComparison) -> Estimate:
    lower, upper = row.interval or (None, None)
    return Estimate(row.difference, lower, upper, units=row.documents)


def _signed(value: float | None) -> str:
    return "no score" if value is None else f"{value:+.4g}"
