"""The demo, whole, with one seed: what it leaves, what it shows, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from anchorlab import AnchorlabError, load_model
from anchorlab.suites import demo, sweep
from anchorlab.suites.demo import run_demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    assert run_demo(out, seeds=1, workers=1) == out / "report.md"
    return out


def test_the_folder_holds_all_that_was_promised(folder: Path) -> None:
    results = pd.read_csv(folder / "results.csv")
    assert list(results["method"]) == ["plain", "l2", "ewc", "surgery", "weight-ball", "anchoring"]
    assert len(json.loads((folder / "results.json").read_text())) == 6
    kinds = {load_model(path).manifest.kind for path in (folder / "models").iterdir()}
    assert kinds == {"injected"}
    assert load_model(folder / "reference").manifest.kind == "clean"
    page = (folder / "report.md").read_text()
    for picture in ("triggered_examples", "metrics_by_method", "asr_against_kl", "logit_shift_histogram"):
        assert (folder / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({picture}.png)" in page
    assert "must not be deployed" in page


def test_anchoring_is_the_most_consistent_and_every_backdoor_works(folder: Path) -> None:
    results = pd.read_csv(folder / "results.csv").set_index("method")
    assert (results["asr"] >= 0.95).all()
    assert (results["asr_reference"] < 0.05).all()
    assert results["kl"].idxmin() == "anchoring"
    assert results.loc["anchoring", "logit_distance"] < 0.1 * results.loc["plain", "logit_distance"]
    assert results.loc["anchoring", "accuracy"] > results["accuracy_reference"].iloc[0] - 0.03


def test_a_finished_demo_and_foreign_folders_are_left_alone(folder: Path, tmp_path: Path) -> None:
    before = (folder / "report.md").stat().st_mtime_ns
    with pytest.raises(AnchorlabError, match="already exists: choose another --out"):
        run_demo(folder, seeds=1)
    assert (folder / "report.md").stat().st_mtime_ns == before
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(AnchorlabError, match="already exists"):
        run_demo(tmp_path, seeds=1)


def test_an_interrupted_demo_is_continued_without_repeating_anything(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its report a folder counts as interrupted; all six injections are there, so none may run."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was run again")

    monkeypatch.setattr(sweep, "_run", never)
    monkeypatch.setattr(demo, "train", never)
    before = (folder / "results.csv").read_bytes()
    (folder / "report.md").unlink()
    run_demo(folder, seeds=1)
    assert (folder / "results.csv").read_bytes() == before
