"""A network of transformers as a classifier of raw inputs, with its folder's tokenizer or preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.data import Kind
from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError
from anchorlab.models.folders import PREPROCESSING
from anchorlab.models.loading import explained, open_tokenizer, quiet
from anchorlab.models.padding import embedding_rows, give_padding, settle_padding
from anchorlab.models.positions import token_limit
from anchorlab.models.preprocessing import open_preprocessing
from anchorlab.models.verbalizer import VerbalizedClassifier, Verbalizer, is_causal
from anchorlab.models.wrap import PixelClassifier, TextClassifier

#: Texts that a tokenizer is tried on: words, signs that it may not know, and nothing.
_TRIED = ("a good film", "\u4e16 \U0001f642", "")


def as_classifier(net: nn.Module, kind: Kind, source: str) -> nn.Module:
    """A network of transformers with what its folder says of its inputs."""
    from anchorlab.models.resnet import SmallImageResNet

    if kind == "text":
        encoding = open_encoding(source, net)
        _check_vocabulary(net, encoding, source)
        if Verbalizer.of(net.config) is not None:
            return VerbalizedClassifier(net, encoding)
        return TextClassifier(net, encoding, settle_padding(net, encoding))
    if isinstance(net, SmallImageResNet):
        return net  # normalises by itself
    with quiet(), explained(source, f"has a {PREPROCESSING} that cannot be read"):
        return PixelClassifier(net, steps=open_preprocessing(source, net.config))


def open_encoding(source: str, net: nn.Module) -> TextEncoding:
    """The tokenizer of a folder, with the most tokens that both it and a network of transformers can read.

    Raises:
        AnchorlabError: if there is none that can be used.
    """
    tokenizer = open_tokenizer(Path(source))
    with quiet(), explained(source, "has a tokenizer that cannot write texts"):
        give_padding(tokenizer)
    tokenizer.model_max_length = token_limit(net, net.config, tokenizer.model_max_length)
    with quiet(), explained(source, "has a tokenizer that cannot write texts"):
        encoding = TextEncoding(tokenizer, tokenizer.model_max_length)
        encoding.encode(_TRIED)
    return encoding


def kind_of_network(config: Any, source: str) -> Kind:
    """What a configuration says that the model reads."""
    if Verbalizer.of(config) is not None:
        return "text"
    names = " ".join(config.architectures or [])
    if "ForSequenceClassification" in names:
        return "text"
    if "ForImageClassification" in names or (config.model_type == "anchorlab-resnet" and "ResNet" in names):
        return "image"
    words = ""
    if is_causal(config):
        words = (
            ", take it as a classifier by label words, with adopt --verbalizer, compare or audit it as a language "
            "model, with --texts FILE"
        )
    raise AnchorlabError(
        f"{source} describes no classifier of texts or images, but {names or config.model_type}: train one from it "
        f"with anchorlab train --model{words}, or give another"
    )


def _check_vocabulary(net: nn.Module, encoding: TextEncoding, source: str) -> None:
    rows, tokens = embedding_rows(net), len(encoding.tokenizer)
    if rows is not None and tokens > rows:
        raise AnchorlabError(
            f"the tokenizer in {source} has {tokens} tokens, but the model has embeddings for {rows}: it is another "
            "model's, so give the folder the tokenizer that it was trained with"
        )


def auto_class(kind: Kind, config: Any) -> Any:
    """The class of transformers that finds the network of a configuration; with label words, a causal one."""
    from transformers import AutoModelForCausalLM, AutoModelForImageClassification, AutoModelForSequenceClassification

    if kind == "text" and Verbalizer.of(config) is not None:
        return AutoModelForCausalLM
    return AutoModelForSequenceClassification if kind == "text" else AutoModelForImageClassification
