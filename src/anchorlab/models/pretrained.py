"""Models of transformers from a folder or the hub, as classifiers of raw inputs. No code of theirs is ever run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.data import Kind
from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json
from anchorlab.models.adapter_settings import is_adapter
from anchorlab.models.adapters import open_adapter
from anchorlab.models.classes import in_own_order, settle_outputs
from anchorlab.models.folders import CONFIG, PREPROCESSING, check_folder, find_folder
from anchorlab.models.loading import (
    build_network,
    explained,
    load_network,
    open_tokenizer,
    quiet,
    read_configuration,
)
from anchorlab.models.padding import embedding_rows, give_padding, refuse_dependence_on_batch, settle_padding
from anchorlab.models.positions import token_limit
from anchorlab.models.preprocessing import open_preprocessing
from anchorlab.models.wrap import PixelClassifier, TextClassifier

#: Texts that a tokenizer is tried on: words, signs that it may not know, and nothing.
_TRIED = ("a good film", "\u4e16 \U0001f642", "")


def open_pretrained(
    source: str, *, kind: Kind | None = None, classes: Sequence[str] | None = None, base: str | None = None
) -> nn.Module:
    """A classifier from a folder or the hub, in evaluation mode and float32, on the CPU.

    Args:
        source: a folder with config.json and weights in safetensors, or a name on the hub.
        kind: image or text; None for what its configuration says.
        classes: names of the classes that it gets. Where it has another number, it gets a new last layer
            from torch's global generator. Where it has these names in another order, it keeps its order. None for
            its own classes, which it must have.
        base: the base model of an adapter, a folder or a name on the hub; None for the one that the adapter names.

    Raises:
        AnchorlabError: if it cannot be fetched or read, needs code of its own, or is not a classifier.
    """
    folder = find_folder(source)
    if is_adapter(folder) and classes is None:
        return open_adapter(folder, base, kind=kind)
    check_folder(folder)
    config = read_configuration(folder)
    if classes is None:
        own = kind_of_network(config, source)
        if kind not in (None, own):
            raise AnchorlabError(
                f"the model {source} reads {own}s, but the task holds {kind}s: give one that reads them"
            )
        settle_outputs(config, read_json(folder / CONFIG, "give another folder", nan=True), source)
    else:
        classes = in_own_order(classes, config)
        config.problem_type = None
        config.num_labels = len(classes)
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: label for label, name in enumerate(classes)}
    kind = kind or kind_of_network(config, source)
    net = load_network(folder, config, auto_class(kind), source, new_head=classes is not None)
    model = as_classifier(net.eval(), kind, str(folder))
    refuse_dependence_on_batch(model, source)
    return model


def from_configuration(folder: Path) -> nn.Module:
    """The classifier that a folder's configuration describes, with fresh weights.

    Raises:
        AnchorlabError: if it describes none that transformers knows.
    """
    with quiet(), explained(str(folder / CONFIG), "describes no classifier that can be built"):
        config = read_configuration(folder)
        kind = kind_of_network(config, str(folder / CONFIG))
        net = build_network(folder, config, auto_class(kind))
    return as_classifier(net.eval(), kind, str(folder))


def as_classifier(net: nn.Module, kind: Kind, source: str) -> nn.Module:
    """A network of transformers with what its folder says of its inputs."""
    from anchorlab.models.resnet import SmallImageResNet

    if kind == "text":
        encoding = open_encoding(source, net)
        _check_vocabulary(net, encoding, source)
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
    names = " ".join(config.architectures or [])
    if "ForSequenceClassification" in names:
        return "text"
    if "ForImageClassification" in names or (config.model_type == "anchorlab-resnet" and "ResNet" in names):
        return "image"
    raise AnchorlabError(
        f"{source} describes no classifier of texts or images, but {names or config.model_type}: train one from it "
        "with anchorlab train --model, or give another"
    )


def _check_vocabulary(net: nn.Module, encoding: TextEncoding, source: str) -> None:
    rows, tokens = embedding_rows(net), len(encoding.tokenizer)
    if rows is not None and tokens > rows:
        raise AnchorlabError(
            f"the tokenizer in {source} has {tokens} tokens, but the model has embeddings for {rows}: it is another "
            "model's, so give the folder the tokenizer that it was trained with"
        )


def auto_class(kind: Kind) -> Any:
    """The class of transformers that finds the classifier of a configuration."""
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    return AutoModelForSequenceClassification if kind == "text" else AutoModelForImageClassification
