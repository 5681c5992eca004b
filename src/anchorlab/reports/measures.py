"""Which metrics reports show, compare and plot; ``anchorlab.metrics`` says what they are."""

from __future__ import annotations

from anchorlab.metrics import METRICS, Metric

#: Columns of the main table, the most telling ones first.
MAIN = ("asr", "accuracy", "kl", "churn", "negative_flips", "logit_distance", "pearson_correct", "leakage")

#: First columns of the table of further metrics; all others follow.
_FURTHER = (
    *("total_variation", "probability_distance", "js", "kl_symmetric", "kl_reverse", "logit_distance_centred"),
    *("shift_p50", "shift_p95", "shift_p99", "shift_max", "top_k_agreement", "pearson_score", "positive_flips"),
    "certified",
    *("nll", "residual", "brier", "ece"),
)

#: What differences between methods are tested in: few, because each takes power from the others.
COMPARED = ("accuracy", "kl", "churn", "negative_flips", "logit_distance", "total_variation")

#: The metrics that the web page can plot, the first one at the beginning.
PLOTTED = (
    *("kl", "churn", "negative_flips", "logit_distance", "total_variation", "js", "pearson_correct", "leakage"),
    *("shift_p99", "accuracy"),
)

#: The metrics of the still figures.
DRAWN = ("kl", "churn", "logit_distance", "pearson_correct")


def main_metrics() -> list[Metric]:
    """The metrics of the main table."""
    return [METRICS[name] for name in MAIN]


def further_metrics() -> list[Metric]:
    """All metrics of the candidate that the main table leaves out, third parties' metrics last."""
    others = (name for name in METRICS if not (METRICS[name].is_count or METRICS[name].of_reference))
    return [METRICS[name] for name in dict.fromkeys((*_FURTHER, *others)) if name not in MAIN]


def shown_metrics() -> list[Metric]:
    """All metrics that reports show."""
    return [*main_metrics(), *further_metrics()]
