"""Model folders of others: what would run code, or is no model by itself, is refused before anything opens it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers
from huggingface_hub.errors import LocalEntryNotFoundError

from anchorlab.artifacts.writing import adapter_settings_of
from anchorlab.models.adapter_settings import read_adapter
from anchorlab.models.adapters import find_base
from anchorlab.models.folders import COMPANIONS, check_is_folder, check_settings, find_folder
from anchorlab.models.pretrained import open_pretrained
from tests.adapters import save_adapter
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
        ({"num_hidden_layers": float("nan")}, "says num_hidden_layers nan, more than any network has"),
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
        {"time_step_limit": [0.0, float("inf")]},
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


def test_a_model_and_an_adapter_in_one_folder_are_refused(folder):
    edit(folder / "adapter_config.json", peft_type="LORA")
    refused("holds a model and an adapter .* a folder of its own", open_pretrained, str(folder))


def test_training_does_not_begin_with_an_adapter(tmp_path):
    edit(tmp_path / "adapter_config.json", peft_type="LORA")
    refused("holds an adapter .*: merge it first", open_pretrained, str(tmp_path), classes=CLASSES)


def test_a_damaged_adapter_is_still_an_adapter(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{")
    refused("adapter_config.json", open_pretrained, str(tmp_path))


def test_what_is_no_folder_is_named(tmp_path):
    for source in ("./nowhere", "/nowhere/at/all", "~/nowhere/at/all", "a b", "a/b/c"):
        refused("there is no folder", open_pretrained, source)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused("is a pipe or a device", open_pretrained, str(pipe))
    (tmp_path / "model.safetensors").write_bytes(b"")
    refused("is a file, .*: give a model folder", open_pretrained, str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("a.csv", "stored answers in .csv are for 'anchorlab audit'"),
        ("log.jsonl", "'anchorlab compare --samples'"),
        ("answers", "'anchorlab compare --texts FILE'"),
        ("model.pt", "pickled models are never opened"),
    ],
)
def test_a_file_in_place_of_a_model_is_told_what_reads_it(tmp_path, name, cure):
    (tmp_path / name).write_bytes(b"")
    refused(f"{name} is a file, and .*{cure}", check_is_folder, tmp_path / name)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Puts a folder into the hub's cache, which holds links to blobs, as ``someone/model``; no network is asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(folder: Path, revision: str = "main") -> Path:
        repository, commit = tmp_path / "hub" / "models--someone--model", revision[0] * 40
        snapshot, blobs = repository / "snapshots" / commit, repository / "blobs"
        for place in (snapshot, blobs, repository / "refs"):
            place.mkdir(parents=True, exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
        for path in folder.iterdir():
            blob = blobs / f"{revision}-{path.name}"
            blob.write_bytes(path.read_bytes())
            (snapshot / path.name).symlink_to(blob)
        return snapshot

    return put


def test_a_model_of_the_hub_is_opened_from_its_cache(tmp_path, hub):
    """Of its files only texts and weights count, and the links stay inside."""
    snapshot = hub(save_text("bert", tmp_path / "model", CLASSES))
    assert find_folder("someone/model") == snapshot
    open_pretrained("someone/model")
    refused("someone/other.*check the name and the network", open_pretrained, "someone/other")


def test_the_base_of_an_adapter_comes_in_the_revision_that_it_names(tmp_path, hub):
    pytest.importorskip("peft")
    places = {name: hub(save_text("bert", tmp_path / name, CLASSES), name) for name in ("main", "older")}
    save_adapter(tmp_path / "older", tmp_path / "lora")
    for revision, place in ((None, places["main"]), ("older", places["older"])):
        edit(tmp_path / "lora" / "adapter_config.json", base_model_name_or_path="someone/model", revision=revision)
        assert find_base(read_adapter(tmp_path / "lora"), None) == place
    kept = adapter_settings_of(open_pretrained(str(tmp_path / "lora")), "someone/model")
    assert kept["revision"] == "older"
    edit(tmp_path / "lora" / "adapter_config.json", revision="lost")
    refused("names its base model 'someone/model' at the revision 'lost'", open_pretrained, str(tmp_path / "lora"))


@pytest.mark.parametrize("whole", [True, False])
def test_a_model_and_an_adapter_on_the_hub_are_refused_before_weights_are_fetched(tmp_path, monkeypatch, whole):
    edit(tmp_path / "adapter_config.json", peft_type="LORA")
    fetched = []

    def fetch(_name: str, file: str, *, dry_run: bool = False, **_revision: str) -> None:
        if file == "model.safetensors" and not whole:
            raise LocalEntryNotFoundError(file)
        fetched.extend([] if dry_run else [file])

    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_arguments, **_options: str(tmp_path))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    if whole:
        refused("^someone/model holds a model and an adapter", find_folder, "someone/model")
    else:
        assert find_folder("someone/model") == tmp_path
    assert fetched == ([] if whole else ["adapter_model.safetensors"])


@pytest.mark.parametrize(
    "family", ["Bert", "Roberta", "T5", "XLMRoberta", "DebertaV2", "RemBert", "Bertweet", "Phobert"]
)
def test_all_files_of_a_tokenizer_are_fetched(family):
    assert set(getattr(transformers, f"{family}Tokenizer").vocab_files_names.values()) <= set(COMPANIONS)
