"""The axis ``deploy``: what is measured and judged in each form, and that older results stay where they are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from anchorlab.reports.suite.deployed import deployed_tables
from anchorlab.statistics.table import to_csv
from anchorlab.suites.cells import DeploymentCell, DetectionCell
from anchorlab.suites.results import load_results, write_results
from anchorlab.suites.runner import run_suite
from tests.suites.inline import Inline, tiny

_SHARED = {
    "reference": "r", "reference_sha256": "0", "label": "l", "trigger": {}, "rule": "", "target": None, "split": "test",
    "of": "m", "model": "i", "parameters": {}, "defender": 20, "seed": 0,
}  # fmt: skip


def _suite():
    return tiny(
        methods={"plain": None}, references=[0], anchors=["all"], seeds=[0], controls=False,
        detectors={"strip": None}, defender=["all"],
        deploy=["float32", "bf16"],
    )  # fmt: skip


def test_a_detection_without_a_form_keeps_its_identity():
    settings = {**_SHARED, "detector": "strip", "judges": "input", "examples": 500}
    cell = DetectionCell(**settings)
    assert "form" in cell._younger()
    assert cell.identity != DetectionCell(**settings, form="bf16").identity


def test_a_form_is_part_of_the_identity():
    assert DeploymentCell(**_SHARED, form="bf16").identity != DeploymentCell(**_SHARED, form="onnx").identity


def test_forms_are_checked_with_the_file():
    with pytest.raises(ValidationError, match="did you mean 'int8'"):
        tiny(deploy=["int88"])
    with pytest.raises(ValidationError, match="int8 and int4 are for texts"):
        tiny(deploy=["int8"])


def test_reported_models_are_measured_and_judged_in_each_form(tmp_path, on_cpu):
    run_suite(_suite(), tmp_path / "suite", executor=Inline(), command="anchorlab suite run tiny.yaml")
    results = load_results(tmp_path / "suite")
    assert results.pending == 0
    assert results.failed.empty
    frame = results.deployed
    measured = frame[frame["detector"] == ""]
    assert set(measured["form"]) == {"float32", "bf16"}
    assert set(measured["role"]) == {"method", "reference"}
    own = measured[measured["form"] == "float32"]
    assert (own["kl_twin"] == 0).all()
    assert (own["churn_twin"] == 0).all()
    injected = own[own["role"] == "method"].iloc[0]
    run = results.results[results.results["role"] == "method"].iloc[0]
    for name in ("accuracy", "asr", "kl", "churn"):
        assert injected[name] == pytest.approx(run[name], rel=1e-6), name
    rounded = measured[measured["form"] == "bf16"]
    assert (rounded["kl_twin"] > 0).all()
    judged = frame[frame["detector"] == "strip"]
    assert set(judged["form"]) == {"float32", "bf16"}
    assert len(results.detections) == 1
    tables = {table.name: to_csv(table) for table in deployed_tables(results)}
    assert set(tables) == {"deployed", "deployed-detections"}
    write_results(results, tmp_path)
    assert (tmp_path / "deployed.csv").exists()
