"""The page of any folder that a command wrote."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from anchorlab import Artifact, Task, compare_logits, detect, write_report
from anchorlab.reports.analysis import write_analysis
from anchorlab.reports.comparison import write_comparison
from anchorlab.reports.detection import write_input_score, write_model_score
from tests.made_up_analysis import made_up
from tests.refusals import refused


@pytest.mark.slow
def test_the_report_of_a_folder_stands_in_it(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "suite"))
    assert write_report(str(folder)) == folder / "report" / "index.html"
    assert (folder / "results.csv").is_file()
    assert list((folder / "report" / "tables").glob("*.tex"))


@pytest.mark.slow
def test_another_place_leaves_the_folder_alone(finished: Path, tmp_path: Path) -> None:
    before = sorted(finished.rglob("*"))
    for _ in range(2):
        assert write_report(finished, out=tmp_path / "out") == tmp_path / "out" / "index.html"
    assert (tmp_path / "out" / "results.csv").is_file()
    assert sorted(finished.rglob("*")) == before


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            (),
            r"holds nothing that a command of anchorlab wrote: give .*suite\.yaml by anchorlab suite run",
        ),
        (("config.json",), r"a model folder without anchorlab\.json.*: give it one by 'anchorlab adopt'"),
    ],
    ids=["empty", "model"],
)
def test_a_folder_that_no_command_wrote_is_refused(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    refused(message, write_report, tmp_path)


def test_what_an_interrupted_command_left_is_refused(tmp_path: Path) -> None:
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "settings.json").write_text("{}")
    refused("what an interrupted command left: repeat the command", write_report, partial)


def test_a_page_that_no_command_wrote_is_not_replaced(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=(4, 4))
    write_comparison(compare_logits(logits, logits, np.arange(4)), "a", "b", tmp_path / "compared")
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").write_text("<title>My own page</title>")
    refused("index.html is none that 'anchorlab report' wrote", write_report, tmp_path / "compared", out=other)
    assert (other / "index.html").read_text() == "<title>My own page</title>"
    (other / "index.html").unlink()
    before = write_report(tmp_path / "compared", out=other).read_text()
    assert write_report(tmp_path / "compared", out=other).read_text() == before  # its own page is replaced


def test_no_folder_is_refused(tmp_path: Path) -> None:
    refused("there is no folder", write_report, tmp_path / "nothing")


def test_the_page_of_a_model_says_what_it_is_from_its_manifest_alone(tmp_path: Path, injected: Artifact) -> None:
    folder = injected.save(tmp_path / "<b>model</b>")
    (folder / "model.safetensors").unlink()
    page = write_report(folder)
    assert page == folder / "report" / "index.html"
    text = page.read_text()
    assert "RESEARCH ARTEFACT" in text
    assert "resnet-tiny on digits: injected by anchoring" in text
    assert "<b>model" not in text
    assert 'href="tables' not in text


def test_the_page_of_a_clean_model_has_no_caution(tmp_path: Path, reference: Artifact) -> None:
    text = write_report(reference.save(tmp_path / "model")).read_text()
    assert "This is a clean reference model" in text
    assert 'class="caution"' not in text


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "anchorlab.json").write_text("{}")
    refused(r"anchorlab\.json.*; copy the folder again, or make the model again", write_report, tmp_path)


def test_an_analysis_is_read_back_and_its_page_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anchorlab.reports.analysis.page.figures_of", lambda _: ())  # they take seconds
    page = write_analysis(made_up(), tmp_path / "analysis")
    before = page.read_text()
    page.unlink()
    assert write_report(tmp_path / "analysis") == page
    assert page.read_text() == before


def test_an_analysis_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "analysis.json").write_text('{"format": 99}')
    refused("another version, expected format 1", write_report, tmp_path)


def test_a_comparison_has_a_page_from_its_file_or_its_folder(tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    logits = 4 * np.eye(3)[labels] - 1 - 0.01 * labels[:, None]
    comparison = compare_logits(logits, np.roll(logits, 1, axis=0), labels)
    page = write_comparison(comparison, "<i>a</i>", "b", tmp_path / "compared")
    before = page.read_text()
    assert "The candidate predicts otherwise than the reference on 60 of 60" in before
    assert "&lt;i&gt;a" in before
    assert write_report(tmp_path / "compared") == page
    assert page.read_text() == before
    file = tmp_path / "c.json"
    file.write_text(comparison.model_dump_json())
    assert write_report(file) == tmp_path / "c-report" / "index.html"


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"a": 1}')
    refused("holds no comparison of two models", write_report, file)


def test_a_folder_of_detections_has_a_page(tmp_path: Path, injected: Artifact, digits: Task) -> None:
    score = detect(injected, "last-layer", task=digits, defender_data=None)
    write_model_score(score, "last-layer", injected, digits, tmp_path / "last-layer")
    inputs = detect(injected, "spectral-signatures", task=digits, defender_data=None, examples=40)
    write_input_score(inputs, "spectral-signatures", tmp_path / "spectral-signatures")
    text = write_report(tmp_path).read_text()
    assert f"last-layer gives the model a score of {score.score:.4g}" in text
    assert "spectral-signatures ranks a triggered input above a clean one" in text
    assert "no detector proves the absence of a backdoor" in text


def test_a_damaged_detection_is_refused(tmp_path: Path) -> None:
    (tmp_path / "detection.json").write_text("{}")
    refused("is damaged .*: run anchorlab detect again", write_report, tmp_path)
