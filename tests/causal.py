"""Tiny causal language models with random weights, in folders as transformers writes them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from anchorlab.seeding import seeded_globally
from tests.tokenizers import TEXTS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers


@cache
def tokenizer(vocabulary: int = 300, *, begins: bool = False) -> PreTrainedTokenizerFast:
    """Of bytes and their merges; with ``begins`` it puts ``<s>`` before each text, as Llama's does."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator(TEXTS, trainer)
    if begins:
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")


def save_causal(
    folder: Path,
    family: str = "gpt2",
    *,
    seed: int = 0,
    begins: bool = False,
    vocabulary: int = 300,
    noise: float = 0,
    positions: int = 64,
) -> Path:
    """Writes a two-layer model, ``gpt2`` or ``llama``; models of one seed differ by ``noise`` on all weights alone."""
    told = tokenizer(vocabulary, begins=begins)
    with seeded_globally(seed):
        if family == "gpt2":
            shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": positions}
            net = GPT2LMHeadModel(GPT2Config(vocab_size=len(told), bos_token_id=0, eos_token_id=0, **shape))
        else:
            shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
            shape |= {"max_position_embeddings": positions}
            net = LlamaForCausalLM(LlamaConfig(vocab_size=len(told), bos_token_id=0, eos_token_id=0, **shape))
        with torch.no_grad():
            for value in net.parameters():
                value.mul_(8 if value.ndim > 1 else 1)  # far from uniform, as trained models are
            for value in net.parameters():
                value.add_(noise * torch.randn_like(value) * value.std())
    net.save_pretrained(folder)
    told.save_pretrained(folder)
    return folder
