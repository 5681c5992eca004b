"""Scanners in a population and in suite files: they run where somebody asked for them, and their failures count."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from anchorlab import detect, load_results, population_suite, run_suite
from anchorlab.detectors import Command, LastLayer
from anchorlab.suites.reading import parse_suite
from tests.cli.conftest import run
from tests.refusals import assert_refused, refused
from tests.suites.inline import Inline
from tests.suites.toys import evaluated_suite, toys
from tests.test_docs import blocks

__all__ = ["run", "toys"]  # fixtures

#: A scanner that complains of every second model, and fails on every fifth.
SCANNER = """
echo x >> {seen}
count=$(wc -l < {seen})
[ $((count % 5)) -eq 0 ] && exit 9
[ $((count % 2)) -eq 0 ] && echo '{{"issues": [{{"score": 0.9}}]}}' && exit 1
echo '{{"issues": []}}'
"""


@pytest.fixture
def scanner(tmp_path: Path) -> str:
    """The command of that scanner; ``tmp_path / "seen"`` has a line for each model that it was given."""
    (tmp_path / "scan.sh").write_text(SCANNER.format(seen=shlex.quote(str(tmp_path / "seen"))))
    return f"sh {shlex.quote(str(tmp_path / 'scan.sh'))} {{model}}"


def test_a_population_takes_scanners_that_are_built() -> None:
    built = Command(run="scan {model}", exit_scores="0=0,1=1", version="2")
    suite = population_suite("digits", detectors=[built, LastLayer(), "neural-cleanse:steps=5"])
    assert list(suite.detectors) == ["command:scan {model}", "last-layer", "neural-cleanse:steps=5"]
    assert suite.detectors["command:scan {model}"].build() == built
    assert parse_suite(suite.to_yaml()) == suite
    other = Command(run="scan {model}", exit_scores="0=0,1=1", version="3")
    refused("two detectors are called", population_suite, "digits", detectors=[built, other])


def test_a_suite_starts_no_program_that_nobody_allowed(
    nothing_runs: Path, run: Callable[..., object], toys: None
) -> None:
    spec = {"mine": {"detector": "command", "set": {"run": "sh scan.sh {model}", "exit_scores": "0=0"}}}
    suite = evaluated_suite(detectors=spec)
    refused("allow it by --allow-programs", run_suite, suite, nothing_runs / "out", executor=Inline())
    (nothing_runs / "suite.yaml").write_text(suite.to_yaml())
    assert_refused(run("suite", "run", nothing_runs / "suite.yaml", "--out", nothing_runs / "out"), "'mine'", "sh scan")  # type: ignore[arg-type]
    assert not (nothing_runs / "out").exists()
    gone = evaluated_suite(
        detectors={"mine": {"detector": "command", "set": {"run": "gone {model}", "exit_scores": "0=0"}}}
    )
    refused("there is no program gone", run_suite, gone, nothing_runs / "out", executor=Inline(), programs=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--score-path", "a"), "--score-path is for a scanner"),
        (("--detector", "last-layer", "--time-limit", "3"), "--time-limit is for a scanner"),
        (("--detector", "command:gone {model}", "--score-path", "a"), "there is no program gone"),
        (("--detector", "command:sh {model}"), "give one of score_path"),
        (("--detector", "command:sh x", "--score-path", "a"), "where the model goes"),
        (("--detector", "command:sh {model}", "--score-path", "a", "--time-limit", "0"), "time_limit"),
        (("--detector", "command"), "was given no scanner"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(
    run: Callable[..., object], tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    assert_refused(run("population", "digits", "--out", tmp_path / "out", *options), words)  # type: ignore[arg-type]
    assert not (tmp_path / "out" / "suite.yaml").exists()


@pytest.mark.slow
def test_a_population_with_a_scanner_says_whom_it_accuses_and_scans_nothing_twice(
    run: Callable[..., object], tmp_path: Path, scanner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anchorlab.cli.running.executor_of", lambda *_: Inline())
    monkeypatch.setattr("anchorlab.suites.population.TARGET_ASR", 0.05)
    words = ["population", "digits", "--out", tmp_path / "out", "--quick", "--references", 2, "--method", "plain"]
    words += ["--trigger", "five-pixel", "--defender-data", "all", "--detector", "last-layer"]
    words += ["--detector", f"command:{scanner}", "--score-path", "issues.0.score", "--accuse-above", 0.5]
    ended = run(*words)
    assert ended.code == 0, ended.err  # type: ignore[attr-defined]
    found = load_results(tmp_path / "out").detections
    scanned = found[found["detector_name"] == "command"]
    # Two references, a benign update of each, and a plain one.
    assert len(scanned) == len((tmp_path / "seen").read_text().split()) == 6
    assert set(scanned["role"]) == {"reference", "control", "method"}
    assert sorted(scanned["score"].fillna(-1)) == [-1, 0, 0, 0.9, 0.9, 0.9]
    (note,) = scanned.loc[scanned["score"].isna(), "note"]
    assert note == "the scanner failed: it ended with exit code 9"
    assert "it failed on 1 (it ended with exit code 9)" in ended.out  # type: ignore[attr-defined]
    table = pd.read_csv(next((tmp_path / "out").rglob("accusations.csv")))
    assert set(table["detector"]) == {"last-layer", f"command:{scanner}"}
    assert run(*words).code == 0  # type: ignore[attr-defined]
    assert len((tmp_path / "seen").read_text().split()) == 6
    assert run(*words, "--retry-failed").code == 0  # type: ignore[attr-defined]
    assert len((tmp_path / "seen").read_text().split()) == 7
    again = load_results(tmp_path / "out").detections.query("detector_name == 'command'")
    assert again["score"].notna().all()


@pytest.mark.slow
def test_a_misspelt_path_of_the_score_is_a_failure_and_one_that_some_lack_a_caution(
    run: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anchorlab.cli.running.executor_of", lambda *_: Inline())
    seen = shlex.quote(str(tmp_path / "seen"))
    script = f"echo x >> {seen}\n[ $(wc -l < {seen}) -eq 1 ] && echo '{{\"rare\": 1}}' || echo '{{\"score\": 1}}'\n"
    (tmp_path / "scan.sh").write_text(script)
    words = ["population", "digits", "--out", tmp_path / "out", "--quick", "--references", 1, "--method", "plain"]
    words += ["--trigger", "five-pixel", "--detector", f"command:sh {shlex.quote(str(tmp_path / 'scan.sh'))} {{model}}"]
    some = run(*words, "--score-path", "score")
    assert "has no score for 1 of " in some.out + some.err  # type: ignore[attr-defined]
    assert "none of its scores means anything" not in some.out + some.err  # type: ignore[attr-defined]
    assert some.code != 2  # type: ignore[attr-defined]
    none = run(*words, "--score-path", "scoer")
    assert "none of its scores means anything" in none.out + none.err  # type: ignore[attr-defined]
    assert none.code == 2  # type: ignore[attr-defined]
    assert run("report", tmp_path / "out").code == 0  # type: ignore[attr-defined]
    (tmp_path / "scan.sh").write_text("exit 9\n")
    broken = run(*words, "--score-path", "score", "--scanner-version", "broken")
    assert broken.code == 2  # type: ignore[attr-defined]
    assert broken.out.splitlines()[-1].endswith(" --retry-failed")  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_scanner_of_the_docs_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted, digits) -> None:  # type: ignore[no-untyped-def]
    script, example = blocks("docs/scanners.md", "python")
    assert len([line for line in script.splitlines() if line]) == 5  # as the page says, the comment too
    monkeypatch.chdir(tmp_path)
    Path("scan.py").write_text(script)
    names: dict[str, object] = {}
    definition = example.split("if __name__")[0].replace("python scan.py", f"{shlex.quote(sys.executable)} scan.py")
    exec(compile(definition, "docs/scanners.md", "exec"), names)
    found = detect(planted, names["scanner"], defender_data=20, task=digits)  # type: ignore[arg-type]
    state = planted.model.state_dict()
    own = max(float(state[name].abs().max()) for name in state if not name.endswith("num_batches_tracked"))
    assert (found.score, found.note) == (own, "")
    (detectors,) = blocks("docs/scanners.md", "yaml")
    suite = parse_suite(f"name: a\ntitle: a\ntasks: [digits]\nmethods: {{plain: }}\n{detectors}")
    assert suite.detectors["mine"].build() == Command(
        run="python scan.py {model}", score_path="issues.0.score", accuse_above=5
    )
