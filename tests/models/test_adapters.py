"""Adapters that peft saved: opened on their base with all of their weights, or refused in one sentence."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import unwrap
from tests.adapters import CLASSES, answers, answers_of_peft, save_adapter
from tests.refusals import refused
from tests.zoo import save_text

pytest.importorskip("peft")

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the base ``base`` and the adapter ``lora``; must not be changed."""
    place = tmp_path_factory.mktemp("adapters")
    save_text("bert", place / "base", CLASSES)
    save_adapter(place / "base", place / "lora")
    return place


@pytest.fixture
def lora(place, tmp_path) -> Path:
    """A copy of the adapter, to be damaged."""
    return Path(shutil.copytree(place / "lora", tmp_path / "lora"))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True, "lora_alpha": 3},
        {"use_dora": True},
        {"task_type": None},
        {"modules_to_save": ["pooler"]},
        {"rank_pattern": {"query": 3}, "alpha_pattern": {"value": 5}},
        {"target_modules": "all-linear", "lora_dropout": 0.5},
        {"target_modules": ["word_embeddings", "query"]},
    ],
    ids=str,
)
def test_an_adapter_answers_as_in_peft(place, tmp_path, settings):
    theirs = save_adapter(place / "base", tmp_path / "lora", **settings)
    opened = open_pretrained(str(tmp_path / "lora"))
    assert not opened.training
    torch.testing.assert_close(answers(opened), answers_of_peft(theirs), rtol=0, atol=1e-5)
    assert float((answers(opened) - answers(open_pretrained(str(place / "base")))).abs().max()) > 1e-4


def test_a_head_that_is_the_adapters_needs_none_in_the_base(place, tmp_path):
    """The usual way of peft's users: a base without a head, which the adapter brings."""
    base = Path(shutil.copytree(place / "base", tmp_path / "encoder"))
    edit_base = load_file(base / "model.safetensors")
    save_file(
        {name: value for name, value in edit_base.items() if "classifier" not in name}, base / "model.safetensors"
    )
    config = json.loads((base / "config.json").read_text()) | {"architectures": ["BertModel"], "id2label": None}
    (base / "config.json").write_text(json.dumps(config))
    theirs = save_adapter(base, tmp_path / "lora")
    opened = open_pretrained(str(tmp_path / "lora"))
    torch.testing.assert_close(answers(opened), answers_of_peft(theirs), rtol=0, atol=1e-5)


def test_a_pooler_that_neither_base_nor_adapter_has_is_refused(place, tmp_path):
    """It would be drawn at random, another one each time."""
    base = Path(shutil.copytree(place / "base", tmp_path / "encoder"))
    tensors = load_file(base / "model.safetensors")
    save_file({name: value for name, value in tensors.items() if "pooler" not in name}, base / "model.safetensors")
    refused(r"missing \(bert.pooler", open_pretrained, str(place / "lora"), base=str(base))


def test_the_base_is_found_beside_the_adapter(lora, place):
    shutil.copytree(place / "base", lora.parent / "base")
    edit(lora, base_model_name_or_path="../base")
    torch.testing.assert_close(answers(open_pretrained(str(lora))), answers(open_pretrained(str(place / "lora"))))


def test_a_base_that_is_given_goes_before_the_one_that_is_named(lora, place):
    edit(lora, base_model_name_or_path="somebody/elsewhere")
    opened = open_pretrained(str(lora), base=str(place / "base"))
    torch.testing.assert_close(answers(opened), answers(open_pretrained(str(place / "lora"))))


def test_a_base_that_is_not_there_is_asked_for(lora):
    edit(lora, base_model_name_or_path="somebody/elsewhere")
    refused("names its base model 'somebody/elsewhere', .* with --base", open_pretrained, str(lora))
    edit(lora, base_model_name_or_path=None)
    refused("names no base model: give it with --base", open_pretrained, str(lora))


def test_another_base_by_name_is_refused(lora):
    edit(lora, base_model_name_or_path="owner/one")
    refused("was tuned on 'owner/one', and not on 'owner/two'", open_pretrained, str(lora), base="owner/two")


def test_another_base_by_its_sizes_is_refused(place, tmp_path):
    wide = save_text("bert", tmp_path / "wide", CLASSES, hidden_size=32)
    refused(r"of another size .*\[2, 16\] in place of \[2, 32\]", open_pretrained, str(place / "lora"), base=str(wide))


