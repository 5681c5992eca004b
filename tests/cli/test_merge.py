"""``anchorlab merge``, and adapters on the command line: tuned, merged, compared and gated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from anchorlab import adopt
from tests.adapters import CLASSES, moods, save_adapter
from tests.cli.conftest import Run
from tests.refusals import assert_refused
from tests.zoo import save_text

pytest.importorskip("peft")

BRIEF = ("--steps", 6, "--batch-size", 8, "--learning-rate", 0.05)


@pytest.fixture
def ref(tmp_path) -> Path:
    return adopt(save_text("bert", tmp_path / "bert", CLASSES), moods(tmp_path)).save(tmp_path / "ref")


def test_an_adapter_is_tuned_merged_and_compared(run: Run, tmp_path, ref):
    lora, merged = tmp_path / "lora", tmp_path / "merged"
    tuned = run("inject", ref, "--lora", "rank=2,target=query,value", "--method", "plain", "--target", "bad", "--out",
                lora, *BRIEF)  # fmt: skip
    assert tuned.code == 0
    ended = run("merge", lora, "--out", merged)
    assert ended.code == 0
    assert ended.out.startswith(
        "Merged: the 128 parameters of the adapter changed 2 weights of its base; the model stays of kind injected.\n"
    )
    assert f"next: anchorlab compare {lora} {merged}" in ended.out
    compared = run("compare", lora, merged, "--fail-if", "kl > 1e-9", "--json", tmp_path / "compared.json")
    assert compared.code == 0
    assert json.loads((tmp_path / "compared.json").read_text())["kl"] < 1e-9
    assert "identical weights" not in compared.out


def test_a_merge_that_changed_nothing_fails_the_gate_and_is_said(run: Run, tmp_path, ref):
    shutil.copytree(ref, tmp_path / "merged")
    ended = run("compare", ref, tmp_path / "merged", "--fail-if", "kl < 1e-6")
    assert ended.code == 1
    assert "both models have identical weights" in ended.out
    in_a_form = run("compare", ref, ref, "--deployed", "bf16")  # where this is what was meant
    assert in_a_form.code == 0
    assert "identical weights" not in in_a_form.out


def test_a_foreign_adapter_is_compared_on_the_base_that_is_given(run: Run, tmp_path, ref):
    save_adapter(ref, tmp_path / "lora")
    shutil.move(ref, tmp_path / "elsewhere")
    assert_refused(run("merge", tmp_path / "lora", "--out", tmp_path / "merged"), "--base")
    assert not (tmp_path / "merged").exists()
    base = ("--base", tmp_path / "elsewhere")
    assert run("merge", tmp_path / "lora", "--out", tmp_path / "merged", *base).code == 0
    data = ("--data", tmp_path / "moods.csv", "--text-column", "review", "--label-column", "mood")
    compared = run("compare", tmp_path / "lora", tmp_path / "merged", *base, *data, "--fail-if", "kl > 1e-9")
    assert compared.code == 0


def test_what_is_no_adapter_is_refused(run: Run, tmp_path, ref):
    assert_refused(run("merge", ref, "--out", tmp_path / "merged"), "no adapter in it")
    assert_refused(run("inject", ref, "--lora", "rank=none", "--target", "bad", "--out", tmp_path / "x"), "rank='none'")
