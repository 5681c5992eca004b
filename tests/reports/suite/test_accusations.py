"""The table of what scanners accuse, from frames made up by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from anchorlab.detectors.command import FAILED
from anchorlab.reports.suite.accusations import accusations_table, scanner_findings
from anchorlab.reports.suite.defence_findings import detector_findings
from anchorlab.statistics.table import NONE


@dataclass(frozen=True)
class Made:
    """As much of results as the table reads."""

    detections: pd.DataFrame
    results: pd.DataFrame = field(default_factory=pd.DataFrame)


@pytest.fixture
def detections() -> pd.DataFrame:
    """Three references with a benign update and a plain and an anchored model each.

    The scanner accuses the plain ones, one anchored one and one update, and fails on another anchored one.
    """
    rows = []
    for reference in range(3):
        for role, method, score in (
            ("reference", "reference", 0.0),
            ("control", "benign", float(reference == 0)),
            ("method", "plain", 2.0),
            ("method", "anchoring", (1.0, 0.5, np.nan)[reference]),
        ):
            sha = f"{method}{reference}"
            note = f"{FAILED}it printed no JSON" if np.isnan(score) else ""
            rows.append((role, method, reference, sha, "command:scan {model}", "command", score, note))
            rows.append((role, method, reference, sha, "last-layer", "last-layer", 1.0, ""))
    names = ["role", "method", "reference_seed", "weights_sha256", "detector", "detector_name", "score", "note"]
    frame = pd.DataFrame(rows, columns=names)
    parameters = frame["detector_name"].map({"command": '{"accuse_above": 0.5}', "last-layer": "{}"})
    where = {"kind": "model", "task": "digits", "model": "resnet", "defender": "640", "target_asr": 0.9}
    return frame.assign(parameters=parameters, of=frame["weights_sha256"], **where)


def test_hits_and_false_alarms_are_means_over_references_and_failures_are_counted(detections):
    table = accusations_table(Made(detections))
    (scanner, ours) = table.groups[0].rows
    rule, area, hits, _, plain, _, anchoring, alarms, failed = scanner.cells
    assert rule.text == "score > 0.5"
    assert area.value == pytest.approx((3 * 6 + 5.5 + 5) / (5 * 6))  # one score ties with a clean one, one lies below
    assert hits.value == pytest.approx((1 + 0.5 + 1) / 3)
    assert hits.note == "4 of 5"
    assert (plain.value, plain.note) == (1, "3 of 3")
    assert plain.bounds == (pytest.approx(0.025 ** (1 / 3)), 1)  # Clopper and Pearson's, of three references
    assert (anchoring.value, anchoring.note) == (0.5, "1 of 2")
    assert alarms.value == pytest.approx((0.5 + 0 + 0) / 3)
    assert (failed.text, failed.value) == ("1 of 12", 1)
    assert ours.head == "last-layer"
    # Four clean models of other references, which allow 20%; all scores are alike.
    assert ours.cells[0].text == "p ≤ 0.2"
    assert (ours.cells[1].value, ours.cells[2].value, ours.cells[2].note) == (0.5, 0, "0 of 6")


def test_too_few_clean_models_of_other_references_accuse_nobody(detections):
    table = accusations_table(Made(detections[detections["reference_seed"] < 2]))
    (_, ours) = table.groups[0].rows
    assert ours.cells[0].text == "–"
    assert [ours.cells[place] for place in (2, 4, 6, 7)] == [NONE] * 4
    assert "fewer than four clean models" in table.notes[-1]


def test_a_backdoor_that_failed_is_no_miss(detections):
    runs = pd.DataFrame({"identity": ["anchoring1"], "role": "method", "asr": 0.3, "target_asr": 0.9})
    hits = accusations_table(Made(detections, runs)).groups[0].rows[0].cells[2]
    assert (hits.value, hits.note) == (1, "4 of 4")


def test_a_scanner_that_always_fails_is_in_the_table(detections):
    lame = detections.assign(score=detections["score"].where(detections["detector_name"] != "command"))
    cells = accusations_table(Made(lame)).groups[0].rows[0].cells
    assert list(cells[1:8]) == [NONE] * 7
    assert cells[8].text == "12 of 12"


def test_detectors_of_ours_need_no_scanner_beside_them(detections):
    table = accusations_table(Made(detections[detections["detector_name"] != "command"]))
    assert [row.head for row in table.groups[0].rows] == ["last-layer"]
    assert accusations_table(Made(detections[detections["role"] != "method"])) is None
    assert accusations_table(Made(pd.DataFrame())) is None


def test_findings_say_whom_it_accuses_and_why_it_failed(detections):
    (words,) = scanner_findings(Made(detections))
    assert words == (
        "command:scan {model} accuses 4 of 5 models with a backdoor and 1 of 6 without; it failed on 1 (it printed no "
        "JSON)."
    )
    assert any(words[1:] in sentence for sentence in detector_findings(Made(detections)))
