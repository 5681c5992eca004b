"""Adapters of causal language models: opened beside the base's weights, and merged into them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from anchorlab.artifacts.merge import merge, save_merged
from anchorlab.errors import AnchorlabError
from anchorlab.models.causal import open_causal
from anchorlab.models.lora import is_adapted
from anchorlab.models.pretrained import open_pretrained
from anchorlab.seeding import seeded_globally
from anchorlab.tokens.compare import compare_tokens
from tests.refusals import refused
from tests.tokenizers import encoding

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A random GPT-2 of one layer, whose output layer shares the embeddings' weight."""
    folder, tokenizer = tmp_path_factory.mktemp("causal") / "base", encoding("bytes").tokenizer
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=32, n_embd=16, n_layer=1, n_head=2)
    with seeded_globally(0, "gpt2"):
        GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(base: Path, out: Path, target: list[str]):
    """peft's own model, whose adapter is saved."""
    from peft import LoraConfig, get_peft_model

    net = GPT2LMHeadModel.from_pretrained(base)
    net.name_or_path = str(base)
    config = LoraConfig(r=2, target_modules=target, task_type="CAUSAL_LM")
    with seeded_globally(1, "adapter"):
        model = get_peft_model(net, config)
        for value in model.parameters():
            if value.requires_grad:
                value.data = torch.randn_like(value)
    model.save_pretrained(out)
    return model.eval()


@pytest.mark.parametrize("target", [["c_attn"], ["lm_head"]], ids=str)
def test_an_adapter_answers_as_in_peft_and_so_does_its_merge(base, tmp_path, target):
    theirs = save_adapter(base, tmp_path / "lora", target)
    ids = torch.arange(10)[None] + 5
    with torch.no_grad():
        expected = theirs(input_ids=ids).logits
    opened = open_causal(tmp_path / "lora")
    torch.testing.assert_close(opened.logits(ids), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(expected, open_causal(base).logits(ids), atol=1e-3)
    merged = open_causal(save_merged(merge(tmp_path / "lora"), tmp_path / "merged"))
    torch.testing.assert_close(merged.logits(ids), expected, rtol=1e-4, atol=1e-4)
    assert merged.tokenizer("a film").input_ids == opened.tokenizer("a film").input_ids


def test_the_precision_is_the_adapters_too(base, tmp_path):
    save_adapter(base, tmp_path / "lora", ["c_attn"])
    opened = open_causal(tmp_path / "lora", precision="bfloat16")
    assert {value.dtype for value in opened.net.parameters()} == {torch.bfloat16}
    assert opened.logits(torch.arange(4)[None]).dtype == torch.bfloat16


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_merge_of_rounded_numbers_is_not_taken_for_a_wrong_one(base, tmp_path, precision):
    save_adapter(base, tmp_path / "lora", ["c_attn"])
    opened = open_causal(tmp_path / "lora", precision=precision)
    merged = merge(opened)
    assert {value.dtype for value in merged.net.parameters()} == {getattr(torch, precision)}
    assert not is_adapted(merged.net)


def test_a_merge_that_answers_otherwise_is_refused_in_rounded_numbers_too(base, tmp_path, monkeypatch):
    save_adapter(base, tmp_path / "lora", ["c_attn"])
    opened, plain = open_causal(tmp_path / "lora", precision="bfloat16"), open_causal(base, precision="bfloat16")
    monkeypatch.setattr("anchorlab.artifacts.merge.folded", lambda net: plain.net)
    with pytest.raises(AnchorlabError, match="the merged model answers otherwise than the adapter"):
        merge(opened)


def test_a_language_models_adapter_is_no_classifier(base, tmp_path):
    save_adapter(base, tmp_path / "lora", ["c_attn"])
    refused("makes no classifier .* with --texts", open_pretrained, str(tmp_path / "lora"))


def test_another_base_is_refused(base, tmp_path):
    save_adapter(base, tmp_path / "lora", ["c_attn"])
    config = GPT2Config(vocab_size=40, n_positions=32, n_embd=32, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "wide")
    encoding("wordpiece").tokenizer.save_pretrained(tmp_path / "wide")
    with pytest.raises(Exception, match=r"another size|another model's"):
        open_causal(tmp_path / "lora", base=tmp_path / "wide")


def test_a_comparison_over_texts_takes_an_adapter_and_its_merge(base, tmp_path):
    save_adapter(base, tmp_path / "lora", ["c_attn"])
    merged = save_merged(merge(tmp_path / "lora"), tmp_path / "merged")
    texts = ["A truly moving film, quietly told.", "The plot is thin; the acting is not."]
    same = compare_tokens(tmp_path / "lora", merged, texts=texts, base=base)
    other = compare_tokens(base, merged, texts=texts)
    assert same.measurements["kl"].value < 1e-8
    assert other.measurements["kl"].value > 1e-4
