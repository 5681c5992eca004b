"""Which benign updates a folder stands for, and what is said of the rest."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from anchorlab.cli.audit_inputs import expanded
from anchorlab.notices import Notice


def _made(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def test_a_folder_stands_for_its_models_and_adapters_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    models = _made(tmp_path, "a/config.json", "b/adapter_config.json", "notes.txt", "c/weights.pt", ".hidden")
    with pytest.warns(Notice, match=r"left out of the benign updates in .*: c, notes\.txt, as no model folder"):
        assert expanded([models], stored=False) == [models / "a", models / "b"]


def test_adapters_alone_and_a_single_model_need_no_word(tmp_path: Path) -> None:
    adapters = _made(tmp_path / "adapters", "a/adapter_config.json", "b/adapter_config.json")
    single = _made(tmp_path / "single", "adapter_config.json", "adapter_model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert expanded([adapters, single], stored=False) == [adapters / "a", adapters / "b", single]


def test_files_beside_stored_answers_are_named(tmp_path: Path) -> None:
    answers = _made(tmp_path, "a.npy", "b.csv", "README.md")
    with pytest.warns(Notice, match=r"README\.md, as no file of answers"):
        assert expanded([answers], stored=True) == [answers / "a.npy", answers / "b.csv"]
