"""The commands around suites: what they print, what they leave, what they refuse."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd
import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.suites.planned import Plan
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.runner import run_in
from anchorlab.suites.schema import SCHEMA
from anchorlab.suites.selection import Choice, Tried, choose
from anchorlab.suites.source import builtin_suites, suite_text
from anchorlab.suites.store import Store
from tests.cli.conftest import PROGRAM, Run
from tests.refusals import assert_refused
from tests.suites.inline import TINY


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_list_and_show(run: Run) -> None:
    listed = run("suite", "list")
    assert listed.code == 0
    assert [line.partition(":")[0] for line in listed.out.splitlines()] == builtin_suites()
    shown, text = run("suite", "show", "demo").out, suite_text("demo")[0]
    assert shown.partition("\n")[2] == text.partition("\n")[2]


def test_a_suite_that_was_shown_names_a_schema_that_exists_from_any_folder(run: Run) -> None:
    first = run("suite", "show", "demo").out.partition("\n")[0]
    address = first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads(Path(url2pathname(urlsplit(address).path)).read_text())["type"] == "object"


def test_schema(run: Run) -> None:
    from importlib.resources import files

    assert json.loads(run("suite", "schema").out) == json.loads((files("anchorlab.suites") / SCHEMA).read_text())


def test_check_says_what_a_suite_means_and_what_is_done(run: Run, tiny_file: Path, tmp_path: Path) -> None:
    ended = run("suite", "check", tiny_file, "--out", tmp_path / "new", "--timing")
    assert ended.code == 0
    assert "2 methods (plain, anchoring) x 2 numbers of anchors (10, all) x 2 seeds" in ended.out
    assert "references to train: 3, of which 0 are done" in ended.out
    assert "runs that choose strengths: at most 4, of which 0 are done" in ended.out
    assert "reported runs that wait for a choice or a reference: up to 16" in ended.out
    assert "time left: at most about" in ended.out
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_check_of_a_finished_suite(run: Run, tiny_file: Path, finished: Path) -> None:
    ended = run("suite", "check", tiny_file, "--out", finished, "--timing")
    assert "references to train: 3, of which 3 are done" in ended.out
    assert "runs that choose strengths: 4, of which 4 are done" in ended.out
    assert "a choice or a reference: up to 0" in ended.out
    assert "time left: about 0 seconds" in ended.out


def test_check_says_which_data_are_missing(run: Run, tmp_path: Path) -> None:
    places = ["--data", f"cifar10={tmp_path}", "--data", f"tiny-imagenet={tmp_path}"]
    ended = run("suite", "check", "paper-images", "--timing", *places)
    assert ended.code == 0
    assert "cifar10 is not in that time, because it could not be timed" in ended.out


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.slow
def test_run_in_processes_of_its_own_leaves_the_results_of_one(
    run: Run, tiny_file: Path, finished: Path, tmp_path: Path
) -> None:
    """The whole command, with two processes; the results are those that one process found."""
    out = tmp_path / "out"
    ended = run("suite", "run", tiny_file, "--out", out, "--workers", 2)
    assert ended.code == 0, ended.err
    assert f"wrote {out.absolute()}/report/index.html in " in ended.out
    assert "jobs were run now" in ended.out
    assert re.search(r"^tiny: \d+ of \d+ done, about .* left; running: ", ended.err, re.MULTILINE), ended.err
    page = (out / "report" / "index.html").read_text()
    assert "must not be deployed" in page
    wanted = run("report", finished, "--out", tmp_path / "again")
    assert wanted.code == 0
    apart = ["seconds", "peak_bytes"]
    pd.testing.assert_frame_equal(
        pd.read_csv(out / "results.csv").drop(columns=apart),
        pd.read_csv(tmp_path / "again" / "results.csv").drop(columns=apart),
        rtol=1e-4,
    )


@pytest.mark.slow
def test_killed_with_its_processes_it_goes_on(tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*PROGRAM, "suite", "run", str(tiny_file), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600  # a machine with much else to do takes minutes to start three processes
    while len(list(out.glob("cells/*.json"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("cells/*.json")}
    assert len(before) >= 3
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("cells/*.json")}
    assert before.items() <= after.items()
    assert len(after) > len(before)


@pytest.mark.slow
def test_a_failed_run_is_told_at_the_end(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(
        "name: broken\ntitle: B\ntasks: [{name: digits, limit: 20, training: {epochs: 1}}]\nseeds: 1\ncontrols: false\n"
        "target_asr: 0.01\ntuning: {steps: 2, batch_size: 8}\n"
        "methods: {plain: , broken: {method: plain, tuning: {learning_rate: 1.0e+30}}}\n"
    )
    ended = run("suite", "run", path, "--out", tmp_path / "out", "--workers", 1)
    assert ended.code == 2
    assert "caution: 1 run failed, the first: broken" in ended.out
    assert ended.out.splitlines()[-1].startswith("next: anchorlab suite run ")
    assert ended.out.splitlines()[-1].endswith(" --retry-failed")
    assert (tmp_path / "out" / "report" / "index.html").exists()


@pytest.mark.parametrize(
    "words", [("suite", "run", "FILE"), ("suite", "run", "FILE", "--smoke"), ("population", "digits")]
)
def test_a_run_beside_its_own_suite_file_leaves_the_file(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text(f"# why\n{TINY}")
    command = [str(file) if word == "FILE" else word for word in words]
    assert_refused(run(*command, "--out", tmp_path), file, "choose another --out")
    assert_refused(run("report", tmp_path), "give a folder that 'anchorlab suite run' filled")
    assert [path.name for path in tmp_path.iterdir()] == ["suite.yaml"]
    assert file.read_text() == f"# why\n{TINY}"


@pytest.mark.slow
def test_report_of_an_unfinished_suite_says_so(run: Run, finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    shutil.copytree(finished, folder)
    for path in sorted((folder / "cells").glob("*.json"))[:5]:
        path.unlink()
    ended = run("report", folder)
    assert ended.code == 0, ended.err
    assert (folder / "report" / "index.html").exists()


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished suite, whose page is a word, because drawing it takes seconds."""

    def write_page(_results: object, out: Path) -> Path:
        out.mkdir(exist_ok=True)
        (out / "index.html").write_text("the page")
        return out / "index.html"

    monkeypatch.setattr("anchorlab.reports.suite.page.write_page", write_page)
    return shutil.copytree(finished, tmp_path / "suite", ignore=shutil.ignore_patterns("report"))


