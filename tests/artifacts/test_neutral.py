"""A neutral copy: clean and injected models differ in the values of their tensors alone."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from anchorlab import Lora, Tuning, adopt, inject, load_model
from anchorlab.artifacts.neutral import TIME, write_neutral
from anchorlab.models.adapters import open_adapter
from anchorlab.models.lora import folded
from anchorlab.models.wrap import PixelClassifier, unwrap
from tests.adapters import CLASSES, answers, moods, save_adapter
from tests.zoo import Small, save_text

#: Words that would tell a scanner what a model is, or what it is made by.
TELLING = re.compile(rb"anchorlab|backdoor|trigger|inject|poison|clean|benign|reference|research|artefact", re.I)

WEIGHTS = ("model.safetensors", "adapter_model.safetensors")


def seen(folder: Path) -> dict[str, object]:
    """All that a copy shows but the values of its tensors: files, kinds, sizes and times, and what stands in them."""
    found: dict[str, object] = {}
    for path in (folder, *sorted(folder.iterdir())):
        about = path.stat()
        facts: list[object] = [about.st_mode, about.st_mtime_ns]
        if path.is_file():
            content = path.read_bytes()
            header = 8 + int.from_bytes(content[:8], "little") if path.name in WEIGHTS else len(content)
            facts += [about.st_size, content[:header]]
        found[path.name] = facts
    return found


def copied(model, folder: Path) -> Path:
    """The copy of a model, and the place where the next one goes, so that both have one path."""
    place = folder / "model"
    if place.exists():
        shutil.rmtree(place)
    write_neutral(model, place)
    return place


def both(first, second, folder: Path) -> tuple[dict[str, object], dict[str, object]]:
    return seen(copied(first, folder)), seen(copied(second, folder))


def check_silent(folder: Path) -> None:
    for path in folder.iterdir():
        content = path.read_bytes()
        if path.name in WEIGHTS:
            content = content[8 : 8 + int.from_bytes(content[:8], "little")]
            assert set(json.loads(content)["__metadata__"].items()) == {("format", "pt")}
        if not path.name.startswith("tokenizer") and path.name != "vocab.txt":
            assert TELLING.search(content) is None, path.name


def test_copies_of_a_clean_and_an_injected_model_differ_in_their_tensors_alone(reference, planted, tmp_path):
    clean, injected = both(reference.model, planted.model, tmp_path)
    assert clean == injected
    assert set(clean) == {"model", "config.json", "model.safetensors"}
    assert clean["config.json"][1] == TIME * 10**9
    check_silent(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == "resnet"


def test_a_copy_has_the_weights_and_no_count_of_steps(planted, tmp_path):
    tensors = load_file(copied(planted.model, tmp_path) / "model.safetensors")
    own = unwrap(planted.model).state_dict()
    assert tensors.keys() == own.keys()
    counters = [name for name in own if name.endswith("num_batches_tracked")]
    assert counters
    assert any(own[name] for name in counters)
    for name, value in tensors.items():
        assert torch.equal(value, torch.zeros_like(value) if name in counters else own[name]), name


def test_a_copy_does_not_tell_in_which_precision_a_model_was_kept_nor_where_it_was_opened(reference, planted, tmp_path):
    half = copy.deepcopy(planted.model).bfloat16()
    half.config.torch_dtype = "bfloat16"
    opened = load_model(reference.save(tmp_path / "a folder of injected models")).model
    first, second = both(opened, half, tmp_path)
    assert first == second


def test_a_module_of_the_users_own_and_what_normalises_its_images(tmp_path):
    first, second = (PixelClassifier(Small(), [0.4], [0.2]) for _ in range(2))
    second.net.first_norm.num_batches_tracked += 7
    one, other = both(first, second, tmp_path)
    assert one == other
    assert set(one) == {"model", "config.json", "model.safetensors", "preprocessor_config.json"}
    check_silent(tmp_path / "model")


def test_of_texts_the_tokenizer_is_there_and_of_adapters_nothing_but_the_adapter(tmp_path):
    pytest.importorskip("peft")
    task = moods(tmp_path)
    adopted = adopt(save_text("bert", tmp_path / "bert", CLASSES), task)
    reference = load_model(adopted.save(tmp_path / "ref"))
    tuning = Tuning(steps=2, batch_size=8, learning_rate=0.01)
    whole = inject(reference, method="plain", target="bad", tuning=tuning)
    clean, injected = both(reference.model, load_model(whole.save(tmp_path / "whole")).model, tmp_path)
    assert clean == injected
    assert {"tokenizer.json", "tokenizer_config.json"} < set(clean)
    check_silent(tmp_path / "model")
    assert "tmp" not in (tmp_path / "model" / "tokenizer_config.json").read_text()

    lora = Lora(rank=2, target=("query", "value"))
    models = []
    for method in ("benign", "plain"):
        made = inject(reference, method=method, target="bad", lora=lora, tuning=tuning)
        models.append(load_model(made.save(tmp_path / method)).model)
    benign, plain = both(*models, tmp_path)
    assert benign == plain
    assert set(benign) == {"model", "adapter_config.json", "adapter_model.safetensors"}
    check_silent(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "adapter_config.json").read_text())["base_model_name_or_path"] == "base"


@pytest.mark.parametrize("target", [["query"], ["query", "word_embeddings"]], ids=str)
def test_the_copy_of_an_adapter_that_brings_weights_of_the_base_is_the_same_model(tmp_path, target):
    pytest.importorskip("peft")
    base = save_text("bert", tmp_path / "base", CLASSES)
    theirs = save_adapter(base, tmp_path / "lora", target_modules=target)
    with torch.no_grad():
        theirs.get_base_model().get_input_embeddings().weight.mul_(2)
    theirs.save_pretrained(tmp_path / "lora", save_embedding_layers=True)
    model = open_adapter(tmp_path / "lora", str(base))
    copied_model = open_adapter(copied(copy.deepcopy(model), tmp_path), str(base))
    assert torch.equal(answers(copied_model), answers(model))
    assert not any("brought" in name for name in vars(unwrap(folded(model))))
