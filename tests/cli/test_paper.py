"""``anchorlab report --paper``: what it writes, says and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anchorlab.reports.paper import kit
from tests.cli.conftest import Run
from tests.reports.paper.conftest import paper_results


def test_the_kit_of_a_suite(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = paper_results(sizes=("all",), targets=(0.95,), seeds=(0,), references=(0,))
    monkeypatch.setattr(kit, "load_results", lambda folder: results)
    out = tmp_path / "for a paper"
    ended = run(
        *("report", tmp_path, "--paper", "--columns", "asr, kl", "--methods", "plain,anchoring", "--width", "84mm"),
        *("--out", out, "--json", tmp_path / "answer.json"),
    )
    assert ended.code == 0
    assert "metrics.pdf, front-kl.pdf; table.tex" in ended.out
    assert f"cd '{out}' && pdflatex main && bibtex main" in ended.out
    written = json.loads((tmp_path / "answer.json").read_text())["files"]
    assert {path.name for path in out.iterdir()} == set(written)
    assert "surgery" not in (out / "table.tex").read_text()


def test_without_out_it_lies_in_the_report(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = paper_results(sizes=("all",), targets=(0.95,), seeds=(0,), references=(0,))
    monkeypatch.setattr(kit, "load_results", lambda folder: results)
    assert run("report", tmp_path, "--paper", "--columns", "asr").code == 0
    assert (tmp_path / "report" / "paper" / "main.tex").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "3in"], "--width is for what goes into a paper: give --paper too, or leave --width out"),
        (["--columns", "kl"], "--columns is for what goes into a paper"),
        (["--methods", "plain"], "--methods is for what goes into a paper"),
        (["--paper"], "holds no suite.yaml"),
    ],
)
def test_what_is_refused(run: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    ended = run("report", tmp_path, *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert not any(tmp_path.iterdir())
