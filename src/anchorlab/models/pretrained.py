"""Models of transformers from a folder or the hub, as classifiers of raw inputs. No code of theirs is ever run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from anchorlab.data import Kind
from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError, reason
from anchorlab.models.classes import in_own_order, settle_outputs
from anchorlab.models.padding import embedding_rows, give_padding, refuse_dependence_on_batch, settle_padding
from anchorlab.models.wrap import PICKLES, PixelClassifier, TextClassifier, conversion

WEIGHTS, CONFIG, PREPROCESSING = "model.safetensors", "config.json", "preprocessor_config.json"

#: ``model_type`` in the configuration of a module of the user's own.
OWN_MODULE = "anchorlab-module"

#: Tokenizers that know no limit say 10^30.
_NO_LIMIT = 100_000


def refuse_pickles(folder: Path) -> None:
    """Raises AnchorlabError for a path without a folder, or a folder with pickled weights alone."""
    if not folder.exists():
        raise AnchorlabError(f"there is no folder {folder}: give one that exists, or make one with anchorlab train")
    if folder.is_file():
        hint = conversion(folder) if folder.suffix in PICKLES else f"give a model folder with {WEIGHTS}"
        raise AnchorlabError(
            f"{folder} is a file, and pickled models are never opened, because they can run any code: {hint}"
        )
    pickles = sorted(path for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles and not any(folder.glob("*.safetensors")):
        raise AnchorlabError(
            f"{folder} holds only pickled weights ({pickles[0].name}), which are never opened, because they can run "
            f"any code: {conversion(pickles[0])}"
        )


def open_pretrained(source: str, *, kind: Kind | None = None, classes: Sequence[str] | None = None) -> nn.Module:
    """A classifier from a folder or the hub, in evaluation mode and float32, on the CPU.

    Args:
        source: a folder with config.json and weights in safetensors, or a name on the hub.
        kind: image or text; None for what its configuration says.
        classes: names of the classes that it gets. Where it has another number, it gets a new last layer
            from torch's global generator. Where it has these names in another order, it keeps its order. None for
            its own classes, which it must have.

    Raises:
        AnchorlabError: if it cannot be fetched or read, needs code of its own, or is not a classifier.
    """
    folder = Path(source).expanduser()
    if folder.exists():
        refuse_pickles(folder)
        source = str(folder)
    config = _configuration(source, local=folder.exists())
    if classes is None:
        own = _kind(config, source)
        if kind not in (None, own):
            raise AnchorlabError(
                f"the model {source} reads {own}s, but the task holds {kind}s: give one that reads them"
            )
        settle_outputs(config, _written(source, local=folder.exists()), source)
    else:
        classes = in_own_order(classes, config)
        config.problem_type = None
        config.num_labels = len(classes)
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: label for label, name in enumerate(classes)}
    kind = kind or _kind(config, source)
    with _quiet(), _explained(source, "has no weights that can be opened", local=folder.exists()):
        net, loading = _auto_class(kind).from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=folder.exists(),
            ignore_mismatched_sizes=classes is not None,
            output_loading_info=True,
        )
    if classes is None and loading["missing_keys"]:
        raise AnchorlabError(
            f"the weights in {source} lack {sorted(loading['missing_keys'])[0]}, so it is not a trained classifier: "
            "train it first, with anchorlab train --model"
        )
    model = as_classifier(net.eval(), kind, source)
    refuse_dependence_on_batch(model, source)
    return model


def from_configuration(folder: Path) -> nn.Module:
    """The classifier that a folder's configuration describes, with fresh weights.

    Raises:
        AnchorlabError: if it describes none that transformers knows.
    """
    with _quiet(), _explained(str(folder / CONFIG), "describes no classifier that can be built", local=True):
        config = _configuration(str(folder), local=True)
        kind = _kind(config, str(folder / CONFIG))
        net = _auto_class(kind).from_config(config, trust_remote_code=False)
    return as_classifier(net.eval(), kind, str(folder))


def as_classifier(net: nn.Module, kind: Kind, source: str) -> nn.Module:
    """A network of transformers with what its folder says of its inputs."""
    from anchorlab.models.resnet import SmallImageResNet

    if kind == "text":
        encoding = open_encoding(source, net.config)
        _check_vocabulary(net, encoding, source)
        return TextClassifier(net, encoding, settle_padding(net, encoding))
    if isinstance(net, SmallImageResNet):
        return net  # normalises by itself
    return PixelClassifier(net, *_preprocessing(source))


def open_encoding(source: str, config: Any) -> TextEncoding:
    """The tokenizer of a folder or hub name, with the model's limit.

    Raises:
        AnchorlabError: if there is none that can be used.
    """
    from transformers import AutoTokenizer

    local = Path(source).exists()
    with _quiet(), _explained(source, "has no tokenizer that can be opened", local=local):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=local)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # what transformers makes up where there are no files
        raise AnchorlabError(
            f"{source} holds no tokenizer: add the tokenizer.json that the model was trained with, or write the folder "
            "again with the tokenizer's save_pretrained"
        )
    tokenizer.truncation_side = "right"
    give_padding(tokenizer)
    limit = tokenizer.model_max_length
    if limit > _NO_LIMIT:
        limit = getattr(config, "max_position_embeddings", None) or 512
        tokenizer.model_max_length = limit
    return TextEncoding(tokenizer, limit)


def _configuration(source: str, *, local: bool) -> Any:
    from transformers import AutoConfig

    import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)

    if local and not (Path(source) / CONFIG).is_file():
        raise AnchorlabError(
            f"{source} holds no {CONFIG}: give a folder made by anchorlab or by save_pretrained of transformers"
        )
    if local and _model_type(Path(source)) == OWN_MODULE:
        raise AnchorlabError(
            f"the model in {source} is a module of somebody's own Python: open it there, with load_model({source!r}, "
            "into=MODULE)"
        )
    with _quiet(), _explained(f"{source}/{CONFIG}", "describes no classifier", local=local):
        return AutoConfig.from_pretrained(source, trust_remote_code=False, local_files_only=local)


def _written(source: str, *, local: bool) -> dict[str, Any]:
    """The content of config.json."""
    from transformers import PreTrainedConfig

    with _quiet(), _explained(f"{source}/{CONFIG}", "cannot be read", local=local):
        written: dict[str, Any] = PreTrainedConfig.get_config_dict(source, local_files_only=local)[0]
        return written


def _model_type(folder: Path) -> str:
    try:
        config = json.loads((folder / CONFIG).read_text())
    except ValueError:
        return ""  # transformers says what is wrong
    return str(config.get("model_type", "")) if isinstance(config, dict) else ""


def _kind(config: Any, source: str) -> Kind:
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


def _auto_class(kind: Kind) -> Any:
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    return AutoModelForSequenceClassification if kind == "text" else AutoModelForImageClassification


def _preprocessing(source: str) -> tuple[list[float], list[float], tuple[int, int] | None]:
    """Mean, standard deviation and size of a model's images, from its folder or hub page."""
    from transformers.utils import cached_file

    local = Path(source).exists()
    with _explained(source, f"has no {PREPROCESSING}, which says how its images are normalised", local=local):
        path = cached_file(source, PREPROCESSING, local_files_only=local)
        settings = json.loads(Path(path).read_text())
        mean, std = settings["image_mean"], settings["image_std"]
    size = settings.get("crop_size") or settings.get("size")
    size = {"height": size, "width": size} if isinstance(size, int) else size or {}
    edge = size.get("shortest_edge")
    height, width = size.get("height", edge), size.get("width", edge)
    return mean, std, None if height is None or width is None else (height, width)


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, transformers reports nothing, above all not that a last layer is new, as intended."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _explained(source: str, what: str, *, local: bool) -> Iterator[None]:
    """Turns whatever transformers raises, each kind of damage another type, into one sentence."""
    try:
        yield
    except AnchorlabError:
        raise
    except Exception as error:
        if "trust_remote_code" in str(error) or "custom code" in str(error):
            raise AnchorlabError(
                f"the model {source} needs code of its own, which is never run: give one that transformers knows"
            ) from error
        hint = (
            "give a folder that save_pretrained of transformers or anchorlab wrote"
            if local
            else "check the name and the network, or give a local folder with config.json, model.safetensors and, for "
            "texts, tokenizer.json"
        )
        raise AnchorlabError(f"{source} {what} ({reason(error)}): {hint}") from error
