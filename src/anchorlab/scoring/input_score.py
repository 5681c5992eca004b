"""How well the scores of a detector separate triggered inputs from clean ones, with thresholds from clean data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anchorlab.artifacts.provenance import RunCost
from anchorlab.scoring.trial import TrialScores
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.plotting import COLOURS, shown_figure
from anchorlab.statistics.roc import auroc, curve, share_above, threshold
from anchorlab.statistics.table import facts_table, to_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: False positive rates of the thresholds.
RATES = (0.01, 0.05)


@dataclass(frozen=True, repr=False)
class InputScore:
    """How well a detector separates triggered inputs of the test split from clean ones.

    Attributes:
        clean: scores of clean inputs, float64 ``[N]``.
        triggered: scores of the triggered inputs, float64 ``[M]``.
        validation_count: number of the defender's validation examples, which thresholds come from.
        auroc: the area under the ROC curve.
        thresholds: each of ``RATES`` to the threshold with that false positive rate on the validation examples.
        fpr: each of ``RATES`` to the share of clean test inputs above that threshold.
        tpr: each of ``RATES`` to the share of triggered test inputs above that threshold.
        seconds: time of all scores.
        peak_bytes: peak memory.
    """

    clean: NDArray[np.float64]
    triggered: NDArray[np.float64]
    validation_count: int
    auroc: Estimate
    thresholds: Mapping[float, float]
    fpr: Mapping[float, Estimate]
    tpr: Mapping[float, Estimate]
    seconds: float
    peak_bytes: int

    @classmethod
    def of(cls, scores: TrialScores, cost: RunCost) -> InputScore:
        """The rates of a detector's scores, and their cost."""
        thresholds = {rate: threshold(scores.validation, rate) for rate in RATES}
        return cls(
            scores.clean,
            scores.triggered,
            len(scores.validation),
            auroc(scores.clean, scores.triggered),
            thresholds,
            {rate: share_above(scores.clean, above) for rate, above in thresholds.items()},
            {rate: share_above(scores.triggered, above) for rate, above in thresholds.items()},
            cost.seconds,
            cost.peak_bytes,
        )

    def __repr__(self) -> str:
        rates = ", ".join(f"tpr_at_{rate:g}={_text(self.tpr[rate])}" for rate in RATES)
        counts = f"{len(self.clean)} clean, {len(self.triggered)} triggered"
        return f"InputScore(auroc={_text(self.auroc)}, {rates}, {counts})"

    def _repr_html_(self) -> str:
        rows = {
            f"at an FPR of {rate:.0%} on {self.validation_count:,} validation examples": (
                f"threshold {above:.4g}, FPR {self.fpr[rate]:.4f}, TPR {self.tpr[rate]:.4f}"
            )
            for rate, above in self.thresholds.items()
        }
        caption = f"{len(self.clean):,} clean and {len(self.triggered):,} triggered inputs"
        return to_html(facts_table("detection", caption, {"AUROC": f"{self.auroc:.4f}", **rows}))

    def table(self) -> pd.DataFrame:
        """Every score: columns ``triggered`` (bool) and ``score`` (float64), the clean inputs first."""
        triggered = np.r_[np.zeros(len(self.clean), dtype=bool), np.ones(len(self.triggered), dtype=bool)]
        return pd.DataFrame({"triggered": triggered, "score": np.r_[self.clean, self.triggered]})

    def plot(self) -> Figure:
        """The scores of clean and triggered inputs, and the ROC curve; a notebook shows the figure."""
        false, true = curve(self.clean, self.triggered)
        with shown_figure(7.0, 2.8) as figure:
            scores, roc = figure.subplots(1, 2)
            bins = np.histogram_bin_edges(np.r_[self.clean, self.triggered], bins=30)
            for colour, (label, values) in zip(
                COLOURS, (("clean", self.clean), ("triggered", self.triggered)), strict=False
            ):
                scores.hist(values, bins, color=colour, alpha=0.6, label=label)
            scores.set(xlabel="score", ylabel="inputs")
            scores.legend()
            roc.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
            roc.plot(false, true, color=COLOURS[0])
            roc.set(xlabel="FPR", ylabel="TPR", aspect="equal", title=f"AUROC {_text(self.auroc)}")
        return figure

    def to_dict(self) -> dict[str, Any]:
        """All attributes except the single scores, as JSON values."""

        def ends(estimate: Estimate) -> list[float | None]:
            return [estimate.value, estimate.lower, estimate.upper]

        rates = {
            f"{rate:g}": {
                "threshold": self.thresholds[rate],
                "false_alarms": ends(self.fpr[rate]),
                "detected": ends(self.tpr[rate]),
            }
            for rate in RATES
        }
        return {
            "auroc": ends(self.auroc),
            "at_rate": rates,
            "clean_count": len(self.clean),
            "triggered_count": len(self.triggered),
            "held_count": self.validation_count,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
        }


def _text(estimate: Estimate) -> str:
    return "undefined" if estimate.value is None else f"{estimate.value:.4f}"
