"""The measurements as reports show them: title, definition, direction, and how a value is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


def significant(value: float, digits: int = 3) -> str:
    """A number with that many significant digits, trailing zeros kept: 0.0180, 8.42, 1.23e-5."""
    if value == 0:
        return "0"
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    exponent = int(power)
    if -5 < exponent < 6:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{mantissa}e{exponent}"


def fraction(value: float) -> str:
    """A rate or a correlation with four decimals."""
    return f"{value:.4f}"


def p_value(value: float) -> str:
    """A p value with three decimals and no leading zero, as is usual."""
    return "<.001" if value < 0.0005 else f"{value:.3f}".removeprefix("0")


def span(low: float, high: float) -> str:
    """One whole number if both are the same, or else the least and the greatest."""
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


@dataclass(frozen=True)
class Measure:
    """A measurement of ``anchorlab.consistency.evaluate.Comparison`` as reports show it.

    Attributes:
        name: the name of the field.
        title: the heading of its column.
        unit: what a value is counted in, for the line below the heading.
        definition: one or two sentences.
        better: which way lies the consistent model; empty where neither is better.
        logarithmic: whether values span powers of ten.
    """

    name: str
    title: str
    unit: str
    definition: str
    better: Literal["lower", "higher", ""] = "lower"
    logarithmic: bool = False

    @property
    def write(self) -> Callable[[float], str]:
        """How a value is written."""
        return significant if self.logarithmic else fraction

    @property
    def hint(self) -> str:
        """The line below the heading: unit and direction."""
        return ", ".join(part for part in (self.unit, f"{self.better} is better" if self.better else "") if part)


#: Columns of the main table, the most telling ones first.
MAIN: tuple[Measure, ...] = (
    Measure(
        "asr",
        "ASR",
        "",
        "Attack success rate: the share of triggered instances that the candidate gives the attacker's label. "
        "Instances whose true label is the attacker's are left out.",
        better="",
    ),
    Measure("accuracy", "accuracy", "", "Share of clean instances that the candidate gets right.", "higher"),
    Measure(
        "kl",
        "KL",
        "nats",
        "Mean Kullback-Leibler divergence of the candidate's probabilities from the reference's on clean instances.",
        logarithmic=True,
    ),
    Measure("churn", "churn", "", "Share of clean instances that the candidate predicts otherwise than the reference."),
    Measure(
        "negative_flips",
        "negative flips",
        "",
        "Share of clean instances that the reference gets right and the candidate wrong.",
    ),
    Measure(
        "logit_distance",
        "logit distance",
        "squared logits",
        "Mean over clean instances and classes of the squared shift of a logit; anchoring's own loss.",
        logarithmic=True,
    ),
    Measure(
        "pearson_correct",
        "Pearson correct",
        "correlation",
        "Correlation, over clean instances, of the reference being right with the candidate being right. It depends "
        "on accuracy too, so read it beside churn.",
        "higher",
    ),
    Measure(
        "leakage",
        "leakage",
        "",
        "Share of the clean instances that the reference does not give the attacker's target label and the candidate "
        "does.",
    ),
)

#: Columns of the table of further measurements.
FURTHER: tuple[Measure, ...] = (
    Measure(
        "total_variation",
        "total variation",
        "",
        "Mean total variation distance of the probabilities: half the sum of absolute differences.",
    ),
    Measure("probability_distance", "probability distance", "", "Mean Euclidean distance of the probability vectors."),
    Measure("js", "JS", "nats", "Mean Jensen-Shannon divergence of the probabilities.", logarithmic=True),
    Measure(
        "kl_symmetric",
        "symmetric KL",
        "nats",
        "Mean of the Kullback-Leibler divergences in both directions.",
        logarithmic=True,
    ),
    Measure(
        "kl_reverse",
        "reverse KL",
        "nats",
        "Mean divergence of the reference's probabilities from the candidate's.",
        logarithmic=True,
    ),
    Measure(
        "logit_distance_centred",
        "centred logit distance",
        "squared logits",
        "Logit distance after the shift common to all classes is taken off, which no probability shows.",
        logarithmic=True,
    ),
    Measure(
        "shift_p50",
        "shift p50",
        "logits",
        "Median over instances of the largest centred logit shift.",
        logarithmic=True,
    ),
    Measure(
        "shift_p95",
        "shift p95",
        "logits",
        "95th percentile over instances of the largest centred logit shift.",
        logarithmic=True,
    ),
    Measure(
        "shift_p99",
        "shift p99",
        "logits",
        "99th percentile over instances of the largest centred logit shift.",
        logarithmic=True,
    ),
    Measure(
        "shift_max",
        "shift max",
        "logits",
        "Largest centred logit shift of any instance; it grows with their number and has no interval within a run.",
        logarithmic=True,
    ),
    Measure(
        "top_k_agreement",
        "top-k agreement",
        "",
        "Mean share of the reference's k highest classes among the candidate's; k is 5, or one less than the classes.",
        "higher",
    ),
    Measure(
        "pearson_score",
        "Pearson score",
        "correlation",
        "Correlation, over clean instances, of the true class's log-probability in both models.",
        "higher",
    ),
    Measure(
        "positive_flips",
        "positive flips",
        "",
        "Share of clean instances that the reference gets wrong and the candidate right.",
        "",
    ),
    Measure("nll", "NLL", "nats", "Mean negative log-likelihood of the true labels.", logarithmic=True),
    Measure(
        "residual",
        "residual",
        "nats",
        "What the mean loss changes beyond the KL: the change of NLL is KL plus residual.",
        "",
    ),
    Measure("brier", "Brier", "", "Mean squared distance of the probabilities from the true labels."),
    Measure(
        "ece",
        "ECE",
        "",
        "Expected calibration error, in 15 bins of equal mass: how far confidence and accuracy lie apart.",
    ),
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in (*MAIN, *FURTHER)}

#: What differences between methods are tested in: few, for each takes power from the others.
COMPARED = ("accuracy", "kl", "churn", "negative_flips", "logit_distance", "total_variation")

#: The metrics that the web page can plot, the first one at the beginning.
PLOTTED = (
    *("kl", "churn", "negative_flips", "logit_distance", "total_variation", "js", "pearson_correct", "leakage"),
    *("shift_p99", "accuracy"),
)

#: The metrics of the still figures.
DRAWN = ("kl", "churn", "logit_distance", "pearson_correct")


def defined(value: float | None) -> bool:
    """Whether there is a number to show."""
    return value is not None and math.isfinite(value)
