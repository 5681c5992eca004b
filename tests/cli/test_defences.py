"""``repair``, ``detect`` and ``audit`` from the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from anchorlab.artifacts.artifact import load_model
from tests.refusals import assert_refused


def test_repair_repairs_scores_and_saves(run, tmp_path, reference_folder, injected_folder):
    out = tmp_path / "repaired"
    ended = run(
        "repair", injected_folder, "--repair", "fine-tuning", "--defender-data", "all", "--set", "epochs=1",
        "--reference", reference_folder, "--out", out, "--json", tmp_path / "score.json",
    )  # fmt: skip
    assert ended.code == 0
    assert "the clean" in ended.out
    assert f"the repaired model is {out}" in ended.out
    told = json.loads((tmp_path / "score.json").read_text())
    assert set(told) == {"repaired", "suspicious", "harmed", "effectiveness", "seconds", "peak_bytes"}
    assert told["repaired"]["asr_count"] == told["harmed"]["asr_count"] > 0
    assert load_model(out).manifest.defence["name"] == "fine-tuning"
    compared = run("compare", injected_folder, out)
    assert compared.code == 0
    assert "asr_reference" in compared.out


def test_what_cannot_be_scored_is_refused_before_it_is_repaired(run, tmp_path, injected_folder):
    out = tmp_path / "repaired"
    ended = run(
        "repair",
        injected_folder,
        "--repair",
        "clp",
        "--trigger",
        "square:size=9",
        "--defender-data",
        "all",
        "--out",
        out,
    )
    assert ended.code == 2
    assert "8×8" in ended.err
    assert not out.exists()


def test_an_oracle_is_told_as_one(run, injected_folder):
    ended = run("repair", injected_folder, "--repair", "oracle-anp", "--set", "steps=10", "--defender-data", "all")
    assert ended.code == 0
    assert "an oracle: test data and trigger chose how deep to prune, which no defender can do" in ended.out


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


def test_audit_makes_updates_and_writes_the_power_curve(run, tmp_path, reference_folder, injected_folder):
    out = tmp_path / "audit"
    how = ("--updates", 2, "--steps", 2, "--queries", 50, "--out", out)
    ended = run("audit", reference_folder, injected_folder, *how)
    assert ended.code == 0
    assert "against 2 benign updates" in ended.out
    assert sorted(path.name for path in out.iterdir()) == [
        "audit.json", "power.csv", "power.png", "power.svg", "updates"
    ]  # fmt: skip
    assert json.loads((out / "audit.json").read_text())["queries"] == 50
    given = run("audit", reference_folder, injected_folder, "--benign", out / "updates" / "benign-0", "--queries", 50)
    assert "against 1 benign update," in given.out


def test_they_are_listed(run):
    assert "neural-cleanse: " in run("list", "detectors").out
    listed = run("list", "repairs").out
    assert "fine-pruning: " in listed
    assert "oracle-fine-pruning, oracle-anp." in " ".join(listed.split())


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("repair", "--repair", "fine-tunning"), ("unknown repair 'fine-tunning'", "did you mean 'fine-tuning'?")),
        (("repair", "--repair", "nad", "--defender-data", "some"), ("--defender-data 'some' is not possible",)),
        (
            ("repair", "--repair", "nad", "--defender-data", "9999"),
            ("9,999 clean examples", "the split 'defender' of digits"),
        ),
        (("repair", "--repair", "interpolation", "--defender-data", "all"), ("give --trusted FOLDER",)),
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


def test_an_audit_needs_updates_one_way_or_the_other(run, reference_folder, injected_folder):
    for how in ((), ("--updates", 2, "--benign", injected_folder)):
        ended = run("audit", reference_folder, injected_folder, *how)
        assert ended.code == 2
        assert "give --benign FOLDER, or --updates N, one of them" in ended.err