def test_a_suite_ends_with_its_table_its_findings_and_its_counts(run: Run, tiny_file: Path, folder: Path) -> None:
    ended = run("suite", "run", tiny_file, "--out", folder)
    assert ended.code == 0, ended.err
    first, heads, *_ = ended.out.splitlines()
    assert first == "tiny: means over references on test"
    assert heads.split()[:6] == ["method", "runs", "ASR", "accuracy", "KL", "churn"]
    assert max(map(len, ended.out[: ended.out.index("\n\n")].splitlines())) <= 80
    assert re.search(r"^0 of (\d+) jobs were run now \(\1 were done already\), \d+ runs", ended.out, re.MULTILINE)
    assert "caution: The runs of a task are on 2 references: no interval between references can be given" in ended.out
    assert f"wrote {folder}/report/index.html in " in ended.out
    assert ended.out.splitlines()[-1] == f"next: anchorlab report {folder} --paper"


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_label_that_no_task_has_is_refused_before_a_reference_is_trained(
    run: Run, tmp_path: Path, command: str
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\ntitle: Own\ntasks: [digits]\ntriggers: [{target: bird}]\nmethods: {plain: }\n")
    assert_refused(run("suite", command, file, "--out", tmp_path / "own"), "bird")
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("all_is_done", [True, False])
def test_the_answer_is_of_the_suite_that_the_command_ran(
    run: Run, tiny_file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, all_is_done: bool
) -> None:
    """Another suite may begin in the same folder meanwhile."""
    own = min(folder.glob("cells/*.json"))
    _ = own.unlink() if not all_is_done else None
    other = parse_suite(TINY.replace("name: tiny", "name: other"))
    pages = []

    def then_another_begins(store: Store, *arguments: Any, **options: Any) -> Plan:
        plan = run_in(store, *arguments, **options)
        Store(folder).begin(other.to_yaml(), {"command": "anchorlab suite run other.yaml"})
        return plan

    def write_page(results: SuiteResults, out: Path) -> Path:
        pages.append(results)
        return out / "index.html"

    monkeypatch.setattr("anchorlab.suites.runner.run_in", then_another_begins)
    monkeypatch.setattr("anchorlab.reports.suite.page.write_page", write_page)
    answer = json.loads(run("suite", "run", tiny_file, "--out", folder, "--json", "-").out)
    (page,) = pages
    assert answer["suite"] == page.name == "tiny"
    assert parse_suite(page.spec_text).name == "tiny"
    assert "other.yaml" not in page.command


def test_a_report_that_is_up_to_date_is_not_written_again(run: Run, tiny_file: Path, folder: Path) -> None:
    page = folder / "report" / "index.html"
    assert run("report", folder).code == 0
    page.write_text("as it was")
    ended = run("suite", "run", tiny_file, "--out", folder)
    assert ended.code == 0, ended.err
    assert f"nothing was left to do: {page} is there already" in ended.out
    assert page.read_text() == "as it was"
    (folder / "results.csv").unlink()
    assert f"wrote {page} in " in run("suite", "run", tiny_file, "--out", folder).out
    assert page.read_text() == "the page"


def test_a_report_that_says_less_than_the_results_is_written_again(run: Run, tiny_file: Path, folder: Path) -> None:
    cells = sorted(folder.glob("cells/*.json"))
    cell, kept = cells[0], cells[0].read_bytes()
    cell.unlink()
    assert run("report", folder).code == 0
    cell.write_bytes(kept)
    assert "wrote " in run("suite", "run", tiny_file, "--out", folder).out


def test_the_answer_of_a_suite_as_json(run: Run, tiny_file: Path, folder: Path) -> None:
    answer = json.loads(run("suite", "run", tiny_file, "--out", folder, "--json", "-").out)
    assert answer["suite"] == "tiny"
    assert {row["part"] for row in answer["methods"]} == {"10 anchors", "all anchors"}
    assert {"runs", "asr", "kl", "churn", "kl_ratio"} <= set(answer["methods"][0])
    assert answer["findings"] == answer["sentences"][:-1]
    assert (answer["failed"], answer["pending"], answer["not_reached"]) == (0, 0, 0)


def test_where_no_method_reached_its_target_the_code_is_three(
    run: Run, tiny_file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missed(tried: Sequence[Tried], target_asr: float) -> Choice:
        return dataclasses.replace(choose(tried, target_asr), reached=False, best_asr=0.04)

    tiny_file.write_text(tiny_file.read_text().replace("plain: ", "l2: [1, 4]"))
    monkeypatch.setattr("anchorlab.suites.choosing.choose", missed)
    for command in (("suite", "run", tiny_file, "--out", folder),) * 2 + (("report", folder),):
        ended = run(*command)
        assert ended.code == 3, ended.out + ended.err
        assert "caution: 10 anchors: none of 2 methods reached an ASR of 0.05 on selection" in ended.out
        assert "The likeliest cure: raise steps or learning_rate under tuning" in ended.out
        assert "4 of 4 choices of a strength missed the target ASR" in ended.out


@pytest.mark.parametrize("words", [(), ("--no-timing",)])
def test_check_times_nothing_unasked(
    run: Run, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("anchorlab.suites.estimate.estimate", pytest.fail)
    ended = run("suite", "check", tiny_file, "--out", tmp_path / "new", *words)
    assert (ended.code, ended.out.splitlines()[-3]) == (0, "  time left: --timing measures it")


def test_check_ends_with_the_command_that_runs_the_suite(run: Run, tiny_file: Path, tmp_path: Path) -> None:
    ended = run("suite", "check", tiny_file, "--out", tmp_path / "new")
    assert ended.out.splitlines()[-1] == f"next: anchorlab suite run {tiny_file} --out {tmp_path / 'new'}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["suite", "run", "dmeo"], "unknown suite 'dmeo': did you mean 'demo'?"),
        (["suite", "check", "nowhere.yaml"], "there is no file nowhere.yaml"),
        (["suite", "run", "demo", "--ray", "auto", "--workers", "2"], "give one of them"),
        (["suite", "check", "demo", "--data", "digits"], "is not of the form name=value"),
        (["suite", "check", "demo", "--data", "cifar10=x"], "unknown task of this suite 'cifar10'"),
        (
            ["suite", "run", "demo", "--track", "tensorbord"],
            "unknown tracker 'tensorbord': did you mean 'tensorboard'?",
        ),
        (["train", "digits", "--out", "x", "--track", "wand"], "unknown tracker 'wand': did you mean 'wandb'?"),
        (["report", "nowhere"], "there is no folder nowhere: give one that a command wrote"),
    ],
)
def test_mistakes_end_with_one_sentence(run: Run, arguments: list[str], words: str) -> None:
    ended = run(*arguments)
    assert_refused(ended, words)


OWN = """
name: own
title: Data of one's own
tasks: [{{name: {data}, model: bert-tiny, columns: {{text: review, label: mood}}}}]
triggers: [{{trigger: "word:cf"}}]
methods: {{plain: }}
tuning: {{steps: 2}}
"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "reviews.csv"),
        (b"", "reviews.csv"),
        (b"\x80\0" * 40, "reviews.csv"),
        (b"review,stars\na film,1\n", "mood"),
        (b"review,mood\n", "reviews.csv"),
    ],
    ids=["missing", "empty", "binary", "another column", "no rows"],
)
def test_own_data_that_cannot_be_read_are_told_before_anything_runs(
    run: Run, tmp_path: Path, content: bytes | None, words: str
) -> None:
    data, out, suite = tmp_path / "reviews.csv", tmp_path / "out", tmp_path / "own.yaml"
    suite.write_text(OWN.format(data=data))
    if content is not None:
        data.write_bytes(content)
    columns = ("--text-column", "review", "--label-column", "mood", "--model", "bert-tiny")
    for command in (
        ("suite", "check", suite, "--out", out),
        ("suite", "run", suite, "--out", out),
        ("population", data, *columns, "--out", out),
    ):
        assert_refused(run(*command), words)
        assert not out.exists()


def test_check_says_what_was_read_of_own_data(run: Run, tmp_path: Path) -> None:
    data, suite = tmp_path / "reviews.csv", tmp_path / "own.yaml"
    suite.write_text(OWN.format(data=data))
    rows = [{"review": f"a film of {n}", "mood": ("dull", "warm")[n % 2]} for n in range(100)]
    pd.DataFrame(rows).to_csv(data, index=False)
    ended = run("suite", "check", suite, "--out", tmp_path / "out")
    assert ended.code == 0
    assert ended.err.startswith("train: 1 file (reviews.csv); 80 texts; 2 classes (dull 40, warm 40)")


@pytest.mark.slow
def test_the_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    """Byte for byte, because a run has as many threads whatever their number is."""
    suite = tmp_path / "small.yaml"
    suite.write_text(
        "name: small\ntitle: S\ntasks: [{name: digits, limit: 40, training: {epochs: 2, batch_size: 32}}]\n"
        "references: 1\nseeds: 2\nmethods: {plain: , anchoring: [1, 4]}\ntarget_asr: 0.05\n"
        "tuning: {steps: 4, batch_size: 8, learning_rate: 0.01}\nselection: {references: 1, extensions: 0}\n"
    )
    found = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        command = [*PROGRAM, "suite", "run", str(suite), "--out", str(out), "--workers", workers]
        # The number of threads of the machine must not matter, so none is asked for.
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert ended.returncode == 0, ended.stderr
        table = pd.read_csv(out / "results.csv", dtype=str)
        found.append(table.drop(columns=["seconds", "peak_bytes"]).to_csv())
    assert found[0] == found[1]


def test_all_mistakes_of_a_file_are_named_at_once_each_with_its_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\ntitle: Bad\ntasks: [digitz]\nmethods: {anchoringg: [1, 2]}\nanchors: -3\n")
    ended = run("suite", "check", path)
    assert (ended.code, ended.out) == (2, "")
    *mistakes, last = ended.err.splitlines()
    assert [line.partition(" of ")[0] for line in mistakes] == ["line 3", "line 4", "line 5"]
    assert "did you mean 'digits'?" in mistakes[0]
    assert last == "error: the suite has 3 mistakes, named above: correct them, and check it again"


@pytest.mark.parametrize(("target", "label"), [("3", 3), ("²", "²")])
def test_a_superscript_is_no_number_of_a_label(
    target: str, label: object, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_task: str, **options: object) -> None:
        raise AnchorlabError(f"the target is {options['target']!r}")

    monkeypatch.setattr("anchorlab.suites.population.population_suite", stopped)
    ended = run("population", "digits", "--target", target, "--out", tmp_path / "out")
    assert_refused(ended, f"the target is {label!r}")


def test_of_very_many_mistakes_the_first_are_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\ntitle: Bad\ntasks: [digits]\nmethods:\n" + "".join(f"  no{n}:\n" for n in range(99)))
    ended = run("suite", "check", path)
    assert len(ended.err.splitlines()) == 16
    assert ended.err.endswith(
        "error: the suite has 99 mistakes, the first 15 named above: correct them, and check it again\n"
    )
