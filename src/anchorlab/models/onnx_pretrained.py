"""Opens an ONNX file as a classifier of raw inputs, by what lies beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.data import Kind
from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json
from anchorlab.models.classes import settle_outputs
from anchorlab.models.classifiers import open_encoding
from anchorlab.models.folders import CONFIG, PREPROCESSING
from anchorlab.models.loading import OWN_MODULE, explained, quiet, read_configuration
from anchorlab.models.onnx_files import read_onnx
from anchorlab.models.onnx_network import OnnxNetwork
from anchorlab.models.padding import refuse_dependence_on_batch, settle_padding
from anchorlab.models.positions import described_limit
from anchorlab.models.preprocessing import open_preprocessing
from anchorlab.models.wrap import PixelClassifier, TextClassifier
from anchorlab.notices import notice

#: The operator of int8 whose ranges are a whole batch's, so that answers depend on the batch by intention.
_BY_BATCH = b"DynamicQuantizeLinear"


def open_onnx(file: Path, *, kind: Kind | None = None, form: str = "onnx") -> nn.Module:
    """The classifier in an ONNX file. Nothing of it is run but the operators of onnxruntime.

    A file of images takes raw pixels, uint8, or numbers that ``preprocessor_config.json`` beside it explains; beside
    one of raw pixels that file is ignored, with a notice. One of texts takes ``input_ids`` and ``attention_mask``, and
    its tokenizer lies beside it. ``config.json`` beside it names the classes, where there is one.

    Args:
        file: the ONNX file.
        kind: what the task holds; None for anything.
        form: ``onnx`` or ``onnx-int8``, as its manifest says.

    Raises:
        AnchorlabError: if it is refused by ``read_onnx``, is no classifier, what it needs is not beside it, or the
            configuration there is refused by ``settle_outputs``.
    """
    content = read_onnx(file)
    config = _config(file.parent)
    network = OnnxNetwork(content, str(file), config, form).eval()
    if kind not in (None, network.kind):
        raise AnchorlabError(
            f"the model {file} reads {network.kind}s, but the task holds {kind}s: give one that reads them"
        )
    if network.kind == "text":
        model = _of_texts(network, file)
        if _BY_BATCH not in content:
            refuse_dependence_on_batch(model, str(file))
        return model
    explains = (file.parent / PREPROCESSING).is_file()
    if network.takes_pixels:
        if explains:
            notice(f"{PREPROCESSING} beside {file} is ignored, because that file takes raw pixels")
        return network
    if not explains:
        raise AnchorlabError(
            f"{file} takes images that are normalised, and no {PREPROCESSING} beside it says how: add the file that "
            "the model was trained with"
        )
    with quiet(), explained(str(file.parent), f"has a {PREPROCESSING} that cannot be read"):
        return PixelClassifier(network, steps=open_preprocessing(str(file.parent), config)).eval()


def _config(folder: Path) -> Any:
    """The configuration beside a file; None where there is none, or it says nothing of the outputs."""
    if not (folder / CONFIG).is_file():
        return None
    written = read_json(folder / CONFIG, "give another folder", nan=True)
    if written.get("model_type") == OWN_MODULE:
        return None
    config = read_configuration(folder) if written.get("model_type") else _bare_configuration(folder, written)
    if config is not None:
        settle_outputs(config, written, str(folder))
    return config


def _bare_configuration(folder: Path, written: Mapping[str, Any]) -> Any:
    """What a configuration without a type of model says of the outputs; None if nothing."""
    from transformers import PretrainedConfig

    told = {name: written[name] for name in ("id2label", "label2id", "problem_type") if written.get(name)}
    if not told:
        return None
    with quiet(), explained(str(folder / CONFIG), "describes no classifier"):
        return PretrainedConfig(**told, pad_token_id=written.get("pad_token_id"))


def _of_texts(network: OnnxNetwork, file: Path) -> TextClassifier:
    encoding = open_encoding(str(file.parent), network)
    table = None if network.config is None else described_limit(network.config)
    length = min(limit for limit in (encoding.max_length, network.length, table) if limit is not None)
    if length < encoding.max_length:
        encoding = TextEncoding(encoding.tokenizer, length)
    if network.config is not None:
        return TextClassifier(network, encoding, settle_padding(network, encoding)).eval()
    written = read_json(file.parent / CONFIG, "copy it again", nan=True) if (file.parent / CONFIG).is_file() else {}
    return TextClassifier(network, encoding, written.get("pad_token_id")).eval()
