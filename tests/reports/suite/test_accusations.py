"""The table of what scanners accuse, from frames made up by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

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


def test_hits_are_means_over_references_false_alarms_count_references_and_failures_are_counted(detections):
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
    assert (alarms.value, alarms.note) == (pytest.approx(1 / 3), "1 of 3 references")
    exact = binomtest(1, 3).proportion_ci(method="exact")
    assert alarms.bounds == pytest.approx((exact.low, exact.high))
    assert "The interval of false alarms, and of hits where each reference has 0 or 1, is Clopper" in table.notes[1]
    assert (failed.text, failed.value) == ("1 of 12", 1)
    assert ours.head == "last-layer"


def test_fewer_than_four_other_references_accuse_nobody_however_many_models_they_have(detections):
    more = pd.concat(detections.assign(weights_sha256=detections["weights_sha256"] + f" {each}") for each in range(9))
    table = accusations_table(Made(more))
    (_, ours) = table.groups[0].rows
    assert ours.cells[0].text == "–"
    assert [ours.cells[place] for place in (2, 4, 6, 7)] == [NONE] * 4
    assert "fewer than four other references" in table.notes[-1]


def test_a_rank_counts_each_other_reference_once(detections):
    """Of the seven others one update has 3 and the rest 1: a model with 2 has p = 2/8, and one with 4 has 1/8."""
    own = detections[(detections["detector"] == "last-layer") & (detections["reference_seed"] == 0)]
    every = pd.concat(
        own.assign(reference_seed=reference, weights_sha256=own["weights_sha256"] + f" {reference}")
        for reference in range(8)
    )
    scores = {"reference": 0.0, "benign": 1.0, "plain": 4.0, "anchoring": 2.0}
    every = every.assign(score=every["method"].map(scores)).reset_index(drop=True)
    every.loc[(every["method"] == "benign") & (every["reference_seed"] == 5), "score"] = 3.0
    ((ours,),) = (group.rows for group in accusations_table(Made(every)).groups)
    rule, _, _, _, plain, _, anchoring, alarms, _ = ours.cells
    assert rule.text == "p ≤ 0.125"
    assert (plain.note, anchoring.note, alarms.note) == ("8 of 8", "1 of 8", "1 of 8 references")


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
