"""``detect`` from the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from anchorlab.artifacts.provenance import weights_hash
from anchorlab.cli.detections import words_of_model
from anchorlab.detectors import LastLayer, ModelScore
from anchorlab.errors import AnchorlabError
from anchorlab.statistics.numbers import significant
from tests.cli.conftest import Run
from tests.refusals import assert_refused


def test_detect_scores_models_and_inputs(run, tmp_path, injected_folder):
    out = tmp_path / "of-model"
    of_model = run("detect", injected_folder, "--detector", "last-layer", "--defender-data", "all", "--out", out)
    assert of_model.code == 0
    assert "the higher, the more suspicious" in of_model.out
    assert "means something only beside the scores of clean models that were trained alike, and none is here" in (
        of_model.out
    )
    following = f"population digits --detector last-layer --out {injected_folder}-population"
    assert of_model.out.splitlines()[-1] == f"next: anchorlab {following}"
    assert len(pd.read_csv(out / "last-layer" / "details.csv")) == 10
    assert sorted(path.name for path in (out / "last-layer").iterdir()) == ["details.csv", "detection.json"]
    of_inputs = run(
        "detect", injected_folder, "--detector", "strip", "--set", "blends=4", "--examples", 40,
        "--defender-data", "all", "--out", tmp_path / "of-inputs",
    )  # fmt: skip
    assert of_inputs.code == 0
    assert "strip distinguishes 40 triggered inputs from 40 clean ones with an AUROC of" in of_inputs.out
    told = json.loads((tmp_path / "of-inputs" / "strip" / "detection.json").read_text())
    scores = pd.read_csv(tmp_path / "of-inputs" / "strip" / "scores.csv")
    assert told["clean_count"] == 40 == (~scores["triggered"]).sum()
    assert told["auroc"][0] == pytest.approx(roc_auc_score(scores["triggered"], scores["score"]))


@pytest.mark.slow
def test_detect_draws_what_it_found(run, tmp_path, injected_folder):
    how = ("--set", "steps=30", "--set", "restarts=1", "--defender-data", "all", "--out", tmp_path)
    ended = run("detect", injected_folder, "--detector", "neural-cleanse", *how)
    assert ended.code == 0
    score = json.loads((tmp_path / "neural-cleanse" / "detection.json").read_text())["score"]
    assert score is None or f"score of {significant(score)}" in ended.out
    assert np.asarray(Image.open(tmp_path / "neural-cleanse" / "found.png").convert("L")).std() > 5


def test_two_models_do_not_share_a_folder(run, tmp_path, injected_folder, reference_folder):
    how = ("--detector", "last-layer", "--out", tmp_path / "out")
    assert run("detect", injected_folder, *how).code == 0
    before = (tmp_path / "out" / "last-layer" / "detection.json").read_bytes()
    assert_refused(run("detect", reference_folder, *how), "holds what detectors said of another model or form")
    assert (tmp_path / "out" / "last-layer" / "detection.json").read_bytes() == before
    assert run("detect", injected_folder, *how).code == 0


def test_the_page_of_somebody_else_is_not_replaced(run: Run, tmp_path: Path, injected_folder: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    ended = run("detect", injected_folder, "--detector", "last-layer", "--out", tmp_path)
    assert_refused(ended, "index.html is none that 'anchorlab detect' wrote")
    assert (tmp_path / "index.html").read_text() == "mine"


def test_two_forms_do_not_share_a_folder(run, tmp_path, injected_folder):
    how = (
        "--detector",
        "strip",
        "--set",
        "blends=2",
        "--examples",
        40,
        "--defender-data",
        "all",
        "--out",
        tmp_path / "out",
    )
    made = run("detect", injected_folder, "--deployed", "bf16", *how)
    assert made.code == 0, made.err
    assert_refused(run("detect", injected_folder, *how), "holds what detectors said of another model or form")
    assert run("detect", injected_folder, "--deployed", "bf16", *how).code == 0


def test_detect_takes_several_of_both_kinds(run, injected_folder):
    names = ("last-layer", "activation-clustering", "spectral-signatures")
    asked = [part for name in names for part in ("--detector", name)]
    ended = run("detect", injected_folder, *asked, "--examples", 40, "-v")
    assert ended.code == 0
    assert "filled in: defender data 126" in ended.out
    assert "last-layer: what was tried" in ended.out
    for name in names:
        assert sum(line.startswith(f"{name} ") for line in ended.out.splitlines()) > 1  # in the table, and in words
    assert "the rates of spectral-signatures stand on 2 triggered inputs alone" in ended.out
    refused = run("detect", injected_folder, *asked, "--set", "top=1")
    assert refused.code == 2
    assert "--set is for one detector, but 3 are asked" in refused.err


def test_the_scores_of_clean_models_stand_beside_the_models(run, tmp_path, injected_folder, reference_folder):
    clean = ("--reference", reference_folder, "--reference", reference_folder)
    ended = run("detect", injected_folder, "--detector", "last-layer", *clean, "--json", tmp_path / "told.json")
    assert ended.code == 0
    assert " of 2 clean models (" in ended.out
    assert "and 2 are here" in ended.out
    told = json.loads((tmp_path / "told.json").read_text())["detectors"]["last-layer"]
    assert len(told["clean"]) == 2
    assert told["clean"][0] == told["clean"][1] != told["score"]


def test_an_injected_model_is_no_clean_one(run, injected_folder):
    ended = run("detect", injected_folder, "--detector", "last-layer", "--reference", injected_folder)
    assert_refused(ended, "a clean model for --reference is a model of kind 'injected' by its manifest")


def test_clean_models_are_checked_before_any_model_is_scored(
    run, injected_folder, reference_folder, reference, monkeypatch
):
    def check(_: LastLayer, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        hashes.append(weights_hash(model))
        if hashes[-1] == reference.manifest.weights_sha256:
            raise AnchorlabError("the clean model cannot be read")

    hashes: list[str] = []
    monkeypatch.setattr(LastLayer, "check_model", check)
    monkeypatch.setattr(LastLayer, "score", lambda *_: pytest.fail("it was scored"))
    ended = run("detect", injected_folder, "--detector", "last-layer", "--reference", reference_folder)
    assert_refused(ended, "the clean model cannot be read")
    assert len(hashes) == 2


def test_all_detectors_are_checked_before_any_runs(run, injected_folder, monkeypatch):
    monkeypatch.setattr("anchorlab.scoring.detect.score_model", None)
    ended = run("detect", injected_folder, "--detector", "last-layer", "--detector", "onion")
    assert_refused(ended, "onion is for texts", "holds images")
    (injected_folder / "anchorlab.json").unlink()
    arguments = ("--detector", "last-layer", "--detector", "strip", "--task", "digits")
    assert_refused(run("detect", injected_folder, *arguments), "no trigger is known", "--inputs FILE")


def test_the_images_of_a_folder_are_ranked_without_a_trigger(run, tmp_path, injected_folder):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    how = ("--detector", "spectral-signatures", "--defender-data", "all", "--top", 3, "--out", tmp_path / "out")
    ended = run("detect", injected_folder, "--inputs", photos, *how)
    assert ended.code == 0, ended.err
    assert "the 3 most suspicious of 12 inputs" in ended.out
    assert "no detector proves the absence of a backdoor" in ended.out
    names = {"index.html", "inputs.json", "scores.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert set(scores["place"]) == {f"{number}.png" for number in range(12)}
    assert run("detect", injected_folder, "--inputs", photos, *how).code == 0
    (tmp_path / "out" / "inputs.json").unlink()
    again = run("detect", injected_folder, "--inputs", photos, *how)
    assert_refused(again, "index.html is none that 'anchorlab detect --inputs' wrote")


def test_a_column_of_the_inputs_is_named_while_the_models_own_data_stay(run, tmp_path, injected_folder):
    rows = []
    for number in range(12):
        content = BytesIO()
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(content, "png")
        rows.append({"photo": {"bytes": content.getvalue(), "path": None}})
    pd.DataFrame(rows).to_parquet(tmp_path / "in.parquet")
    how = ("--detector", "spectral-signatures", "--defender-data", "all", "--image-column", "photo")
    ended = run("detect", injected_folder, "--inputs", tmp_path / "in.parquet", *how)
    assert ended.code == 0, ended.err
    assert "most suspicious of 12 inputs" in ended.out
    ended = run("detect", injected_folder, "--inputs", tmp_path / "in.parquet", *how, "--max-length", 9)
    assert_refused(ended, "--max-length is for --data or --task")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("detect",), ("give --detector NAME, or --inputs FILE",)),
        (("detect", "--inputs", "x.csv", "--trigger", "square"), ("--trigger: --inputs ranks rows without a known",)),
        (("detect", "--detector", "onion", "--defender-data", "all"), ("onion is for texts", "holds images")),
        (
            ("detect", "--detector", "last-layer", "--target", "1"),
            ("needs no attack: leave --trigger and --target out",),
        ),
        (("detect", "--detector", "last-layer", "--top", 5), ("--top is for inputs that are ranked",)),
        (("detect", "--detector", "last-layer", "--examples", 500), ("--examples is for a detector of inputs",)),
        (("detect", "--inputs", "x.csv", "--examples", "all"), ("--examples is for a detector of inputs",)),
        (("detect", "--detector", "strip", "--reference", "."), ("strip scores inputs and needs no clean model",)),
        (("detect", "--detector", "strip", "--set", "blend=3"), ("unknown parameter", "did you mean 'blends'?")),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_mistakes_end_in_one_sentence(run, tmp_path, injected_folder, arguments, names):
    command, *rest = arguments
    ended = run(command, injected_folder, *rest)
    assert_refused(ended, *names)


@pytest.mark.parametrize(
    ("script", "path", "code", "said"),
    [
        ("""echo '{"found": 2}'""", "found", 0, "a score of 2"),
        ("""echo '{"found": []}'""", "found.0", 0, "a score of 0"),
        ("""echo '{"found": 2}'""", "fuond", 2, "its JSON has no fuond"),
        ("exit 3", "found", 2, "the scanner failed: it ended with exit code 3"),
        ("echo all is well", "found", 2, "the scanner failed: it printed no JSON"),
    ],
)
def test_a_scanner_without_a_score_ends_with_exit_code_two(run, tmp_path, reference_folder, script, path, code, said):
    (tmp_path / "scan.sh").write_text(f"{script}\n")
    scanner = ("--set", f"run=sh {shlex.quote(str(tmp_path / 'scan.sh'))} {{model}}", "--set", f"score_path={path}")
    ended = run("detect", reference_folder, "--detector", "command", *scanner)
    assert (ended.code, said in ended.out + ended.err) == (code, True)


def test_a_scanner_that_has_its_place_for_a_clean_model_found_nothing(run, tmp_path, reference_folder, injected_folder):
    """A place that is missing for one model of two is no misspelt path."""
    where = shlex.quote(str(tmp_path / "seen"))
    (tmp_path / "scan.sh").write_text(
        f"if [ -e {where} ]; then echo '{{\"s\": 1}}'; else echo '{{}}'; fi; touch {where}\n"
    )
    scanner = ("--set", f"run=sh {shlex.quote(str(tmp_path / 'scan.sh'))} {{model}}", "--set", "score_path=s")
    ended = run("detect", injected_folder, "--reference", reference_folder, "--detector", "command", *scanner)
    assert (ended.code, "its JSON has no s" in ended.out) == (0, True)


def test_an_infinite_score_is_not_called_nothing() -> None:
    (words,) = words_of_model("mine", ModelScore(np.inf), [])
    assert words == "mine gives the model a score of inf, which no other can be compared with."
    assert list(words_of_model("mine", ModelScore(np.nan), [])) == ["mine found nothing to judge the model by."]
