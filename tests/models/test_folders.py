"""Model folders of others: what would run code, or is no model by itself, is refused before anything opens it."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from anchorlab.errors import AnchorlabError
from anchorlab.models.folders import check_settings, find_folder
from anchorlab.models.pretrained import open_pretrained
from tests.refusals import refused
from tests.zoo import save_image, save_text

CLASSES = ["neg", "pos"]


def edit(path: Path, **changes: object) -> None:
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(settings | changes))


@pytest.fixture
def folder(nothing_runs) -> Path:
    folder = save_text("bert", nothing_runs / "model", CLASSES)
    (folder / "code.py").write_text("raise SystemExit('code was run')")
    return folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("known", [True, False])
def test_code_that_a_folder_names_is_never_run(folder, name, known):
    if not known:
        edit(folder / "config.json", model_type="unheard-of")
    classes = dict.fromkeys(("AutoConfig", "AutoModelForSequenceClassification", "AutoTokenizer"), "code.One")
    edit(folder / name, auto_map=classes)
    refused(f"needs code of its own, which is never run .*{name}", open_pretrained, str(folder))


def test_code_of_a_processor_is_never_run(nothing_runs):
    folder = save_image("vit", nothing_runs / "model", CLASSES)
    edit(folder / "preprocessor_config.json", auto_map={"AutoImageProcessor": "code.One"})
    refused("needs code of its own", open_pretrained, str(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "quantised .'bitsandbytes'"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised .'gptq'"),
        ({"num_hidden_layers": 10**9}, "says num_hidden_layers 1000000000, more than any network has"),
        ({"num_labels": 10**9}, "says num_labels 1000000000, more than any network has"),
        ({"vocab_size": 10**9}, "describes a network of .* weights, but only .* bytes are stored"),
        ({"architectures": 7}, "gives architectures as 7"),
        ({"layer_norm_eps": float("nan")}, "NaN is not a number of JSON"),
        ({"transformers_weights": "other.bin"}, "names another file of weights .'other.bin'"),
        ({"attn_implementation": "someone/kernel"}, "wants attn_implementation 'someone/kernel', which may be code"),
        ({"text_config": {"_attn_implementation": "flash_attention_2"}}, "wants _attn_implementation"),
    ],
)
def test_entries_that_would_import_or_fetch_something_are_refused(folder, changes, message):
    edit(folder / "config.json", **changes)
    refused(f"config.json .*{message}", open_pretrained, str(folder))


@pytest.mark.parametrize("value", [None, ""])
def test_a_tokenizer_that_cannot_write_texts_is_refused(folder, value):
    edit(folder / "tokenizer_config.json", unk_token=value)
    refused("has a tokenizer that cannot write texts", open_pretrained, str(folder))


@pytest.mark.parametrize(
    "changes",
    [
        {"_name_or_path": "../elsewhere", "custom_pipelines": {"x": {"impl": "code.X"}}},
        {"quantization_config": None, "_attn_implementation": "sdpa"},
    ],
)
def test_entries_without_effect_are_left_alone(folder, changes):
    edit(folder / "config.json", **changes)
    edit(folder / "tokenizer_config.json", chat_template="{{ ''.__class__.__mro__[1].__subclasses__() }}")
    open_pretrained(str(folder))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000])
def test_settings_that_are_no_json_object_are_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    refused("config.json", check_settings, tmp_path / "config.json")


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("base", ["bert-base-uncased", "it's $(touch PWNED)", None])
def test_adapters_are_refused_with_the_command_that_merges_them(nothing_runs, whole, base):
    folder = nothing_runs / "ann's $(touch PWNED)"
    if whole:
        save_text("bert", folder, CLASSES)
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}))
    head = {"base_model.model.classifier.weight": torch.zeros(3, 4), "base_model.model.x.lora_A.weight": torch.zeros(1)}
    save_file(head, folder / "adapter_model.safetensors")
    with pytest.raises(AnchorlabError, match=r"holds adapters .* merge them .*: python") as no:
        open_pretrained(str(folder))
    words = shlex.split(str(no.value).partition("peft installed: ")[2])
    assert words[:2] == ["python", "-c"]
    assert words[3:] == [base or "BASE_MODEL", str(folder), f"{folder}-merged"]
    compile(words[2], "the command", "exec")
    assert "num_labels=3" in words[2]


def test_a_damaged_adapter_is_still_an_adapter(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{")
    refused("holds adapters", open_pretrained, str(tmp_path))


def test_what_is_no_folder_is_named(tmp_path):
    for source in ("./nowhere", "/nowhere/at/all", "~/nowhere/at/all", "a b", "a/b/c"):
        refused("there is no folder", open_pretrained, source)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused("is a pipe or a device", open_pretrained, str(pipe))
    (tmp_path / "model.safetensors").write_bytes(b"")
    refused("is a file, .*: give a model folder", open_pretrained, str(tmp_path / "model.safetensors"))


def test_a_model_of_the_hub_is_opened_from_its_cache(tmp_path, monkeypatch):
    """The cache holds links to blobs: of its files only texts and weights count, and the links stay inside."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--someone--model"
    revision, blobs = repository / "snapshots" / ("0" * 40), repository / "blobs"
    save_text("bert", tmp_path / "model", CLASSES)
    for place in (revision, blobs, repository / "refs"):
        place.mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    for number, path in enumerate(sorted((tmp_path / "model").iterdir())):
        (blobs / str(number)).write_bytes(path.read_bytes())
        (revision / path.name).symlink_to(blobs / str(number))
    assert find_folder("someone/model") == revision
    open_pretrained("someone/model")
    refused("someone/other.*check the name and the network", open_pretrained, "someone/other")
