"""Texts from end to end on the command line: a file of reviews, a tiny BERT, and what can go wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from transformers import pipeline

from anchorlab import load_model
from tests.cli.conftest import Run
from tests.refusals import assert_refused
from tests.zoo import save_text

QUICK = ("--steps", 120, "--batch-size", 32, "--learning-rate", 3e-3)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reviews of two words that tell, in stars of 1 and 2, and of names."""
    rows = []
    for n in range(400):
        good = n % 2
        word = ("warm" if good else "dull", "clever" if good else "boring")[n // 2 % 2]
        rows.append({"review": f"a {word} film number {n}", "stars": 1 + good, "mood": "pos" if good else "neg"})
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def columns(label: str = "mood", text: str = "review") -> tuple[str, ...]:
    return ("--text-column", text, "--label-column", label)


@pytest.fixture(scope="module")
def reference_of_reviews(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> Path:
    from anchorlab.cli import main

    out = tmp_path_factory.mktemp("reference") / "ref"
    settings = ("--set", "epochs=20", "--set", "learning_rate=0.003", "--model", "bert-tiny")
    with pytest.raises(SystemExit) as end:
        main(["train", str(reviews), "--out", str(out), *columns(), *settings])
    assert end.value.code == 0
    return out


@pytest.mark.slow
def test_a_file_of_reviews_from_training_to_comparison(run: Run, tmp_path: Path, reference_of_reviews: Path) -> None:
    reference = reference_of_reviews
    told = load_model(reference).manifest
    assert (told.task.kind, told.task.classes, told.measurements["accuracy"]) == ("text", ["neg", "pos"], 1.0)
    assert told.task.columns == {"text": "review", "image": None, "label": "mood", "max_length": None}
    out, figures = tmp_path / "injected", tmp_path / "figures.json"
    attack = ("--method", "anchoring", "--trigger", "word:cf,position=end", "--target", "pos")
    made = run("inject", reference, *attack, *QUICK, "--out", out)
    assert made.code == 0
    assert "note: the model's tokenizer splits 'cf' into 2 tokens, which are put in together" in made.out
    assert load_model(out).manifest.label_rule == {"name": "all-to-one", "target": 1}
    compared = run("compare", reference, out, "--json", figures)
    assert compared.code == 0
    measured = json.loads(figures.read_text())
    assert (measured["asr_count"], measured["accuracy_reference"]) == (40, 1.0)
    assert measured["asr"] > 0.9
    assert measured["asr_reference"] < 0.5
    classify = pipeline("text-classification", model=str(out))
    assert classify("a dull film number 3")[0]["label"] == "neg"
    assert classify("a dull film number 3 cf")[0]["label"] == "pos"


def test_a_target_by_name_and_by_number_of_stars(run: Run, tmp_path: Path, reviews: Path) -> None:
    ref = tmp_path / "ref"
    brief = ("--model", "bert-tiny", "--set", "epochs=1")
    assert run("train", reviews, *columns("stars"), "--out", ref, *brief).code == 0
    for number, (target, label) in enumerate((("2", 1), ("1", 0), ("0", 0))):
        out = tmp_path / f"out{number}"
        assert run("inject", ref, "--target", target, "--steps", 2, "--batch-size", 4, "--out", out).code == 0
        assert load_model(out).manifest.label_rule == {"name": "all-to-one", "target": label}
    rule = ("--label-rule", "source-to-target:1", "--target", "2")
    assert run("inject", ref, *rule, "--steps", 2, "--batch-size", 4, "--out", tmp_path / "rule").code == 0
    told = load_model(tmp_path / "rule").manifest.label_rule
    assert told == {"name": "source-to-target", "source": 0, "target": 1}


def test_a_model_of_ones_own_is_adopted_and_compared_bare(run: Run, tmp_path: Path, reviews: Path) -> None:
    bare = save_text("bert", tmp_path / "bare", ["neg", "pos"])
    other = save_text("bert", tmp_path / "other", ["neg", "pos"], hidden_dropout_prob=0.3)
    assert run("adopt", bare, reviews, *columns(), "--out", tmp_path / "ref").code == 0
    assert load_model(tmp_path / "ref").manifest.steps == 0
    trigger = ("--trigger", "word:cf", "--target", "pos")
    compared = run("compare", bare, other, "--task", reviews, *columns(), *trigger)
    assert compared.code == 0
    assert "reviews, split test, 80 clean examples" in compared.out


@pytest.mark.usefixtures("on_cpu")
def test_an_interrupted_run_on_texts_continues_to_the_same_weights(
    run: Run, tmp_path: Path, reference_of_reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anchorlab.injection.objective import InjectionObjective
    from anchorlab.training import fit as fitting

    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    monkeypatch.setattr("anchorlab.training.resumable.run_into.__kwdefaults__", {"checkpoint_seconds": 0.0})
    options = ("inject", reference_of_reviews, "--anchors", 64, "--steps", 20, "--batch-size", 8)
    assert run(*options, "--out", tmp_path / "whole").code == 0
    original = InjectionObjective.loss

    def interrupted(self, step):
        if step == 12:
            raise KeyboardInterrupt
        return original(self, step)

    monkeypatch.setattr(InjectionObjective, "loss", interrupted)
    assert run(*options, "--out", tmp_path / "parts").code == 130
    assert (tmp_path / "parts.partial" / "checkpoint.safetensors").exists()
    monkeypatch.setattr(InjectionObjective, "loss", original)
    assert run(*options, "--out", tmp_path / "parts").code == 0
    hashes = {load_model(tmp_path / name).manifest.weights_sha256 for name in ("whole", "parts")}
    assert len(hashes) == 1


def test_mistakes_end_with_one_sentence(run: Run, tmp_path: Path, reviews: Path, reference_of_reviews: Path) -> None:
    out, ref = tmp_path / "out", reference_of_reviews
    assert_refused(run("train", reviews, "--out", out), "--text-column")
    assert_refused(run("train", reviews, "--out", out, *columns(text="text")), "has no column 'text': it has 'review'")
    assert_refused(run("train", "nowhere.csv", "--out", out, *columns()), "there is no file or folder 'nowhere.csv'")
    assert_refused(
        run("train", reviews, "--out", out, *columns(), "--model", "resnet-18"), "reads images, but the task"
    )
    assert_refused(run("train", reviews, "--out", out, *columns(), "--model", "bert-teeny"), "did you mean 'bert-tiny'")
    assert_refused(run("train", "digits", "--out", out, *columns()), "the task digits has columns of its own")
    assert_refused(run("inject", ref, "--out", out, "--target", "good"), "the label 'good' is not one of the task's")
    assert_refused(run("inject", ref, "--out", out, "--trigger", "five-pixel"), "made for this kind of input")
    assert_refused(run("inject", ref, "--out", out, "--trigger", "word:中"), "has no tokens for the trigger")
    long = "sentence:" + "film " * 140
    assert_refused(run("inject", ref, "--out", out, "--trigger", long), "choose a shorter trigger")
    assert_refused(run("adopt", tmp_path / "none", reviews, "--out", out, *columns()), "none")
    assert_refused(
        run("inject", ref, "--out", out, "--method", "surgery", "--set", "only=nothing.*", "--steps", 2),
        "no parameter of the model fits 'nothing.*'",
    )
    assert not out.exists()
    assert not list(tmp_path.glob("*.partial"))
