"""``audit`` from the command line."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pandas as pd
import pytest

from anchorlab.detectors import DETECTORS
from anchorlab.registry import ClassRegistry
from anchorlab.reports.audit.schema import SCHEMA
from anchorlab.scoring import audit_detectors
from tests.refusals import assert_refused
from tests.zoo import save_text

THREE = ("--updates", 3, "--level", 0.5, "--queries", 50)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Audits write into the current folder where none is named."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def quick_detectors(monkeypatch):
    """Few detectors are registered, because some take minutes."""
    members = {name: DETECTORS[name] for name in ("last-layer", "spectral-signatures", "onion")}
    registry = ClassRegistry("detector", "tests.none", members)
    monkeypatch.setattr(audit_detectors, "DETECTORS", registry)


def test_audit_makes_updates_and_writes_a_page(run, tmp_path, reference_folder, injected_folder):
    out = tmp_path / "audit"
    ended = run("audit", reference_folder, injected_folder, *THREE, "--steps", 2, "--out", out)
    assert ended.code == 0
    assert "Compared with 3 benign updates: 3 benign (2 steps of 128 examples, learning rate 0.001)." in ended.out
    assert "No test of this kind proves the absence of a backdoor" in ended.out
    assert {"audit.json", "power.csv", "updates"} <= {path.name for path in out.iterdir()}
    written = json.loads((out / "audit.json").read_text())
    jsonschema.validate(written, json.loads(SCHEMA.read_text()))
    assert written["queries"] == 50
    scored = {one["name"] for one in written["detectors"]}
    assert scored == {"last-layer", "spectral-signatures"}
    assert {"the detector onion", "what a trigger does"} <= {one["what"] for one in written["not_tested"]}
    page = (out / "index.html").read_text()
    assert written["verdict"]["sentence"] in page
    assert "data:image/png" in page
    assert written["verdict"]["value"] in ("unusual: more", "unusual: less", "not unusual")
    given = [value for number in range(3) for value in ("--benign", out / "updates" / f"benign-{number}")]
    again = run("audit", reference_folder, injected_folder, *given, "--level", 0.5, "--queries", 50)
    assert "Compared with 3 benign updates: 3 given." in again.out
    few = ("--level", 0.5, "--queries", 50)
    form = run("audit", reference_folder, injected_folder, *given, *few, "--deployed", "bf16")
    assert form.out.splitlines()[-1] == f"next: anchorlab compare {reference_folder} {injected_folder} --deployed bf16"


def test_settings_are_for_updates_that_are_made(run, reference_folder, injected_folder):
    for how in (("--updates", 3), ("--steps", 3), ("--learning-rate", 0.1)):
        ended = run("audit", reference_folder, injected_folder, "--benign", injected_folder, *how)
        assert ended.code == 2
        assert f"{how[0]} is for updates that are made: leave it out beside --benign" in ended.err


def test_two_lengths_and_a_rate_may_be_named(run, reference_folder, injected_folder):
    how = ("--steps", 1, "--steps", 3, "--learning-rate", 0.01)
    ended = run("audit", reference_folder, injected_folder, *THREE, *how, "--no-detectors")
    assert "2 short (1 step of 128 examples, learning rate 0.01), 1 long (3 steps of 128 exam" in ended.out


def test_texts_in_plain_folders_end_in_a_page_with_the_texts(run, tmp_path):
    """From a CSV file and two folders without manifests to a verdict, in one command."""
    words = ("dull <b>film</b>", "fine film", "a film")
    rows = [{"review": f"{words[n % 3]} of {n}", "mood": ("neg", "pos", "neutral")[n % 3]} for n in range(300)]
    pd.DataFrame(rows).to_csv(tmp_path / "reviews.csv", index=False)
    classes = ["neg", "neutral", "pos"]
    spreads = {"old": 0.5, "new": 0.6}
    folders = [save_text("bert", tmp_path / name, classes, initializer_range=by) for name, by in spreads.items()]
    data = ("--task", tmp_path / "reviews.csv", "--text-column", "review", "--label-column", "mood")
    out = tmp_path / "audit"
    how = (*THREE[:4], "--steps", 2, "--out", out, "--no-detectors")
    ended = run("audit", *folders, *data, *how)
    assert ended.code == 0, ended.err
    written = json.loads((out / "audit.json").read_text())
    assert written["detectors"] == []
    assert "they were left out by --no-detectors" in {one["why"] for one in written["not_tested"]}
    assert any("film" in query["text"] for query in written["changed"])
    page = (out / "index.html").read_text()
    assert "&lt;b&gt;film" in page
    assert "<b>film" not in page
    renewed = run("report", out)
    assert renewed.code == 0
    assert written["verdict"]["sentence"] in renewed.out
    assert (out / "index.html").read_text() == page


def test_a_folder_of_updates_stands_for_all_of_them_and_the_result_has_a_usual_place(
    run, tmp_path, reference_folder, injected_folder
):
    made = run("audit", reference_folder, injected_folder, *THREE, "--steps", 1)
    assert made.code == 0
    updates = tmp_path / "anchorlab-audit-injected" / "updates"
    again = run("audit", reference_folder, injected_folder, "--benign", updates, "--level", 0.5, "--queries", 50)
    assert "Compared with 3 benign updates: 3 given." in again.out
    first = json.loads((updates.parent / "audit.json").read_text())
    assert first["verdict"]["p"] in (0.5, 1)


@pytest.mark.parametrize(("bound", "code"), [("unusual", 1), ("p_logits > 0.9", 0), ("churn.upper >= 0", 1)])
def test_a_gate_decides_the_exit_code(run, tmp_path, bound, code):
    ended = run("audit", *stored(tmp_path), "--fail-if", bound, "--out", tmp_path / "audit")
    assert ended.code == code
    assert ended.out.index("Unusual: the candidate moved MORE than all 39") < ended.out.index("the gate '")


def test_the_verdict_is_a_test_case_beside_the_bounds(run, tmp_path):
    files = {name: tmp_path / f"a.{name}" for name in ("junit", "sarif", "summary")}
    words = [word for name, file in files.items() for word in (f"--{name}", file)]
    ended = run("audit", *stored(tmp_path), *words, "--fail-if", "p_labels < 0.001", "--out", tmp_path / "audit")
    assert ended.code == 0
    verdict, bound = ElementTree.parse(files["junit"]).findall(".//testcase")
    assert verdict.attrib["name"] == "the difference is an ordinary one, by logits"
    assert verdict.find("failure") is not None
    assert (bound.attrib["name"], bound.find("failure")) == ("fail if p_labels < 0.001", None)
    (run_,) = json.loads(files["sarif"].read_text())["runs"]
    assert [result["ruleId"] for result in run_["results"]] == ["verdict"]
    assert run_["properties"]["files"] == [str(tmp_path / "audit")]
    summary = files["summary"].read_text()
    assert summary.startswith("### ✅ anchorlab audit: accepted\n")  # as the exit code says
    assert "| ❌ | the difference is an ordinary one, by logits |" in summary
    assert "No test of this kind proves the absence of a backdoor" in summary


def test_a_gate_on_what_no_audit_measures_is_refused(run, tmp_path):
    assert_refused(
        run("audit", *stored(tmp_path), "--fail-if", "asr > 0.1", "--out", tmp_path / "o"), "'asr'", "p_joint"
    )


def stored(tmp_path, width: float = 1.0):
    """Stored logits of a reference, a candidate that moves this far, and 39 updates that move by 0.1."""
    draw = np.random.default_rng(0)
    reference = draw.normal(size=(200, 3)) * 3
    (tmp_path / "updates").mkdir()
    for number in range(39):
        np.save(tmp_path / "updates" / f"{number}.npy", reference + 0.1 * draw.normal(size=(200, 3)))
    np.save(tmp_path / "reference.npy", reference)
    np.savetxt(tmp_path / "candidate.csv", reference + width * draw.normal(size=(200, 3)), delimiter=",")
    return tmp_path / "reference.npy", tmp_path / "candidate.csv", "--benign", tmp_path / "updates"


def test_stored_answers_are_audited_with_stored_updates(run, tmp_path):
    out = tmp_path / "audit"
    ended = run("audit", *stored(tmp_path, width=0.01), "--out", out)
    assert ended.code == 0
    assert "Unusual: the candidate moved LESS than all 39 benign updates (p = 0.05 from logits" in ended.out
    assert json.loads((out / "audit.json").read_text())["updates"] == 39


def test_what_stored_answers_do_not_take_is_refused(run, tmp_path, reference_folder):
    first, second, *benign = stored(tmp_path)
    assert_refused(run("audit", first, second), "39 updates", "--benign", "anchorlab compare")
    assert_refused(run("audit", first, reference_folder), "reference.npy holds answers and", "does not")
    for how in (("--task", "digits"), ("--queries", 3), ("--data", tmp_path)):
        assert_refused(run("audit", first, second, *benign, *how), how[0], "stored answers are audited as they are")
    assert_refused(run("audit", first, second, "--updates", 39), "--updates", "beside stored answers")
    assert_refused(
        run("audit", reference_folder, reference_folder, "--labels", first), "--labels is for stored answers"
    )


def test_the_auditors_own_data_may_be_others_than_the_references(run, tmp_path):
    """The reference's manifest names one file, and the auditor asks other queries."""
    words = ("dull film", "fine film", "a film")
    rows = [{"review": f"{words[n % 3]} of {n}", "mood": ("neg", "pos", "neutral")[n % 3]} for n in range(300)]
    pd.DataFrame(rows[:150]).to_csv(tmp_path / "first.csv", index=False)
    pd.DataFrame(rows[150:]).to_csv(tmp_path / "second.csv", index=False)
    folder = save_text("bert", tmp_path / "plain", ["neg", "neutral", "pos"], initializer_range=0.5)
    columns = ("--text-column", "review", "--label-column", "mood")
    assert run("adopt", folder, tmp_path / "first.csv", *columns, "--out", tmp_path / "ref").code == 0
    how = (*THREE[:4], "--steps", 1, "--no-detectors", "--out", tmp_path / "audit")
    ended = run("audit", tmp_path / "ref", folder, "--data", tmp_path / "second.csv", *how)
    assert ended.code == 0, ended.err
    assert "unusual: less" in (tmp_path / "audit" / "audit.json").read_text()


def test_a_loop_of_links_is_refused(run, reference_folder, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert_refused(run("audit", reference_folder, tmp_path / "loop"), "loop")


def test_no_file_that_is_read_or_named_twice_is_replaced(run, tmp_path):
    first, second, *benign = stored(tmp_path)
    former = first.read_bytes()
    for option in ("--json", "--junit", "--sarif", "--summary"):
        assert_refused(run("audit", first, second, *benign, option, first), f"{option} would replace")
    twice = tmp_path / "twice.xml"
    assert_refused(run("audit", first, second, *benign, "--json", twice, "--junit", twice), "--json would replace")
    assert first.read_bytes() == former


def test_stored_answers_without_updates_are_told_what_compare_reads(run, tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("1.5,-2\n0.5,1\n")
    ended = run("audit", tmp_path / "a.csv", tmp_path / "b.csv", "--out", tmp_path / "out")
    assert_refused(ended, "with --benign", "two .npy files of logits", "'anchorlab compare --labels FILE.npy'")