def test_another_base_by_its_depth_is_refused(place, tmp_path):
    deep = save_text("bert", tmp_path / "deep", CLASSES, num_hidden_layers=2)
    refused("missing in the adapter .*layer.1", open_pretrained, str(place / "lora"), base=str(deep))


def test_another_architecture_is_refused(place, tmp_path):
    save_adapter(place / "base", tmp_path / "lora", task_type=None)
    roberta = save_text("roberta", tmp_path / "roberta", CLASSES)
    refused(
        "tuned in a BertForSequenceClassification, but .* a RobertaForSequenceClassification",
        open_pretrained, str(tmp_path / "lora"), base=str(roberta),
    )  # fmt: skip


def test_an_adapter_of_layers_that_the_base_lacks_is_refused(lora, place):
    edit(lora, target_modules=["q_proj"])
    refused("does not fit the base .*: give the base", open_pretrained, str(lora), base=str(place / "base"))


def test_an_adapter_is_no_base(lora, place):
    refused("is itself an adapter: merge it first", open_pretrained, str(lora), base=str(place / "lora"))


def test_a_weight_that_is_missing_is_named(lora):
    edit_weights(lora, lambda tensors: tensors.pop(next(name for name in tensors if "lora_B" in name)))
    refused("1 missing in the adapter .*lora_B", open_pretrained, str(lora))


def test_a_head_that_was_lost_is_named(lora):
    edit_weights(lora, lambda tensors: [tensors.pop(name) for name in list(tensors) if "classifier" in name])
    refused("2 missing in the adapter .*classifier", open_pretrained, str(lora))


def test_a_weight_without_a_place_is_named(lora):
    edit_weights(lora, lambda tensors: tensors.update({"base_model.model.bert.extra.lora_A.weight": torch.ones(2, 16)}))
    refused("1 without a place in the base .*extra", open_pretrained, str(lora))


def test_weights_that_are_not_finite_are_refused(lora):
    edit_weights(lora, lambda tensors: tensors[next(name for name in tensors if "lora_B" in name)].fill_(torch.nan))
    refused("are not finite", open_pretrained, str(lora))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "kind 'IA3', and only LORA is opened"),
        ({"peft_type": None}, "kind None"),
        ({"init_lora_weights": "pissa"}, "'pissa', which changes the base's weights too"),
        ({"layer_replication": [[0, 1]]}, "sets layer_replication to .* a kind of LoRA that is not opened"),
        ({"megatron_core": "os"}, "sets megatron_core to 'os'"),
        ({"trainable_token_indices": [1]}, "sets trainable_token_indices"),
        ({"a_kind_of_next_year": {"on": True}}, "sets a_kind_of_next_year"),
        ({"r": 10**12}, "gives the rank 1000000000000, which none of its weights has"),
        ({"r": True}, "gives the rank True"),
        ({"rank_pattern": {"query": 10**9}}, "gives the rank 1000000000"),
        ({"lora_alpha": "much"}, "does not fit the base|cannot be used"),
        ({"target_modules": 7}, "does not fit the base|cannot be used"),
    ],
    ids=str,
)
def test_settings_that_are_not_opened_are_refused(lora, changes, message):
    edit(lora, **changes)
    refused(message, open_pretrained, str(lora))


def test_pickled_weights_are_never_opened(lora, nothing_runs):
    (lora / WEIGHTS).rename(lora / "adapter_model.bin")
    refused("is a pickle, which is never opened", open_pretrained, str(lora))


def test_weights_that_are_not_there_are_named(lora):
    (lora / WEIGHTS).unlink()
    refused("holds no adapter_model.safetensors", open_pretrained, str(lora))


def test_the_package_is_named_where_it_is_not_installed(lora, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    refused(r"needs the package peft: install it by pip install 'anchorlab\[peft\]'", open_pretrained, str(lora))


def test_nothing_of_torchs_random_numbers_is_used_up(place):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    open_pretrained(str(place / "lora"))
    assert torch.rand(1) == expected


def test_the_network_keeps_its_class(place):
    assert type(unwrap(open_pretrained(str(place / "lora")))).__name__ == "BertForSequenceClassification"
