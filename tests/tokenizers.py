"""Small tokenizers of the three kinds that there are, made from a few sentences."""

from __future__ import annotations

from functools import cache

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


def _finished(backend: Tokenizer, trainer: trainers.Trainer) -> PreTrainedTokenizerFast:
    backend.train_from_iterator(TEXTS, trainer)
    first, last = (SPECIAL[name] for name in ("cls_token", "sep_token"))
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(token, backend.token_to_id(token)) for token in (first, last)],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL)
