"""Opens a classifier of somebody else's, whatever it is stored as."""

from __future__ import annotations

from torch import nn

from anchorlab.data import Kind
from anchorlab.errors import AnchorlabError, shortened
from anchorlab.models.onnx_files import onnx_file
from anchorlab.models.onnx_pretrained import open_onnx
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.verbalizer import Verbalizer


def open_classifier(
    source: str, *, kind: Kind | None = None, base: str | None = None, verbalizer: Verbalizer | None = None
) -> nn.Module:
    """A classifier in evaluation mode, on the CPU, with its own classes.

    Args:
        source: a folder with config.json and weights in safetensors, an ONNX file or a folder with ``model.onnx``, or a
            name on the hub.
        kind: image or text; None for what it says itself.
        base: the base model of an adapter, a folder or a name on the hub; None for the one that the adapter names.
        verbalizer: of a causal language model; None for the one that its configuration has.

    Raises:
        AnchorlabError: if it cannot be fetched or read, needs code of its own, or is not a classifier.
    """
    file = onnx_file(source)
    if verbalizer is not None and source.endswith(".gguf"):
        raise AnchorlabError(
            f"{shortened(source)} is a GGUF file, and label words need a folder, whose config.json keeps them: write "
            "one with save_pretrained of transformers"
        )
    if file is None:
        return open_pretrained(source, kind=kind, base=base, verbalizer=verbalizer)
    if verbalizer is not None:
        raise AnchorlabError(f"{shortened(source)} is an ONNX file, and label words are for a folder: give that")
    return open_onnx(file, kind=kind)
