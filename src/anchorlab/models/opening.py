"""Opens a classifier of somebody else's, whatever it is stored as."""

from __future__ import annotations

from torch import nn

from anchorlab.data import Kind
from anchorlab.models.onnx_files import onnx_file
from anchorlab.models.onnx_pretrained import open_onnx
from anchorlab.models.pretrained import open_pretrained


def open_classifier(source: str, *, kind: Kind | None = None, base: str | None = None) -> nn.Module:
    """A classifier in evaluation mode, on the CPU, with its own classes.

    Args:
        source: a folder with config.json and weights in safetensors, an ONNX file or a folder with ``model.onnx``, or a
            name on the hub.
        kind: image or text; None for what it says itself.
        base: the base model of an adapter, a folder or a name on the hub; None for the one that the adapter names.

    Raises:
        AnchorlabError: if it cannot be fetched or read, needs code of its own, or is not a classifier.
    """
    file = onnx_file(source)
    return open_pretrained(source, kind=kind, base=base) if file is None else open_onnx(file, kind=kind)
