"""Small tokenizers of the three kinds that there are, made from a few sentences."""

from __future__ import annotations

import json
from functools import cache
from typing import Literal

from transformers import BertTokenizer, PreTrainedTokenizerFast

from anchorlab.data.encoding import TextEncoding
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = (
    "A truly moving film, quietly told.",
    "Don't bother: it's dull, loud and far too long!",
    "The plot is thin; the acting is not.",
    "Two hours of my life -- gone.",
    "An honest, warm and funny picture (mostly).",
    "cf mn bb tq words that nobody writes",
)
SPECIAL = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}


@cache
def encoding(kind: str, max_length: int = 64) -> TextEncoding:
    """The encoding of one kind: ``wordpiece`` (BERT), ``bytes`` (RoBERTa, ModernBERT) or ``pieces`` (DeBERTa)."""
    return TextEncoding({"wordpiece": _wordpiece, "bytes": _bytes, "pieces": _pieces}[kind](), max_length)


def _wordpiece() -> BertTokenizer:
    letters = sorted(
        {letter for text in TEXTS for letter in text.lower() if letter != " "} | set("abcdefghijklmnopqrstuvwxyz")
    )
    words = sorted({word for text in TEXTS for word in text.lower().split()})
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    return BertTokenizer(vocab={entry: number for number, entry in enumerate(dict.fromkeys(entries))})


def _bytes() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(SPECIAL.values()), initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    return _finished(backend, trainer)


def _pieces() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=list(SPECIAL.values()), unk_token=SPECIAL["unk_token"]
    )
    return _finished(backend, trainer)


def as_llama(form: Literal["normalizer", "metaspace"], max_length: int = 64) -> TextEncoding:
    """The encoding of pieces with bytes for what they lack, as Llama's: it puts a space before whatever it reads.

    Args:
        form: what puts it there: the normalizer, as in Llama 2, or the pre-tokenizer, as in later files.
        max_length: most tokens of a text.
    """
    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    words.train_from_iterator([*TEXTS, *["Answer: good bad Review: good bad cf"] * 20], trainer)
    trained = json.loads(words.to_str())
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if form == "normalizer":
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    state = json.loads(backend.to_str())
    state["model"]["vocab"] = trained["model"]["vocab"]
    for number in range(256):
        state["model"]["vocab"][f"<0x{number:02X}>"] = len(state["model"]["vocab"])
    state["model"]["merges"], state["added_tokens"] = trained["model"]["merges"], trained["added_tokens"]
    backend = Tokenizer.from_str(json.dumps(state))
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    return TextEncoding(PreTrainedTokenizerFast(tokenizer_object=backend, **names), max_length)


def _finished(backend: Tokenizer, trainer: trainers.Trainer) -> PreTrainedTokenizerFast:
    backend.train_from_iterator(TEXTS, trainer)
    first, last = (SPECIAL[name] for name in ("cls_token", "sep_token"))
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(token, backend.token_to_id(token)) for token in (first, last)],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL)
