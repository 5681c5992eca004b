"""The files for CI: written whether a gate holds, breaks or cannot be judged, and after a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree.ElementTree import parse

import numpy as np
import pytest

from anchorlab.reports.acceptance.write import STEP_SUMMARY
from tests.cli.conftest import Run
from tests.refusals import Ended


@pytest.fixture
def stored(tmp_path: Path) -> list[object]:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(500, 4)) * 3
    np.save(tmp_path / "a.npy", reference)
    np.save(tmp_path / "b.npy", reference + rng.normal(size=(500, 4)))
    np.save(tmp_path / "y.npy", rng.integers(0, 4, 500))
    return ["compare", tmp_path / "a.npy", tmp_path / "b.npy", "--labels", tmp_path / "y.npy"]


@pytest.fixture
def judge(run: Run, stored: list[object], tmp_path: Path):
    """Runs a comparison with all three files, and reads them: JUnit's test suite, SARIF's run, the Markdown."""

    def judge(*extra: object) -> tuple[Ended, dict[str, str], dict, str]:
        files = {name: tmp_path / f"out.{name}" for name in ("junit", "sarif", "summary")}
        places = [word for name, file in files.items() for word in (f"--{name}", file)]
        ended = run(*stored, *places, *extra)
        suite = parse(files["junit"]).getroot()[0].attrib
        (sarif,) = json.loads(files["sarif"].read_text())["runs"]
        assert sarif["invocations"][0]["exitCode"] == ended.code
        return ended, suite, sarif, files["summary"].read_text()

    return judge


def test_a_gate_that_holds_is_a_test_case_that_passed(judge) -> None:
    ended, suite, sarif, summary = judge("--fail-if", "churn > 0.9")
    assert ended.code == 0
    assert (suite["tests"], suite["failures"], suite["errors"]) == ("1", "0", "0")
    assert sarif["results"] == []
    assert summary.startswith("### ✅ anchorlab compare: accepted\n")
    assert "| logit_distance |" in summary


def test_a_broken_gate_is_a_failure_and_a_result(judge) -> None:
    ended, suite, sarif, summary = judge("--fail-if", "churn > 0.9", "--fail-if", "kl.upper > 0.001")
    assert ended.code == 1
    assert (suite["tests"], suite["failures"], suite["errors"]) == ("2", "1", "0")
    (result,) = sarif["results"]
    assert result["ruleId"] == "gate/kl.upper"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("/b.npy")
    assert summary.startswith("### ❌ anchorlab compare: not accepted\n")


def test_a_gate_that_cannot_be_judged_is_an_error_beside_the_others(judge) -> None:
    ended, suite, sarif, _ = judge("--fail-if", "asr > 0.1", "--fail-if", "kl.upper > 0.001")
    assert ended.code == 2
    assert "the gate 'asr > 0.1' cannot be judged" in ended.err
    assert (suite["tests"], suite["failures"], suite["errors"]) == ("2", "1", "1")
    assert not sarif["invocations"][0]["executionSuccessful"]


def test_a_refusal_replaces_the_files_of_an_earlier_run(judge) -> None:
    judge("--fail-if", "churn > 0.9")
    ended, suite, sarif, summary = judge("--fail-if", "chrun > 0.9")
    assert ended.code == 2
    assert (suite["tests"], suite["errors"]) == ("1", "1")
    (note,) = sarif["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == ended.err.strip().removeprefix("error: ")
    assert "could not be judged" in summary


@pytest.mark.parametrize("flags", [("--metric", "acc"), ("--beside", "log"), ("--context", "8"), ("--split", "owner")])
def test_so_does_a_refusal_of_flags(judge, flags: tuple[str, str]) -> None:
    judge("--fail-if", "churn > 0.9")
    ended, suite, _, _ = judge("--fail-if", "churn > 0.9", *flags)
    assert (ended.code, suite["errors"]) == (2, "1")
    assert flags[0] in ended.err


def test_an_audit_that_refuses_its_flags_says_so_in_the_files(run: Run, stored: list[object], tmp_path: Path) -> None:
    file = tmp_path / "audit.xml"
    file.write_text("<testsuites/>")
    assert run("audit", *stored[1:3], "--updates", 3, "--junit", file, "--out", tmp_path / "audit").code == 2
    (error,) = parse(file).findall(".//error")
    assert "--updates is for updates that are made" in error.attrib["message"]


def test_without_a_gate_nothing_is_judged(judge) -> None:
    ended, suite, _, summary = judge()
    assert ended.code == 0
    assert (suite["tests"], suite["skipped"]) == ("1", "1")
    assert "measured, not judged" in summary
    assert "add --fail-if" not in ended.out


def test_places_are_checked_before_anything_runs(run: Run, stored: list[object], tmp_path: Path) -> None:
    place = tmp_path / "x.xml"
    ended = run(*stored, "--junit", place, "--instances", place)
    assert (ended.code, place.exists()) == (2, False)
    assert "--junit and --instances both name" in ended.err
    assert run(*stored, "--sarif", tmp_path, "--junit", place).code == 2
    assert not place.exists()


def test_the_step_summary_is_added_to(
    run: Run, stored: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "summary.md"
    shared.write_text("another step's words\n")
    monkeypatch.setenv(STEP_SUMMARY, str(shared))
    assert run(*stored, "--summary", shared).code == 0
    assert shared.read_text().startswith("another step's words\n\n### ➖ anchorlab compare")
