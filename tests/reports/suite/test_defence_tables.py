"""The tables of repairs and detectors hold models whose backdoor works, and count the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pandas as pd
import pytest

from anchorlab.reports.suite.defence_tables import defence_tables
from anchorlab.reports.suite.working import working_only
from anchorlab.statistics.table import Table

#: The note of tables that leave out the three models of the method 'broken'.
LEFT_OUT = "3 models whose backdoor failed (ASR more than 5 points below its target) are left out."


@dataclass(frozen=True)
class Made:
    """As much of results as these tables read."""

    results: pd.DataFrame
    repairs: pd.DataFrame
    detections: pd.DataFrame
    deployed: pd.DataFrame
    stability: pd.DataFrame = field(default_factory=pd.DataFrame)
    failed: pd.DataFrame = field(default_factory=pd.DataFrame)


def models(asr_of_broken: float) -> pd.DataFrame:
    """Three references, each with a clean model, one by 'plain' and one by 'broken'."""
    rows = [
        {
            "task": "digits", "model": "resnet", "trigger": "square", "rule": "all-to-one", "target": 2,
            "defender": "640", "anchors_asked": "" if role == "reference" else "all",
            "target_asr": None if role == "reference" else 0.9, "role": role, "method": method,
            "seed": 0, "reference_seed": reference, "of": "" if role == "reference" else f"{method}{reference}",
            "weights_sha256": f"{method}{reference}", "identity": f"{method}{reference}", "asr_before": asr,
        }
        for reference in range(3)
        for role, method, asr in (
            ("reference", "reference", 0.01), ("method", "plain", 0.99), ("method", "broken", asr_of_broken)
        )
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"target_asr": float})


def made(asr_of_broken: float) -> Made:
    frame = models(asr_of_broken)
    injected = frame[frame["role"] == "method"]
    measured = {"asr": 0.4, "accuracy": 0.9, "kl": 0.1, "churn": 0.1}
    before = {"accuracy_before": 0.95, "kl_before": 0.1, "churn_before": 0.1, "effectiveness": 0.6, "note": None}
    rates = dict.fromkeys(("auroc", "tpr_at_1", "false_alarms_at_1", "tpr_at_5", "false_alarms_at_5"), 0.5)
    judged = {"detector": "last-layer", "detector_name": "last-layer", "parameters": "{}", "note": ""}
    scores = frame["method"].map({"reference": 0.0, "plain": 5.0, "broken": 0.0})
    deployed = injected.assign(form="onnx-int8", detector="", kind="", kl_twin=0.1, churn_twin=0.1, **measured)
    return Made(
        results=injected.assign(asr=injected["asr_before"]),
        repairs=frame.assign(defence="tune", defence_name="tune", **measured, **before),
        detections=pd.concat(
            [
                frame.assign(kind="model", score=scores, **judged),
                injected.assign(kind="input", detector="strip", **rates),
            ],
            ignore_index=True,
        ),
        deployed=deployed,
    )


def tables(results: Made) -> dict[str, Table]:
    return {table.name: table for table in defence_tables(results)}  # type: ignore[arg-type]  # it reads frames


def words(table: Table) -> set[str]:
    """Names of columns, and second headings of rows."""
    return {column.key for column in table.columns} | {row.sub for _, row in table.rows()}


def test_models_whose_backdoor_failed_are_in_no_table_and_counted_in_its_notes() -> None:
    shown = tables(made(0.02))
    expected = {"repairs-asr", "repair-rates", "detections-models", "accusations", "detections-inputs", "deployed"}
    assert expected <= set(shown)
    for name, table in shown.items():
        assert not any("broken" in word for word in words(table)), name
        assert table.notes[-1] == LEFT_OUT, name
    (row,) = shown["detections-models"].groups[0].rows
    assert [cell.value for cell in row.cells[:4]] == [3, 3, 0, pytest.approx(1)]


def test_nothing_is_left_out_or_said_where_no_backdoor_failed() -> None:
    results = made(0.97)
    shown = tables(results)
    assert len(working_only(results).repairs) == len(results.repairs)  # type: ignore[arg-type]  # it reads frames
    assert {"repairs-asr-against-plain", "detections-models-against-plain"} <= set(shown)
    for name, table in shown.items():
        assert not any("left out" in note for note in table.notes), name
    assert "broken" in words(shown["detections-models"])


def test_what_ended_with_an_error_is_counted_where_it_is_missing() -> None:
    failed = pd.DataFrame({"stage": ["defended", "detected", "detected", "reported"]})
    shown = tables(replace(made(0.99), failed=failed))
    (of_repairs,) = [note for note in shown["repairs-kl"].notes if "error" in note]
    assert of_repairs == "1 repair of the suite ended with an error, and is in no table."
    (of_detectors,) = [note for note in shown["detections-inputs"].notes if "error" in note]
    assert of_detectors == "2 detections of the suite ended with an error, and are in no table."


def test_what_a_repair_was_given_beside_the_defenders_examples_is_said() -> None:
    own = made(0.99)
    trusting = own.repairs.assign(defence="halfway", defence_name="interpolation")
    shown = tables(replace(own, repairs=pd.concat([own.repairs, trusting])))
    for name in ("repairs-asr", "repair-rates"):
        (note,) = [note for note in shown[name].notes if "trusted" in note]
        assert note.startswith("halfway was also given a trusted earlier version: the clean reference itself")
    assert not [note for note in tables(own)["repairs-asr"].notes if "trusted" in note]
