"""``detect`` from the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from tests.refusals import assert_refused


def test_detect_scores_models_and_inputs(run, tmp_path, injected_folder):
    out = tmp_path / "of-model"
    of_model = run("detect", injected_folder, "--detector", "last-layer", "--defender-data", "all", "--out", out)
    assert of_model.code == 0
    assert "the higher, the more suspicious" in of_model.out
    assert len(pd.read_csv(out / "last-layer" / "details.csv")) == 10
    assert sorted(path.name for path in (out / "last-layer").iterdir()) == ["details.csv", "detection.json"]
    of_inputs = run(
        "detect", injected_folder, "--detector", "strip", "--set", "blends=4", "--examples", 40,
        "--defender-data", "all", "--out", tmp_path / "of-inputs",
    )  # fmt: skip
    assert of_inputs.code == 0
    assert "strip: AUROC" in of_inputs.out
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
    assert score is None or f"score {score:.4g}" in ended.out
    assert np.asarray(Image.open(tmp_path / "neural-cleanse" / "found.png").convert("L")).std() > 5


def test_detect_takes_several_of_both_kinds(run, injected_folder):
    names = ("last-layer", "activation-clustering", "spectral-signatures")
    asked = [part for name in names for part in ("--detector", name)]
    ended = run("detect", injected_folder, *asked, "--defender-data", "all", "--examples", 40)
    assert ended.code == 0
    assert "last-layer: what was tried" in ended.out
    assert "activation-clustering: AUROC" in ended.out
    assert "spectral-signatures: AUROC" in ended.out
    refused = run("detect", injected_folder, *asked, "--set", "top=1")
    assert refused.code == 2
    assert "--set is for one detector, but 3 are asked" in refused.err


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
        (("detect", "--detector", "strip", "--set", "blend=3"), ("unknown parameter", "did you mean 'blends'?")),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_mistakes_end_in_one_sentence(run, tmp_path, injected_folder, arguments, names):
    command, *rest = arguments
    ended = run(command, injected_folder, *rest)
    assert_refused(ended, *names)
