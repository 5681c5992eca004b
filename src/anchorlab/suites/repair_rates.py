"""What a repair did beside what was there before it: the columns of ``repairs`` that need two rows.

A clean reference that had the same repair, with the same seed, stands beside every repaired model of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anchorlab.scoring.repair_rates import effectiveness, robust_improvement
from anchorlab.statistics.numbers import defined

#: What is known of a model before its repair.
_BEFORE = ("accuracy", "asr", "kl", "churn")

#: The rates, and the measurement of the model before its repair that is as young as they are.
_LATER = ("robust_accuracy_before", "effectiveness", "robust_improvement", "reference_accuracy_lost")

#: What makes one repair of the reference the same as that of a model.
_SAME = (
    *("task", "trigger", "rule", "target", "defence", "parameters", "defender"),
    *("reference_seed", "seed"),
)


def measured_before(row: dict[str, Any], source: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Measurements of the model before its repair; a reference has no distance from itself.

    Args:
        row: the result of the repair.
        source: the result of the run that made the model; None for a reference.
    """
    if source is None:
        own = {name: row.get(f"{name}_reference") for name in ("accuracy", "asr", "robust_accuracy")}
        before = {**own, "kl": 0.0, "churn": 0.0}
    else:
        before = (source or [{}])[0]
    return {f"{name}_before": before.get(name) for name in (*_BEFORE, "robust_accuracy")}


def rates_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """DER, RIR, and what the same repair costs the clean reference, of each row; None where one is not known."""
    lost = {_key(row): row["accuracy_reference"] - row["accuracy"] for row in rows if row["role"] == "reference"}
    return [
        {
            "effectiveness": _rate(effectiveness, row, "asr"),
            "robust_improvement": _rate(robust_improvement, row, "robust_accuracy"),
            "reference_accuracy_lost": lost.get(_key(row)),
        }
        for row in rows
    ]


def columns_of_rates(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The columns of both; no rates where all rows are of earlier versions, whose tables stay as they are."""
    has_rates = not rows or any("robust_accuracy" in row for row in rows)
    return [*(f"{name}_before" for name in _BEFORE), *(_LATER if has_rates else ())]


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _SAME)


def _rate(formula: Any, row: dict[str, Any], name: str) -> float | None:
    """A rate of what a repair changed in a measurement and in the accuracy; None if one of them is missing."""
    values = {key: row.get(key) for of in (name, "accuracy") for key in (f"{of}_before", of)}
    return float(formula(**values)) if all(defined(value) for value in values.values()) else None
