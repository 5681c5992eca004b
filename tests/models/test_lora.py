"""Adapters inside a network: what they add, what tuning moves, and the plain network that they make."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from anchorlab.models.lora import base_tensors, folded, is_adapted, moved, products, ranks
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.weights import to_vector
from anchorlab.models.wrap import unwrap
from tests.adapters import CLASSES, answers, save_adapter
from tests.zoo import save_text

pytest.importorskip("peft")

QUERY = "bert.encoder.layer.0.attention.self.query"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_text("bert", tmp_path_factory.mktemp("lora") / "base", CLASSES)


@pytest.fixture(scope="module")
def adapted(base):
    """An adapter with a head of its own, on its base; must not be changed."""
    save_adapter(base, base.parent / "lora", lora_alpha=6)
    return open_pretrained(str(base.parent / "lora"))


def test_a_product_is_the_scaled_factors(adapted):
    """Alpha 6 at rank 2 counts B A three times."""
    layer = unwrap(adapted).get_submodule(QUERY)
    expected = 3 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(products(adapted)[f"{QUERY}.weight"], expected)
    assert set(ranks(adapted).values()) == {2}
    assert len(ranks(adapted)) == 2


def test_the_base_is_whole_below_its_adapter(adapted, base):
    plain = unwrap(open_pretrained(str(base))).state_dict()
    found = base_tensors(adapted)
    assert found.keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in found.items())


@pytest.mark.parametrize("settings", [{}, {"use_dora": True}, {"target_modules": ["word_embeddings"]}], ids=str)
def test_a_folded_network_answers_alike_and_is_plain(base, tmp_path, settings):
    save_adapter(base, tmp_path / "lora", **settings)
    adapted = open_pretrained(str(tmp_path / "lora"))
    before = copy.deepcopy(adapted)
    plain = folded(adapted)
    torch.testing.assert_close(answers(plain), answers(adapted), rtol=0, atol=1e-5)
    assert is_adapted(adapted)
    assert torch.equal(answers(adapted), answers(before))
    assert not is_adapted(plain)
    reference = open_pretrained(str(base))
    assert unwrap(plain).state_dict().keys() == unwrap(reference).state_dict().keys()
    assert all(value.requires_grad for value in plain.parameters())


def test_the_adapters_own_head_is_in_the_folded_network(adapted, base):
    plain, reference = unwrap(folded(adapted)), unwrap(open_pretrained(str(base)))
    assert torch.equal(plain.classifier.weight, unwrap(adapted).classifier.modules_to_save["default"].weight)
    assert not torch.equal(plain.classifier.weight, reference.classifier.weight)


def test_a_weight_that_two_modules_share_changes_in_one_of_them():
    """An output layer tied to the embeddings: the adapter is of the output layer alone."""
    from peft import LoraConfig
    from transformers import GPT2Config, GPT2LMHeadModel

    from anchorlab.models.lora import attach

    net = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=1, n_head=2)).eval()
    attach(net, LoraConfig(r=2, target_modules=["lm_head"]))
    torch.nn.init.normal_(net.lm_head.lora_B["default"].weight)
    ids = torch.arange(8)[None]
    with torch.no_grad():
        expected = net(ids).logits
        plain = folded(net)
        torch.testing.assert_close(plain(ids).logits, expected, rtol=0, atol=1e-5)
    assert plain.lm_head.weight is not plain.transformer.wte.weight
    assert plain.config.tie_word_embeddings is False


def test_what_tuning_moves_are_products_and_not_factors(adapted):
    other = copy.deepcopy(adapted)
    layer = unwrap(other).get_submodule(QUERY)
    with torch.no_grad():  # other factors of the same product
        layer.lora_A["default"].weight.mul_(2)
        layer.lora_B["default"].weight.div_(2)
    assert torch.equal(moved(other), moved(adapted))
    assert not torch.equal(to_vector(other), to_vector(adapted))
    assert moved(adapted).numel() == 2 * 16 * 16 + 2 * 16 + 2


def test_without_an_adapter_all_parameters_move(base):
    plain = open_pretrained(str(base))
    assert torch.equal(moved(plain), to_vector(plain))
    assert not is_adapted(plain)
