"""Causal language models open from folders, compute as transformers does, and run no code."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, BertConfig, BertLMHeadModel

from anchorlab import AnchorlabError
from anchorlab.models.causal import open_causal
from tests.causal import save_causal, tokenizer


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_logits_are_those_of_transformers(family, tmp_path):
    model = open_causal(save_causal(tmp_path, family))
    ids = torch.tensor([[5, 80, 17, 200], [9, 9, 3, 1]])
    expected = AutoModelForCausalLM.from_pretrained(tmp_path)(ids).logits
    assert torch.equal(model.logits(ids), expected)
    torch.testing.assert_close(model.logits(ids, last=2), expected[:, 2:])
    assert not model.net.training
    assert model.limit == 64


def test_a_network_that_cannot_leave_positions_out_is_cut_afterwards(tmp_path):
    model = open_causal(save_causal(tmp_path))
    model.__dict__["_can_keep"] = False
    ids = torch.tensor([[5, 80, 17, 200]])
    assert torch.equal(model.logits(ids, last=1), model.logits(ids)[:, 3:])


def test_the_precision_is_an_option(tmp_path):
    save_causal(tmp_path)
    assert open_causal(tmp_path, precision="bfloat16").logits(torch.tensor([[1, 2]])).dtype == torch.bfloat16
    with pytest.raises(AnchorlabError, match="unknown precision 'float8'"):
        open_causal(tmp_path, precision="float8")


def test_what_is_stored_in_half_precision_is_computed_in_float32(tmp_path):
    net = AutoModelForCausalLM.from_pretrained(save_causal(tmp_path)).bfloat16()
    net.save_pretrained(tmp_path)
    assert open_causal(tmp_path).logits(torch.tensor([[1, 2]])).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "never opened"),
        (lambda folder: _say(folder, auto_map={"AutoModelForCausalLM": "code.Net"}), "code of its own"),
        (lambda folder: _say(folder, architectures=["GPT2ForSequenceClassification"]), "no causal language model, but"),
        (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")], "tokenizer"),
    ],
)
def test_what_is_no_causal_model_in_safetensors_is_refused(change, words, tmp_path):
    save_causal(tmp_path)
    change(tmp_path)
    with pytest.raises(AnchorlabError, match=words):
        open_causal(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    save_causal(tmp_path, vocabulary=270)
    tokenizer(300).save_pretrained(tmp_path)
    with pytest.raises(AnchorlabError, match=r"has 300 tokens, but the model has embeddings for 270: .* another model"):
        open_causal(tmp_path)


def test_a_network_that_reads_later_tokens_is_refused(tmp_path):
    told = tokenizer()
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    net = BertLMHeadModel(BertConfig(vocab_size=len(told), **shape))
    net.save_pretrained(tmp_path)
    told.save_pretrained(tmp_path)
    with pytest.raises(AnchorlabError, match="reads later tokens before it predicts them"):
        open_causal(tmp_path)


def _say(folder, **entries):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
