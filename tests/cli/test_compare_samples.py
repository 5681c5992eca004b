"""``compare --samples`` from the command line: logs of two runs, gates in each row, the files for CI and the page."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree.ElementTree import parse

import pytest

from anchorlab import compare_samples
from tests.cli.conftest import Run
from tests.hostile import HOSTILE
from tests.refusals import assert_refused
from tests.samples.made_up import two_runs, write_log


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return two_runs(tmp_path)


def test_the_json_is_what_python_measures(run: Run, runs: tuple[Path, Path], tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    ended = run("compare", *runs, "--samples", "--metric", "acc", "--json", figures)
    assert ended.code == 0
    assert "arc_easy, acc, 0.5550 against 0.6350" in ended.out
    assert compare_samples(*runs, metrics=["acc"]).to_dict().items() <= json.loads(figures.read_text()).items()


def test_the_table_fits_eighty_columns(run: Run, runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = run("compare", *runs, "--samples").out.partition("\n\n")[0].splitlines()[2:]
    assert max(map(len, table)) <= 80
    assert any(line.split()[:2] == ["acc_norm", "200"] for line in table)
    assert "churn" in run("compare", *runs, "--samples", "--all").out.partition("\n\n")[0]


def test_a_bound_is_judged_in_each_row(run: Run, runs: tuple[Path, Path], tmp_path: Path) -> None:
    junit, sarif = tmp_path / "out.xml", tmp_path / "out.sarif"
    bounds = ("--fail-if", "negative_flips > 0.05", "--fail-if", "difference.lower < -0.5")
    ended = run("compare", *runs, "--samples", "--metric", "acc", *bounds, "--junit", junit, "--sarif", sarif)
    assert ended.code == 1
    gates = [line for line in ended.out.splitlines() if line.startswith("the gate")]
    assert gates == [
        "the gate 'negative_flips > 0.05' is broken: negative_flips is 0.08 in arc_easy, acc",
        "the gate 'difference.lower < -0.5' holds in 2 rows",
    ]
    suite = parse(junit).getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"]) == ("4", "1", "0")
    ((result,),) = [each["results"] for each in json.loads(sarif.read_text())["runs"]]
    assert result["ruleId"] == "gate/negative_flips/arc_easy, acc"
    assert result["partialFingerprints"] == {"check/v1": result["ruleId"]}


def test_a_bound_that_no_row_has_cannot_be_judged(run: Run, tmp_path: Path) -> None:
    logs = [write_log(tmp_path / f"{name}.jsonl", [{"id": 1, "answer": name}]) for name in "ab"]
    ended = run("compare", *logs, "--samples", "--fail-if", "p_holm < 0.05")
    assert_refused(ended, "'p_holm < 0.05' cannot be judged", "answers has no scores")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--task", "digits"), "--task is for models"),
        (("--split", "owner"), "--split is for models"),
        (("--labels", "y.npy"), "--labels is for models"),
        (("--trigger", "square"), "--trigger is for models"),
        (("--fail-if", "kl > 1"), "unknown measurement 'kl'"),
        (("--metric", "accuracy"), "unknown metric of these logs 'accuracy'"),
    ],
)
def test_what_logs_cannot_have_is_refused(
    run: Run, runs: tuple[Path, Path], options: tuple[str, ...], words: str
) -> None:
    assert_refused(run("compare", *runs, "--samples", *options), words)


def test_a_metric_is_for_logs(run: Run, runs: tuple[Path, Path]) -> None:
    assert_refused(run("compare", *runs, "--metric", "acc"), "--metric chooses among the metrics of logs")


def test_the_page_is_written_and_written_again(run: Run, runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "page"
    assert run("compare", *runs, "--samples", "--out", out).code == 0
    assert run("compare", *runs, "--samples", "--out", out).code == 0
    assert {path.name for path in out.iterdir()} == {"index.html", "samples.json"}
    page = (out / "index.html").read_text()
    assert "arc_easy" in page
    (out / "index.html").unlink()
    assert run("report", out).code == 0
    assert (out / "index.html").read_text() == page
    (out / "samples.json").write_text("{}")
    assert_refused(run("report", out), "samples.json", "run anchorlab compare --samples again")
    assert_refused(run("compare", *runs, "--samples", "--out", out), "samples.json is none that")


@pytest.mark.parametrize("name", [name for name in HOSTILE if "\0" not in name and "\udcff" not in name])
def test_no_name_in_a_log_does_anything(name: str, run: Run, tmp_path: Path) -> None:
    rows = [{"id": f"{name}{number}", "filter": name, f"x{name}": number % 2} for number in range(3)]
    logs = [write_log(tmp_path / f"{each}.jsonl", rows) for each in "ab"]
    ended = run("compare", *logs, "--samples", "--out", tmp_path / "page", "--summary", tmp_path / "x.md")
    assert ended.code == 0
    assert "\x1b" not in ended.out
    page = (tmp_path / "page" / "index.html").read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "<svg" not in page
