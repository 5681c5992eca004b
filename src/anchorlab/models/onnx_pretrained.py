"""Opens an ONNX file as a classifier of raw inputs, by what lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.data import Kind
from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json
from anchorlab.models.classifiers import open_encoding
from anchorlab.models.folders import CONFIG, PREPROCESSING
from anchorlab.models.loading import OWN_MODULE, explained, quiet, read_configuration
from anchorlab.models.onnx_files import read_onnx
from anchorlab.models.onnx_network import OnnxNetwork
from anchorlab.models.padding import refuse_dependence_on_batch, settle_padding
from anchorlab.models.preprocessing import open_preprocessing
from anchorlab.models.wrap import PixelClassifier, TextClassifier

#: The operator of int8 whose ranges are a whole batch's, so that answers depend on the batch by intention.
_BY_BATCH = b"DynamicQuantizeLinear"


def open_onnx(file: Path, *, kind: Kind | None = None, form: str = "onnx") -> nn.Module:
    """The classifier in an ONNX file. Nothing of it is run but the operators of onnxruntime.

    A file of images takes raw pixels, uint8, or numbers that ``preprocessor_config.json`` beside it explains. One of
    texts takes ``input_ids`` and ``attention_mask``, and its tokenizer lies beside it. ``config.json`` beside it
    names the classes, where there is one.

    Args:
        file: the ONNX file.
        kind: what the task holds; None for anything.
        form: ``onnx`` or ``onnx-int8``, as its manifest says.

    Raises:
        AnchorlabError: if it is refused by ``read_onnx``, is no classifier, or what it needs is not beside it.
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
    if (file.parent / PREPROCESSING).is_file():
        with quiet(), explained(str(file.parent), f"has a {PREPROCESSING} that cannot be read"):
            return PixelClassifier(network, steps=open_preprocessing(str(file.parent), config)).eval()
    if not network.takes_pixels:
        raise AnchorlabError(
            f"{file} takes images that are normalised, and no {PREPROCESSING} beside it says how: add the file that "
            "the model was trained with"
        )
    return network


def _config(folder: Path) -> Any:
    """The configuration beside a file; None where there is none of transformers'."""
    if not (folder / CONFIG).is_file():
        return None
    written = read_json(folder / CONFIG, "give another folder", nan=True)
    return None if written.get("model_type") in (None, OWN_MODULE) else read_configuration(folder)


def _of_texts(network: OnnxNetwork, file: Path) -> TextClassifier:
    encoding = open_encoding(str(file.parent), network)
    if network.length is not None and network.length < encoding.max_length:
        encoding = TextEncoding(encoding.tokenizer, network.length)
    if network.config is not None:
        return TextClassifier(network, encoding, settle_padding(network, encoding)).eval()
    written = read_json(file.parent / CONFIG, "copy it again", nan=True) if (file.parent / CONFIG).is_file() else {}
    return TextClassifier(network, encoding, written.get("pad_token_id")).eval()
