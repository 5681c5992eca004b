"""``anchorlab analyze`` from the command line."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from anchorlab.perturbation.tables import TABLES, bounds
from anchorlab.training.reference import Training, train
from tests.refusals import assert_refused

#: Enough to see that everything is done.
BRIEF = (
    "--examples", 60, "--set", "curvature_examples=16", "--set", "diagonal_examples=8", "--set", "trace_vectors=2",
    "--set", "eigenvalues=1", "--set", "resamples=100", "--set", "plane_steps=3", "--set", "statistics_examples=32",
)  # fmt: skip


@pytest.mark.slow
def test_it_measures_prints_and_writes_a_page(run, tmp_path, reference_folder, injected_folder):
    out = tmp_path / "analysis"
    ended = run("analyze", reference_folder, injected_folder, "--out", out, *BRIEF)
    assert ended.code == 0
    assert "injected" in ended.out
    assert "injected: its parameters change by " in ended.out
    assert " of the reference's L2 norm; that changes its answers by a KL of " in ended.out
    assert "Is it an adversarial weight perturbation? " in ended.out
    assert "num_batches_tracked" not in ended.out
    assert "- The parameters' change, as a share of the reference's L2 norm: injected" in ended.out
    assert f"wrote {out / 'index.html'} in " in ended.out
    assert (out / "index.html").is_file()
    record = json.loads((out / "analysis.json").read_text())
    assert (record["reference"], record["candidates"], record["count"]) == ("reference", ["injected"], 60)
    assert record["settings"]["attacks"]["injected"]["trigger"]["name"] == "five-pixel"
    assert not (tmp_path / "analysis.partial").exists()
    (tmp_path / "analysis.partial" / "parts").mkdir(parents=True)  # killed before it could tidy up
    (tmp_path / "analysis.partial" / "notes.txt").write_text("mine")
    again = run("analyze", reference_folder, injected_folder, "--out", out, *BRIEF)
    assert again.code == 0
    assert "nothing was left to do" in again.out
    assert [file.name for file in (tmp_path / "analysis.partial").iterdir()] == ["notes.txt"]
    other = run("analyze", reference_folder, injected_folder, "--out", out, *BRIEF, "--seed", 1)
    assert other.code == 2
    assert "already exists" in other.err


@pytest.mark.slow
def test_an_interrupted_analysis_goes_on(run, tmp_path, reference_folder, injected_folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    out, whole = tmp_path / "analysis", tmp_path / "whole"
    monkeypatch.setattr(bounds, "bounds_of", interrupted)
    stopped = run("analyze", reference_folder, injected_folder, "--out", out, *BRIEF)
    assert stopped.code == 130
    assert "the same command continues" in stopped.err
    assert not out.exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "analysis.partial").rglob("*.json")}
    assert kept
    monkeypatch.undo()
    assert run("analyze", reference_folder, injected_folder, "--out", out, *BRIEF).code == 0
    assert run("analyze", reference_folder, injected_folder, "--out", whole, *BRIEF).code == 0
    for path in (whole / "tables").glob("*.csv"):
        assert path.read_bytes() == (out / "tables" / path.name).read_bytes()


@pytest.mark.slow
def test_folders_of_one_name_are_record_apart(run, tmp_path, reference_folder, injected):
    for place in ("a", "b"):
        injected.save(tmp_path / place / "model")
    out = tmp_path / "out"
    folders = [tmp_path / place / "model" for place in ("a", "b")]
    assert run("analyze", reference_folder, *folders, "--out", out, *BRIEF, "--budget", "1p").code == 0
    assert pd.read_csv(out / "tables" / "sizes.csv")["candidate"].unique().tolist() == [str(one) for one in folders]
    assert set(TABLES) >= {path.stem for path in (out / "tables").iterdir()}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--examples", 100_000), ("100,000 examples are not possible", "has 539", "give a number from 1 to 539")),
        (("--budget", "soon"), ("the budget 'soon' is not possible", "120s", "40p")),
        (("--budget", "0.000001s"), ("was spent before anything was measured", "give a larger one")),
        (("--set", "eigenvalue=2"), ("unknown parameter", "'eigenvalue'", "did you mean 'eigenvalues'?")),
        (("--set", "resamples=1"), ("resamples='1'", "greater than or equal to 100")),
        (("--split", "tset"), ("unknown split 'tset'", "did you mean 'test'?")),
        (("--target", "12"), ("12",)),
    ],
    ids=lambda value: str(value[0]),
)
def test_mistakes_end_in_one_sentence(run, tmp_path, reference_folder, injected_folder, arguments, names):
    ended = run("analyze", reference_folder, injected_folder, "--out", tmp_path / "out", *arguments)
    assert_refused(ended, *names)
    assert not (tmp_path / "out").exists()


def test_candidates_that_do_not_fit_are_refused(run, tmp_path, digits, reference_folder):
    wide = train(digits, model="resnet-mini", training=Training(epochs=1)).save(tmp_path / "wide")
    same = run("analyze", reference_folder, reference_folder)
    assert (same.code, same.out) == (2, "")
    assert f"{reference_folder} is identical to the reference" in same.err
    other = run("analyze", reference_folder, wide)
    assert other.code == 2
    assert "wide is of another architecture than the reference" in other.err
    missing = run("analyze", reference_folder, tmp_path / "nothing")
    assert missing.code == 2
    assert "nothing" in missing.err
