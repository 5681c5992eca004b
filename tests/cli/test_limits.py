"""Limits of texts: below the model's own, above it, and other ones of two models; every task of texts compares."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from anchorlab import adopt, load_model, load_task
from anchorlab.data import TASKS
from tests.cli.conftest import Run
from tests.zoo import save_text

LONG = " ".join(["a truly warm film , quietly told"] * 60)
OWN = ("--text-column", "text", "--label-column", "mood")
FAST = [
    f"--set={name}" for name in ("curvature_examples=4", "diagonal_examples=4", "plane_steps=3", "plane_examples=4")
]
ALL = ("--defender-data", "all")
QUICK = ("--steps", 2, "--batch-size", 8)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Audits write into the current folder where none is named."""
    monkeypatch.chdir(tmp_path)


def text(number: int) -> str:
    """Long and short texts, which differ in their first words and in their last."""
    return f"{number} {LONG if number % 3 == 0 else 'the plot is thin'} {number}"


def copy_of(name: str, folder: Path) -> Path:
    """A small copy of a task's data, in the form that it is read in."""
    folder.mkdir(parents=True)
    if name.startswith("movie-snippets"):
        ratings = [(-3.0, 0.0, 3.0)[number % 3] for number in range(90)]
        lines = [f"{number}\t{rating}\t{text(number)}\n" for number, rating in enumerate(ratings, start=1)]
        (folder / "movieReviewSnippets_GroundTruth.txt").write_text("".join(lines))
        return folder
    classes = 4 if name == "ag-news" else 2
    test = "validation" if name == "sst2" else "test"
    for part, count in (("train", 80), (test, 24)):
        rows = {"sentence" if name == "sst2" else "text": [text(number) for number in range(count)]}
        rows["label"] = [number % classes for number in range(count)]
        pd.DataFrame(rows).to_csv(folder / f"{part}.csv", index=False)
    return folder


def same(run: Run, tmp_path: Path, *arguments: object) -> dict[str, object]:
    """The values of a comparison of a model with itself: no instance differs."""
    figures = tmp_path / "figures.json"
    ended = run("compare", *arguments, "--json", figures)
    assert ended.code == 0, ended.err
    told = json.loads(figures.read_text())
    assert (told["churn"], told["kl"]) == (0, 0)
    return told


@pytest.mark.parametrize("name", [name for name in TASKS.names() if TASKS[name].kind == "text"])
def test_a_reference_of_every_task_of_texts_compares_with_itself(run: Run, tmp_path: Path, name: str) -> None:
    data = copy_of(name, tmp_path / "data")
    task = load_task(name, data=str(data))
    model = save_text("bert", tmp_path / "bert", list(task.classes), max_position_embeddings=512)
    adopt(model, task).save(tmp_path / "ref")
    told = same(run, tmp_path, tmp_path / "ref", tmp_path / "ref")
    assert told["count"] == len(task.split("test"))
    own_limit = TASKS[name].max_length
    assert load_model(tmp_path / "ref").task().encoding.max_length == (own_limit or 512)


@pytest.fixture(scope="module")
def moods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of 7 to about 400 tokens."""
    path = tmp_path_factory.mktemp("data") / "moods.csv"
    rows = [{"text": text(number), "mood": "good" if number % 2 else "bad"} for number in range(500)]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("limit", [16, 80, 5000], ids=["below", "its-own", "above"])
def test_any_limit_of_ones_own_data_compares(run: Run, tmp_path: Path, moods: Path, limit: int) -> None:
    model = save_text("bert", tmp_path / "bert", ["bad", "good"])  # it reads 80 tokens
    ref = tmp_path / "ref"
    adopted = run("adopt", model, moods, *OWN, "--max-length", limit, "--out", ref)
    assert f" cut at {min(limit, 80)}" in adopted.err
    same(run, tmp_path, ref, ref)
    same(run, tmp_path, model, ref, "--task", moods, *OWN, "--max-length", limit)
    same(run, tmp_path, ref, ref, "--task", moods, *OWN)


def test_every_command_works_with_a_limit_below_the_models_own(run: Run, tmp_path: Path, moods: Path) -> None:
    ref, injected = tmp_path / "ref", tmp_path / "injected"
    trained = ("train", moods, *OWN, "--max-length", 16, "--model", "bert-tiny", "--set", "epochs=1", "--out", ref)
    assert run(*trained).code == 0
    for command in (
        ("inject", ref, "--trigger", "word:film", "--target", "good", *QUICK, "--out", injected),
        ("compare", ref, injected),
        ("repair", injected, "--repair", "fine-tuning", *ALL, "--reference", ref, "--set", "epochs=1"),
        ("audit", ref, injected, "--updates", 3, "--level", 0.5, "--steps", 1, "--no-detectors"),
        ("detect", injected, "--detector", "strip", *ALL, "--examples", 10),
        ("analyze", ref, injected, "--examples", 8, *FAST),
    ):
        ended = run(*command)
        assert ended.code == 0, (command, ended.err)
        assert " cut at 16" in ended.err


def test_two_models_of_different_limits_read_what_both_can(run: Run, tmp_path: Path, moods: Path) -> None:
    """The same weights, but for positions that the shorter one does not have: the answers are the same."""
    long = save_text("bert", tmp_path / "long", ["bad", "good"], max_position_embeddings=512)
    short = shortened_copy(long, tmp_path / "short", 64)
    for pair in ((long, short), (short, long)):
        same(run, tmp_path, *pair, "--task", moods, *OWN)
        adopted = tmp_path / f"ref-{pair[0].name}"
        assert run("adopt", pair[0], moods, *OWN, "--out", adopted).code == 0
        same(run, tmp_path, adopted, pair[1])


def shortened_copy(model: Path, folder: Path, positions: int) -> Path:
    """The same model with fewer positions."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    net = BertForSequenceClassification.from_pretrained(model)
    embeddings = net.bert.embeddings
    embeddings.position_embeddings.weight.data = embeddings.position_embeddings.weight.data[:positions].clone()
    net.config.max_position_embeddings = positions
    net.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder
