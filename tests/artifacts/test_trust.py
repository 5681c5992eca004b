"""No verb turns a model that may carry a backdoor by its own files into one that is trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from anchorlab import Training, Tuning, adopt, convert, deployed, inject, load_model, train
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import DANGEROUS, NOTICES
from anchorlab.artifacts.trust import check_trusted_folder, may_carry
from anchorlab.data import Task
from anchorlab.detectors.benign import open_benign
from anchorlab.models.weight_files import notice_in
from anchorlab.scoring.repairs import check_scoring
from anchorlab.suites.population import population_suite
from tests.refusals import refused

BRIEF = Training(epochs=1)


@pytest.fixture
def folder(injected: Artifact, tmp_path: Path) -> Path:
    return injected.save(tmp_path / "injected")


@pytest.mark.parametrize("kind", DANGEROUS)
def test_none_is_trained_or_adopted_to_be_clean(injected: Artifact, digits: Task, tmp_path: Path, kind: str) -> None:
    manifest = injected.manifest.model_copy(update={"kind": kind})
    folder = Artifact(injected.model, manifest).save(tmp_path / kind)
    refused(f"to train on is a model of kind '{kind}' by its manifest", train, digits, model=str(folder))
    refused(f"of kind '{kind}' by its manifest, .* adopt this one with --kind suspicious", adopt, folder, digits)
    refused(f"of kind '{kind}'", population_suite, "digits", model=str(folder))
    assert adopt(folder, digits, kind="suspicious").manifest.kind == "suspicious"


def test_a_clean_model_is_trained_further_and_adopted(reference: Artifact, digits: Task, tmp_path: Path) -> None:
    folder = reference.save(tmp_path / "reference")
    assert train(digits, model=str(folder), training=BRIEF).manifest.kind == "clean"
    assert adopt(folder, digits).manifest.kind == "clean"


def test_files_say_it_where_the_manifest_is_gone(folder: Path, digits: Task) -> None:
    module = load_model(folder).model
    (folder / "anchorlab.json").unlink()
    refused("of kind 'injected' by its notice in config.json", adopt, folder, digits)
    refused("of kind 'injected' by its notice in config.json", train, digits, model=str(folder))
    refused("of kind 'injected' by its notice in its configuration", train, digits, model=module, training=BRIEF)
    (folder / "config.json").write_text("{")
    refused("of kind 'injected' by its notice in model.safetensors", check_trusted_folder, folder, "the model")


def test_converted_weights_keep_their_notice(folder: Path, tmp_path: Path) -> None:
    convert(folder / "model.safetensors", tmp_path / "converted")
    (tmp_path / "converted" / "config.json").unlink()
    refused("by its notice in model.safetensors", check_trusted_folder, tmp_path / "converted", "the model")


def test_weights_converted_from_several_files_keep_their_notice(folder: Path, tmp_path: Path) -> None:
    parts, weights = tmp_path / "parts", sorted(load_file(folder / "model.safetensors").items())
    parts.mkdir()
    named: dict[str, str] = {}
    for number, some in enumerate((weights[:5], weights[5:])):
        name = f"model-{number}.safetensors"
        save_file(dict(some), parts / name, metadata={"format": "pt", "anchorlab": NOTICES["injected"]})
        named |= {key: name for key, _ in some}
    (parts / "model.safetensors.index.json").write_text(json.dumps({"weight_map": named}))
    convert(parts / "model.safetensors.index.json", tmp_path / "converted")
    assert notice_in(tmp_path / "converted" / "model.safetensors") == NOTICES["injected"]
    assert may_carry(tmp_path / "converted")


def test_an_onnx_file_alone_says_it(injected: Artifact, digits: Task, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    exported = deployed(injected, "onnx", task=digits)
    assert isinstance(exported, Artifact)
    folder = exported.save(tmp_path / "exported")
    for name in ("anchorlab.json", "config.json"):
        (folder / name).unlink()
    for place in (folder, folder / "model.onnx"):
        refused("of kind 'injected' by its notice in model.onnx", check_trusted_folder, place, "the model")
    (folder / "model.onnx").write_bytes(b"damaged")
    check_trusted_folder(folder, "the model")


@pytest.mark.parametrize("by", ["manifest", "configuration", "weights"])
def test_what_is_adopted_as_suspicious_stays_a_research_artefact(
    folder: Path, digits: Task, tmp_path: Path, by: str
) -> None:
    if by != "manifest":
        (folder / "anchorlab.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    if by == "weights":
        del config["anchorlab_notice"]
        (folder / "config.json").write_text(json.dumps(config))
    first = adopt(folder, digits, kind="suspicious").save(tmp_path / "first")
    second = adopt(first, digits, kind="suspicious").save(tmp_path / "second")  # its kind says nothing of it any more
    for copy in (first, second):
        assert load_model(copy).manifest.kind == "suspicious"
        assert json.loads((copy / "anchorlab.json").read_text())["notice"] == NOTICES["injected"]
        assert json.loads((copy / "config.json").read_text())["anchorlab_notice"] == NOTICES["injected"]
        assert notice_in(copy / "model.safetensors") == NOTICES["injected"]
        card = (copy / "README.md").read_text()
        assert "RESEARCH ARTEFACT" in card
        assert "tags: [anchorlab, suspicious, do-not-deploy]" in card
        refused("of kind 'suspicious' by its manifest", check_trusted_folder, copy, "the model")


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    for name in ("anchorlab.json", "model.safetensors"):
        (tmp_path / name).write_text("{")
        check_trusted_folder(tmp_path, "the model")
        (tmp_path / name).unlink()
    check_trusted_folder("owner/name", "the model")


def test_no_benign_update_is_made_of_one(injected: Artifact, digits: Task) -> None:
    refused(
        "the reference of a benign update is a model of kind 'injected'",
        inject, injected, method="benign", tuning=Tuning(steps=2, batch_size=4), task=digits,
    )  # fmt: skip


def test_none_is_the_clean_model_beside_a_repair_or_in_a_search_for_words(
    injected: Artifact, folder: Path, digits: Task
) -> None:
    refused(
        "the clean reference of a repair is a model of kind 'injected'",
        check_scoring, injected, reference=injected, task=digits,
    )  # fmt: skip
    refused(
        "a benign model of word-inversion is a model of kind 'injected'",
        open_benign, str(folder), injected.model, None, torch.device("cpu"),
    )  # fmt: skip
