"""``compare`` from the command line: models, stored logits, and the gate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import anchorlab
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import MANIFEST
from tests.cli.conftest import Run


def test_compare_without_an_attack_shows_no_rows_of_one(run: Run, reference_folder):
    compared = run("compare", reference_folder, reference_folder)
    assert compared.code == 0
    assert "undefined" not in compared.out
    assert "No trigger is known, so there is no ASR: --trigger and --target measure one." in compared.out
    assert (
        "The candidate answers exactly like the reference on 539 clean examples of digits, split test" in compared.out
    )


def test_the_table_of_a_comparison_fits_eighty_columns(run: Run, reference_folder, injected_folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table = run("compare", reference_folder, injected_folder).out.partition("\n\n")[0].splitlines()[2:]
    assert max(map(len, table)) <= 80
    names = [line.split()[0] for line in table if line[0].isalpha()]
    assert names[1:] == ["accuracy", "accuracy_reference", "asr", "asr_reference", "churn", "negative_flips", "kl",
                         "logit_distance"]  # fmt: skip
    assert not any("–" in line for line in table)


def test_the_next_command_looks_closer_with_the_same_data(run: Run, reference_folder, injected_folder):
    ended = run("compare", reference_folder, injected_folder)
    words = f"analyze {reference_folder} {injected_folder} --out {injected_folder}-analysis"
    assert ended.out.splitlines()[-1] == f"next: anchorlab {words}"
    form = run("compare", reference_folder, injected_folder, "--deployed", "bf16")
    assert form.out.splitlines()[-1] == f"next: anchorlab audit {reference_folder} {injected_folder} --deployed bf16"
    other = run("compare", reference_folder, reference_folder, "--task", "digits")
    assert other.out.splitlines()[-1] == f"next: anchorlab audit {reference_folder} {reference_folder} --task digits"


def test_compare_names_what_is_undefined_and_why_with_all(run: Run, reference_folder):
    compared = run("compare", reference_folder, reference_folder, "--all")
    assert compared.code == 0
    row = next(line for line in compared.out.splitlines() if line.split()[:1] == ["asr"])
    assert row.split()[1] == "undefined"
    assert "no trigger is known" in compared.out


def test_compare_measures_what_it_is_told_to(run: Run, tmp_path, reference_folder, reference: Artifact):
    figures = tmp_path / "figures.json"
    figures.write_text("older figures")
    arguments = ("--trigger", "square:size=4", "--target", 3, "--split", "selection", "--seed", 8, "--json", figures)
    ended = run("compare", reference_folder, reference_folder, *arguments)
    assert ended.code == 0
    assert (ended.out + ended.err).replace("\n", " ").count("is cut by the seed 8") == 1
    task = anchorlab.load_task("digits", seed=8)
    expected = anchorlab.compare(reference, reference, task=task, trigger="square:size=4", target=3, split="selection")
    assert expected.model_dump(mode="json").items() <= json.loads(figures.read_text()).items()


def test_compare_measures_on_another_task(run: Run, reference_folder, monkeypatch):
    asked: list[tuple[object, ...]] = []
    original = anchorlab.data.load_task

    def load_task(name: str, **options: object):
        asked.append((name, options))
        return original("digits")

    monkeypatch.setattr("anchorlab.artifacts.resolve.load_task", load_task)
    assert run("compare", reference_folder, reference_folder, "--task", "cifar10", "--data", "copy").code == 0
    assert asked == [("cifar10", {"seed": 0, "data": "copy", "columns": None})]


def test_compare_takes_folders_without_a_manifest(run: Run, reference_folder, injected_folder):
    by_manifest = run("compare", reference_folder, injected_folder)
    for folder in (reference_folder, injected_folder):
        (folder / MANIFEST).unlink()
    refused = run("compare", reference_folder, injected_folder)
    assert (refused.code, "no manifest that names its data: give --data FILE or --task" in refused.err) == (2, True)
    by_hand = run(
        "compare", reference_folder, injected_folder, "--task", "digits", "--trigger", "five-pixel", "--target", 0
    )
    assert by_hand.out.splitlines()[:-2] == by_manifest.out.splitlines()[:-2]  # until time and next command


@pytest.fixture
def stored(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(500, 4)) * 3
    np.save(tmp_path / "a.npy", reference)
    np.save(tmp_path / "b.npy", reference + rng.normal(size=(500, 4)))
    np.save(tmp_path / "y.npy", rng.integers(0, 4, 500))
    return ["compare", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), "--labels", str(tmp_path / "y.npy")]


def test_a_gate_that_holds_ends_well_and_one_that_breaks_says_which(run: Run, stored: list[str]) -> None:
    assert run(*stored, "--fail-if", "churn > 0.9").code == 0
    ended = run(*stored, "--fail-if", "churn > 0.9", "--fail-if", "kl.upper > 0.001", "--fail-if", "js > 0")
    assert ended.code == 1
    gates = [line for line in ended.out.splitlines() if line.startswith("the gate")]
    assert [line.partition(":")[0] for line in gates] == [
        "the gate 'kl.upper > 0.001' is broken",
        "the gate 'js > 0' is broken",
        "the gate 'churn > 0.9' holds",
    ]


def test_models_pass_through_the_same_gate(run: Run, reference: Artifact, injected: Artifact, tmp_path: Path) -> None:
    before, after = reference.save(tmp_path / "a"), injected.save(tmp_path / "b")
    instances = tmp_path / "instances.parquet"
    assert run("compare", before, before, "--fail-if", "churn > 0", "--fail-if", "kl.upper > 1e-9").code == 0
    assert run("compare", before, after, "--fail-if", "logit_distance > 0", "--instances", instances).code == 1
    assert len(pd.read_parquet(instances)) == 539


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--fail-if", "chrun > 1"], "did you mean 'churn'?"),
        (["--task", "digits"], "--task is for model folders"),
        (["--fail-if", "asr < 1"], "cannot be judged"),
    ],
)
def test_mistakes_end_with_one_sentence_and_another_code(
    run: Run, stored: list[str], extra: list[str], words: str
) -> None:
    ended = run(*stored, *extra)
    assert ended.code == 2
    assert words in ended.err


def test_logits_need_labels_and_a_partner_of_their_kind(run: Run, stored: list[str], tmp_path: Path) -> None:
    assert "give --labels" in run(*stored[:3]).err
    assert "cannot be compared" in run("compare", stored[1], tmp_path, *stored[3:]).err
    assert "--labels is for two .npy files" in run("compare", tmp_path, tmp_path, *stored[3:]).err
    np.save(tmp_path / "y.npy", np.arange(3))
    assert run(*stored).code == 2


def test_a_page_of_the_comparison_is_written_and_renewed(run, tmp_path, reference_folder, injected_folder):
    out = tmp_path / "compared"
    ended = run("compare", reference_folder, injected_folder, "--out", out)
    assert ended.code == 0, ended.err
    before = (out / "index.html").read_text()
    assert "How consistent is injected with reference?" in before
    assert "With the trigger" in before
    assert {path.name for path in out.iterdir()} == {"index.html", "comparison.json"}
    assert run("report", out).code == 0
    assert (out / "index.html").read_text() == before


def test_the_page_of_somebody_else_is_not_replaced(run: Run, stored: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(*stored, "--out", out).code == 0
    assert run(*stored, "--out", out).code == 0
    (out / "comparison.json").write_text('{"mine": 1}')
    assert "comparison.json is none that 'anchorlab compare' wrote" in run(*stored, "--out", out).err
    (out / "comparison.json").unlink()
    (out / "index.html").write_text("mine")
    assert "index.html is none that 'anchorlab compare' wrote" in run(*stored, "--out", out).err
    assert (out / "index.html").read_text() == "mine"
