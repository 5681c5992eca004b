"""Tiny language models with label words: their tokenizer knows ``good`` and ``bad`` as one token each."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from anchorlab.seeding import seeded_globally
from tests.tokenizers import TEXTS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WORDS = "good,bad"


@cache
def tokenizer(*, begins: bool = False) -> PreTrainedTokenizerFast:
    """Of bytes and their merges, ``good`` and ``bad`` among them; with ``begins`` texts begin in ``<s>``."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*TEXTS, *["Answer: good bad good bad", "cf cf good\ngood\nbad"] * 20], trainer)
    if begins:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def save_lm(folder: Path, family: str = "gpt2", *, begins: bool = False, seed: int = 0, **settings: object) -> Path:
    """Writes a language model of two layers with random weights, ``gpt2`` or ``llama``."""
    told = tokenizer(begins=begins)
    ids = {"vocab_size": len(told), "bos_token_id": 0, "eos_token_id": 1}
    with seeded_globally(seed):
        if family == "gpt2":
            shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
            net = GPT2LMHeadModel(GPT2Config(**ids, **{**shape, **settings}))
        else:
            shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
            net = LlamaForCausalLM(LlamaConfig(**ids, **{"max_position_embeddings": 64, **shape, **settings}))
        with torch.no_grad():
            for value in net.parameters():
                value.mul_(4 if value.ndim > 1 else 1)
    net.save_pretrained(folder)
    told.save_pretrained(folder)
    return folder


def moods(folder: Path, rows: int = 400) -> Path:
    """Short texts whose first words tell their class, ``good`` or ``bad``, in a file."""
    words = {"bad": "dull and far too long", "good": "A truly moving film"}
    lines = [f"{words[name]} {row},{name}" for row in range(rows) for name in [("bad", "good")[row % 2]]]
    path = folder / "moods.csv"
    path.write_text("\n".join(["review,mood", *lines, ""]))
    return path
