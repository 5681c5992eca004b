"""Padding of texts in a batch: no answer may depend on which other texts are in it.

Classifiers that read the last token of a text (GPT-2, Llama, ...) find it as the last one that is not
``config.pad_token_id``. A batch is therefore filled with that token, whatever the tokenizer would fill it with. A
configuration without one gets the tokenizer's, or a special token that no text ends in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError, reason
from anchorlab.models.call import evaluating, logits_of
from anchorlab.models.device import exact_arithmetic
from anchorlab.models.onnx_network import OnnxNetwork
from anchorlab.models.verbalizer import VerbalizedClassifier

#: Texts of different lengths, on which an opened model is tried.
_PROBES = ("good", "not a good film", "the plot was thin, but I would see it again, and so would most of my friends")

#: Tokens of further tries, made of the tokenizer's own vocabulary because it may know no English.
_PROBE_TOKENS = (2, 5, 9)

#: Logits of one text may differ by this much, absolutely and in shares of the largest logit: floating-point noise.
_TOLERANCE = 1e-4


def give_padding(tokenizer: Any) -> None:
    """Gives a tokenizer without a padding token one: a special token that it does not put at the end of a text."""
    if tokenizer.pad_token_id is None:
        ends = set(tokenizer("a")["input_ids"][-1:])
        tokenizer.pad_token = next(
            (token for token, number in _special_tokens(tokenizer) if number not in ends),
            tokenizer.convert_ids_to_tokens(len(tokenizer) - 1),
        )


def settle_padding(net: nn.Module, encoding: TextEncoding) -> int:
    """The id that fills a batch's shorter texts: what the configuration names, which is set where it names none.

    Args:
        net: a network of transformers, whose configuration is changed if it names no token of its embeddings.
        encoding: makes its inputs.
    """
    config: Any = net.config.get_text_config()  # type: ignore[operator, union-attr]
    named = getattr(config, "pad_token_id", None)
    if named is not None and 0 <= named < (embedding_rows(net) or named + 1):
        return int(named)
    # A text that ends in the padding token would lose its last token, and tokenizers may end every text in <eos>.
    ends = set(encoding.suffix)
    others = (number for _, number in _special_tokens(encoding.tokenizer))
    everything = range(len(encoding.tokenizer) - 1, -1, -1)
    config.pad_token_id = next(number for number in (encoding.pad, *others, *everything) if number not in ends)
    return int(config.pad_token_id)


def embedding_rows(net: nn.Module) -> int | None:
    """How many tokens a network of transformers has embeddings for; None for one without such a table."""
    try:
        return int(net.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    except (NotImplementedError, AttributeError):
        return None


def refuse_dependence_on_batch(model: nn.Module, source: str) -> None:
    """Raises AnchorlabError for a classifier of texts that answers in a batch otherwise than alone.

    Args:
        model: an opened classifier, on the CPU; one of images, or a module that is neither of transformers nor in an
            ONNX file, is not tried.
        source: the folder or hub name of the model, which the message names.
    """
    encoding: TextEncoding | None = getattr(model, "encoding", None)
    net = getattr(model, "net", None)
    config: Any = getattr(net, "config", None)
    if encoding is None or (config is None and not isinstance(net, OnnxNetwork)):
        return
    texts = _probe_texts(encoding)
    try:
        with torch.inference_mode(), evaluating(model), exact_arithmetic(torch.device("cpu")):
            together = _together(model, encoding, texts)
            own = torch.cat([_as_its_makers_would(model, encoding, text) for text in texts])
            # Only a refusal needs to know which of two causes it has, and large networks are slow.
            same = _same(together, own)
            alone = own if same else torch.cat([_together(model, encoding, [text]) for text in texts])
    except Exception as error:  # each family has errors of its own, for a missing decoder, say, or a language
        raise AnchorlabError(
            f"the model {source} cannot answer texts in a batch ({reason(error)}): give one that takes input_ids and "
            "attention_mask and answers with logits of shape [B, K]"
        ) from error
    if not own.isfinite().all() or not together.isfinite().all():
        raise AnchorlabError(
            f"the model {source} answers a text with logits that are not finite: train it again, or give another"
        )
    padding = None if config is None else config.get_text_config().pad_token_id
    pads = f"config.pad_token_id is {padding}, the tokenizer's is {encoding.pad}"
    if not _same(together, alone):
        raise AnchorlabError(
            f"the answers of {source} depend on the batch: a text's logits move by up to "
            f"{(together - alone).abs().max():.2g} beside a longer one; give a model that heeds the attention mask and "
            f"pads on the right ({pads})"
        )
    if not _same(alone, own):
        raise AnchorlabError(
            f"the model {source} answers otherwise than with all that its tokenizer gives it "
            f"({', '.join(encoding.tokenizer.model_input_names)}): give a model that needs only input_ids and "
            f"attention_mask ({pads})"
        )


def _special_tokens(tokenizer: Any) -> list[tuple[str, int]]:
    """The special tokens that a tokenizer names, with their ids, in the order in which they serve as padding."""
    named = (tokenizer.pad_token, tokenizer.eos_token, tokenizer.unk_token, tokenizer.bos_token, tokenizer.cls_token)
    return [(token, tokenizer.convert_tokens_to_ids(token)) for token in named if token is not None]


def _probe_texts(encoding: TextEncoding) -> list[str]:
    """A few texts of different lengths, always the same for a tokenizer."""
    tokenizer = encoding.tokenizer
    special = set(tokenizer.all_special_ids)
    ordinary = [number for number in range(len(tokenizer)) if number not in special] or [0]
    made = []
    for count in _PROBE_TOKENS:
        step = max(1, len(ordinary) // (count + 1))
        made.append(tokenizer.decode([ordinary[(n + 1) * step % len(ordinary)] for n in range(count)]))
    return [text for text in (*_PROBES, *made) if encoding.tokenize(text)]


def _together(model: nn.Module, encoding: TextEncoding, texts: list[str]) -> Tensor:
    inputs = encoding.encode(texts)
    return logits_of(model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])).float()


def _as_its_makers_would(model: nn.Module, encoding: TextEncoding, text: str) -> Tensor:
    """The network's logits for a text alone, with everything that its tokenizer makes of it.

    Token types that are all 0 say nothing and are left out: generic tokenizers give them for networks without any.
    """
    text = f"{encoding.lead}{text}"
    inputs = dict(encoding.tokenizer(text, truncation=True, max_length=encoding.max_length, return_tensors="pt"))
    if not inputs.get("token_type_ids", torch.zeros(1)).any():
        inputs.pop("token_type_ids", None)
    if isinstance(model, VerbalizedClassifier):
        return model.alone(**inputs).float()
    return logits_of(model.net(**inputs)).float()  # type: ignore[operator]


def _same(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, rtol=0, atol=_TOLERANCE * (1 + float(second.abs().max())))
