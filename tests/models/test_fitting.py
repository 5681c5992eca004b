"""Stored weights are loaded, all of them, or the refusal names what is missing and the likely cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from anchorlab.models.fitting import common_prefix
from anchorlab.models.pretrained import open_pretrained
from tests.refusals import refused
from tests.zoo import IMAGE, TEXT, save_image, save_text

CLASSES = ["neg", "pos"]
THREE = ["neg", "mixed", "pos"]


def rewritten(folder: Path, change) -> Path:
    """A folder whose weights are what ``change`` makes of them."""
    path = folder / "model.safetensors"
    weights = change(load_file(path))
    save_file({name: value.clone() for name, value in weights.items()}, path, metadata={"format": "pt"})
    return folder


def prefixed(prefix: str):
    return lambda weights: {prefix + name: value for name, value in weights.items()}


def further(folder: Path, classes: list[str] = CLASSES):
    return open_pretrained(str(folder), classes=classes)


@pytest.fixture
def folder(tmp_path) -> Path:
    return save_text("bert", tmp_path / "model", CLASSES)


@pytest.mark.parametrize("classes", [None, CLASSES, THREE])
@pytest.mark.parametrize(
    ("prefix", "cause", "option"),
    [
        ("_orig_mod.", "as torch.compile leaves it", ""),
        ("module.", "as DataParallel or DistributedDataParallel leaves it", ""),
        ("module._orig_mod.", "as torch.compile leaves it", ""),
        ("net.", "as a wrapper leaves it", "--strip net. "),
        ("model.encoder.", "as a wrapper leaves it", "--strip model.encoder. "),
    ],
)
def test_names_with_a_prefix_are_refused_with_the_command_that_takes_it_off(folder, classes, prefix, cause, option):
    rewritten(folder, prefixed(prefix))
    command = f"anchorlab convert .*model.safetensors {option}--out .*model-converted$"
    message = rf"missing \(.*, .*, .* more\).*their names have '{prefix}' in them, {cause}.*: {command}"
    refused(message, open_pretrained, str(folder), classes=classes)


def test_a_part_that_was_compiled_is_noticed(folder):
    rewritten(folder, lambda weights: {name.replace("bert.", "bert._orig_mod."): one for name, one in weights.items()})
    refused("their names have '_orig_mod.' in them", further, folder)


@pytest.mark.parametrize("family", TEXT)
def test_a_new_head_of_texts_keeps_every_weight_of_the_encoder(tmp_path, family):
    folder = save_text(family, tmp_path / "model", CLASSES)
    stored, net = load_file(folder / "model.safetensors"), further(folder, THREE).net
    inside = {name: value for name, value in net.state_dict().items() if name.startswith(f"{net.base_model_prefix}.")}
    assert inside
    assert all(torch.equal(stored[name], value) for name, value in inside.items() if name in stored)
    assert next(value for name, value in net.named_parameters() if value.shape[0] == 3) is not None


@pytest.mark.parametrize("family", IMAGE)
def test_a_new_head_of_images_too(tmp_path, family):
    assert open_pretrained(str(save_image(family, tmp_path / "model", CLASSES)), classes=THREE) is not None


@pytest.mark.parametrize("purpose", ["ForMaskedLM", "ForPreTraining", "Model"])
def test_a_pre_trained_encoder_gets_a_head_and_its_old_one_may_lie_there(tmp_path, folder, purpose):
    config = transformers.AutoConfig.from_pretrained(folder)
    getattr(transformers, f"Bert{purpose}")(config).save_pretrained(tmp_path / "encoder")
    for path in folder.glob("token*"):
        (tmp_path / "encoder" / path.name).write_bytes(path.read_bytes())
    stored = load_file(tmp_path / "encoder" / "model.safetensors")
    net = open_pretrained(str(tmp_path / "encoder"), kind="text", classes=THREE).net
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(net.bert.embeddings.word_embeddings.weight, stored.get(f"bert.{name}", stored.get(name)))


def test_old_buffers_and_poolers_that_nothing_computes_with_are_fine(tmp_path):
    folder = save_text("roberta", tmp_path / "model", CLASSES)
    extra = {
        "roberta.pooler.dense.weight": torch.zeros(16, 16),
        "roberta.pooler.dense.bias": torch.zeros(16),
        "roberta.embeddings.position_ids": torch.arange(80),
        "lm_head.bias": torch.zeros(3),
    }
    rewritten(folder, lambda weights: weights | extra)
    open_pretrained(str(folder))


def test_half_of_the_layers_are_refused(tmp_path):
    folder = save_text("bert", tmp_path / "model", CLASSES, num_hidden_layers=2)
    rewritten(folder, lambda weights: {name: one for name, one in weights.items() if ".layer.1." not in name})
    for classes in (None, THREE):
        refused(r"16 missing \(bert.encoder.layer.1.*incomplete", open_pretrained, str(folder), classes=classes)


def test_a_configuration_of_fewer_layers_than_there_are_is_refused(tmp_path):
    folder = save_text("bert", tmp_path / "model", CLASSES, num_hidden_layers=2)
    edit(folder, num_hidden_layers=1)
    for classes in (None, THREE):
        refused(r"16 not of this model \(bert.encoder.layer.1", open_pretrained, str(folder), classes=classes)


def edit(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_another_number_of_classes_than_the_head_has_is_named(folder):
    edit(folder, id2label=dict(enumerate(THREE)), label2id={name: n for n, name in enumerate(THREE)})
    refused(
        r"2 of another size \(classifier.bias \[2\] in place of \[3\].*another number of classes than config.json says",
        open_pretrained,
        str(folder),
    )
    further(folder, THREE)


def test_another_size_of_image_is_named(tmp_path):
    folder = save_image("vit", tmp_path / "model", CLASSES)
    edit(folder, image_size=32)
    for classes in (None, THREE):
        refused(
            r"position_embeddings \[1, 5, 16\] in place of \[1, 17, 16\].*images or texts of another length or size",
            open_pretrained, str(folder), classes=classes,
        )  # fmt: skip


def test_another_architecture_is_named(tmp_path, folder):
    other = save_text("roberta", tmp_path / "other", CLASSES)
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    for classes in (None, THREE):
        refused(
            "'roberta' and not with 'bert', so that they are of another", open_pretrained, str(folder), classes=classes
        )


def test_another_vocabulary_is_named(folder):
    def longer(weights):
        name = "bert.embeddings.word_embeddings.weight"
        return weights | {name: torch.cat([weights[name], weights[name]])}

    refused("they belong to another vocabulary", further, rewritten(folder, longer))


def test_a_folder_without_a_head_is_trained_but_not_taken_as_it_is(folder):
    rewritten(folder, lambda weights: {name: one for name, one in weights.items() if "classifier" not in name})
    refused(
        r"2 missing \(classifier.bias, classifier.weight\); they hold no trained classifier",
        open_pretrained,
        str(folder),
    )
    further(folder)


def test_a_head_that_is_left_over_is_refused_where_nothing_may_be_new(folder):
    rewritten(folder, lambda weights: weights | {"temperature": torch.ones(1)})
    refused(r"1 not of this model \(temperature\)", open_pretrained, str(folder))


def test_tied_weights_are_stored_once(tmp_path):
    config = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=30, bos_token_id=0, eos_token_id=0)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    from transformers import AutoModelForCausalLM

    from anchorlab.models.loading import load_network, read_configuration

    folder = tmp_path / "model"
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    net = load_network(folder, read_configuration(folder), AutoModelForCausalLM, "model", new_head=False)
    assert torch.equal(net.lm_head.weight, net.transformer.wte.weight)


@pytest.mark.parametrize(
    ("stored", "prefix"),
    [
        (["a.x", "a.y"], ""),
        (["module.a.x", "module.a.y"], "module."),
        (["net.a.x", "net.a.y", "loss.weight"], "net."),
        (["module.x", "module.y"], "module."),  # an encoder alone
        (["b.x", "b.y"], ""),  # another architecture
        (["x", "y"], ""),
        (["net.a.x", "c", "d", "e"], ""),
    ],
)
def test_a_prefix_is_what_most_names_must_lose(stored, prefix):
    assert common_prefix(stored, {"a.x": 0, "a.y": 0}) == prefix
