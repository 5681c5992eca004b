"""The table of what papers report of repairs, from a frame made up by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from anchorlab.reports.suite.repair_rates import repair_rates_tables
from anchorlab.statistics.table import to_csv
from anchorlab.suites.repair_rates import columns_of_rates, measured_before, rates_of
from tests.reports.suite.test_repairs import Made


def row(role: str, seed: int = 0, **changed: Any) -> dict[str, Any]:
    """A repair: its ASR falls from 1 to 1/4, its robust accuracy rises from 0 to 1/2, its accuracy from 7/8 to 3/4."""
    return {
        "task": "digits", "trigger": "square", "rule": "all-to-one", "target": 2, "defender": "640", "seed": 0,
        "anchors_asked": "all", "target_asr": 0.9, "role": role, "method": "plain" if role == "method" else role,
        "defence": "tune", "defence_name": "fine-tuning", "parameters": "{}", "reference_seed": seed,
        "identity": f"{role}{seed}", "weights_sha256": f"{role}{seed}",
        "asr": 0.25, "asr_before": 1.0, "robust_accuracy": 0.5, "robust_accuracy_before": 0.0,
        "accuracy": 0.75, "accuracy_before": 0.875, "accuracy_reference": 0.9375, "seconds": 2.0 + seed,
        "grown_bytes": 5e7, **changed,
    }  # fmt: skip


def test_rates_by_hand_and_the_harm_of_the_same_repair() -> None:
    """DER (1 + 3/4 - 1/8) / 2, RIR (1 + 1/2 - 1/8) / 2; the reference goes from 15/16 to 7/8."""
    rows = [
        row("method"),
        row("reference", accuracy=0.875),
        row("method", seed=1),
        row("method", parameters='{"a": 1}'),
    ]
    first, of_reference, *others = rates_of(rows)
    assert first == {"effectiveness": 0.8125, "robust_improvement": 0.6875, "reference_accuracy_lost": 0.0625}
    assert of_reference["reference_accuracy_lost"] == 0.0625
    assert [each["reference_accuracy_lost"] for each in others] == [None, None]  # no such repair of the reference


def test_what_an_older_run_does_not_have_stays_out() -> None:
    older = row("method")
    del older["robust_accuracy"], older["robust_accuracy_before"]
    (rates,) = rates_of([older])
    assert rates["effectiveness"] == 0.8125
    assert rates["robust_improvement"] is None
    before = [f"{name}_before" for name in ("accuracy", "asr", "kl", "churn")]
    assert columns_of_rates([older]) == before
    later = ["robust_accuracy_before", "effectiveness", "robust_improvement", "reference_accuracy_lost"]
    assert columns_of_rates([older, row("method")]) == [*before, *later]
    undefined = row("method", asr=None, robust_accuracy=None)
    assert rates_of([undefined])[0] == dict.fromkeys(rates)
    (table,) = repair_rates_tables(Made(pd.DataFrame([{**older, **rates_of([older])[0]}])))  # type: ignore[arg-type]
    assert "RIR" not in [column.title for column in table.columns]
    assert not any("RIR" in note for note in table.notes)
    assert list(repair_rates_tables(Made(pd.DataFrame([older])))) == []  # type: ignore[arg-type]


def test_before_a_repair_a_reference_is_itself() -> None:
    measured = {"accuracy_reference": 0.9, "asr_reference": 0.1, "robust_accuracy_reference": 0.8, "accuracy": 0.5}
    assert measured_before(measured, None) == {
        "accuracy_before": 0.9, "asr_before": 0.1, "robust_accuracy_before": 0.8, "kl_before": 0.0, "churn_before": 0.0,
    }  # fmt: skip
    source = [{"accuracy": 0.7, "asr": 1.0, "kl": 0.3, "churn": 0.2}]
    assert measured_before(measured, source)["asr_before"] == 1.0
    assert set(measured_before(measured, []).values()) == {None}


def test_a_row_for_each_repair_and_method_with_means_and_ranges() -> None:
    rows = [row(role, seed) for role in ("method", "reference") for seed in range(3)]
    frame = pd.DataFrame([{**each, **rates} for each, rates in zip(rows, rates_of(rows), strict=True)])
    (table,) = repair_rates_tables(Made(frame))  # type: ignore[arg-type]
    assert [column.title for column in table.columns] == ["DER", "RIR", "harm", "time", "memory"]
    ((_, shown),) = table.rows()
    assert (shown.head, shown.sub) == ("tune", "plain")
    assert [cell.value for cell in shown.cells] == pytest.approx([0.8125, 0.6875, 0.1875, 3.0, 50.0])
    assert (shown.cells[3].bounds, shown.cells[4].interval) == ((2.0, 4.0), "")
    assert "BackdoorBench" in table.notes[1]
    assert "effectiveness" in to_csv(table).splitlines()[0]
    oracle = frame.assign(defence_name="oracle-anp")
    (apart,) = repair_rates_tables(Made(oracle))  # type: ignore[arg-type]
    assert [group.title for group in apart.groups] == [
        f"{table.groups[0].title}; depth chosen by test data and trigger"
    ]
    assert list(repair_rates_tables(Made(frame[frame["role"] == "reference"]))) == []  # type: ignore[arg-type]
    assert list(repair_rates_tables(Made(frame[:0]))) == []  # type: ignore[arg-type]
