"""A text's answer never depends on the batch that it came in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import GPT2Config, GPT2ForSequenceClassification, PreTrainedTokenizerFast

from anchorlab.data.encoding import TextEncoding
from anchorlab.models.call import predict
from anchorlab.models.padding import refuse_dependence_on_batch
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import TextClassifier
from tests.refusals import refused
from tests.tokenizers import encoding
from tests.zoo import TEXT, save_text
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = [f"w{n}" for n in range(20)]
TOKENS = {token: number for number, token in enumerate(["<unk>", "<eos>", "<pad>", *WORDS])}
SENTENCES = ["w1 w2", "w3 w4 w5 w6 w7", "w8 w9 w10", "w2 w2 w2 w2 w2 w2 w2 w2 w2"]


def save_gpt2(folder: Path, *, pad: str | None, config_pad: int | None, ends_in_eos: bool = False) -> Path:
    """A classifier that reads the last token, with any padding tokens in tokenizer and configuration."""
    backend = Tokenizer(models.WordLevel(TOKENS, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if ends_in_eos:
        backend.post_processor = processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 1)])
    named = {} if pad is None else {"pad_token": pad}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="<eos>", **named)
    torch.manual_seed(0)
    shape = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "vocab_size": len(TOKENS)}
    net = GPT2ForSequenceClassification(GPT2Config(**shape, bos_token_id=1, eos_token_id=1, num_labels=2))
    torch.nn.init.normal_(net.score.weight, std=2)
    net.config.pad_token_id = config_pad
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("ends_in_eos", [False, True])
@pytest.mark.parametrize(
    ("pad", "config_pad"), [(None, None), ("<pad>", None), ("<pad>", 1), ("<eos>", None), ("<pad>", 2), ("<pad>", -1)]
)
def test_gpt2_answers_in_a_batch_as_plain_transformers_does_one_text_at_a_time(tmp_path, pad, config_pad, ends_in_eos):
    folder = save_gpt2(tmp_path / "model", pad=pad, config_pad=config_pad, ends_in_eos=ends_in_eos)
    model = open_pretrained(str(folder))
    plain = GPT2ForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    alone = torch.cat([plain(torch.tensor([tokenizer(text)["input_ids"]])).logits for text in SENTENCES]).detach()
    torch.testing.assert_close(predict(model, model.encoding.encode(SENTENCES)), alone, rtol=0, atol=1e-5)


def test_a_network_without_a_padding_token_gets_one_so_that_plain_transformers_takes_batches_too(tmp_path):
    model = open_pretrained(str(save_gpt2(tmp_path / "model", pad=None, config_pad=None)))
    assert model.net.config.pad_token_id == model.encoding.pad == model.pad == TOKENS["<eos>"]


def test_a_tokenizer_that_pads_on_the_left_gives_the_same_answers(tmp_path):
    folder = save_text("bert", tmp_path / "model", ["a", "b"])
    before = open_pretrained(str(folder))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"padding_side": "left"}))
    after = open_pretrained(str(folder))
    texts = ["a film", "a film that is far too long"]
    torch.testing.assert_close(
        predict(after, after.encoding.encode(texts)), predict(before, before.encoding.encode(texts))
    )


def test_a_network_that_ignores_the_mask_is_refused(tmp_path):
    tokenizer = encoding("wordpiece").tokenizer
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 32, "max_position_embeddings": 80}
    config = transformers.FNetConfig(**shape, vocab_size=len(tokenizer), pad_token_id=0, num_labels=2)
    transformers.FNetForSequenceClassification(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    refused(
        r"the answers of .*model depend on the batch: a text's logits move by up to .* beside a longer one; give a "
        r"model that heeds the attention mask",
        open_pretrained,
        str(tmp_path / "model"),
    )


def test_token_types_that_the_network_needs_are_refused():
    """The tokenizer numbers the first segment 1, which BERT adds an embedding for."""
    backend = Tokenizer(models.WordLevel(TOKENS, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing("$A:1 <eos>:1", special_tokens=[("<eos>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        pad_token="<pad>",
        model_input_names=["input_ids", "token_type_ids"],
    )
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(**shape, vocab_size=len(TOKENS), pad_token_id=2, num_labels=2)
    torch.manual_seed(0)
    model = TextClassifier(transformers.BertForSequenceClassification(config), TextEncoding(tokenizer, 32))
    refused(
        "the model here answers otherwise than with all that its tokenizer gives .*token_type_ids",
        refuse_dependence_on_batch,
        model,
        "here",
    )


def test_a_network_that_cannot_be_run_on_texts_alone_is_refused(tmp_path):
    tokenizer = encoding("wordpiece").tokenizer
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0, num_labels=2
    )
    transformers.T5ForSequenceClassification(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    refused("cannot answer texts in a batch", open_pretrained, str(tmp_path / "model"))


@pytest.mark.parametrize("family", TEXT)
def test_the_usual_families_pass_and_are_left_in_their_mode(tmp_path, family):
    model = open_pretrained(str(save_text(family, tmp_path / "model", ["a", "b"]))).train()
    refuse_dependence_on_batch(model, "here")
    assert model.net.training
