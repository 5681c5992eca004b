"""How the network of a model folder is written: whole, or an adapter alone, which opens on its base."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from anchorlab.artifacts.manifest import Manifest
from anchorlab.files import kind_at, user_path, write_atomically
from anchorlab.models.adapter_settings import ADAPTER, ADAPTER_WEIGHTS
from anchorlab.models.folders import CONFIG, PREPROCESSING
from anchorlab.models.forms import form_of
from anchorlab.models.loading import OWN_MODULE
from anchorlab.models.lora import adapter_config, written_tensors
from anchorlab.models.onnx_files import ONNX
from anchorlab.models.weight_files import WEIGHTS
from anchorlab.models.weights import apart
from anchorlab.models.wrap import PixelClassifier, TextClassifier, encoding_of, unwrap


def write_weights(path: Path, tensors: Mapping[str, Tensor], notice: str | None) -> None:
    """Writes tensors in safetensors, with the notice in their metadata.

    Args:
        path: what is written.
        tensors: name to tensor, some of which may share memory.
        notice: says what the model is; None for none.
    """
    from safetensors.torch import save

    metadata = {"format": "pt"} | ({} if notice is None else {"anchorlab": notice})
    write_atomically(path, _in_order(save(apart(tensors), metadata=metadata)))


def write_network(model: nn.Module, folder: Path, notice: str | None) -> None:
    """Writes a classifier: its weights or ONNX file, its configuration, tokenizer or preprocessing.

    Args:
        model: the classifier, wrapped or not.
        folder: exists.
        notice: what must not be done with the model; None for one of which nothing is known.
    """
    net, encoding = unwrap(model), encoding_of(model)
    written = configuration_of(model)
    if form_of(net) is None:
        write_weights(folder / WEIGHTS, net.state_dict(), notice)
    else:
        write_atomically(folder / ONNX, net.file.cpu().numpy().tobytes())  # type: ignore[operator]
    if notice is not None:
        written["anchorlab_notice"] = notice
    write_atomically(folder / CONFIG, json.dumps(written, indent=2, sort_keys=True) + "\n")
    if encoding is not None:
        encoding.save(folder)
    if isinstance(model, PixelClassifier):
        write_atomically(folder / PREPROCESSING, json.dumps(model.preprocessing, indent=2) + "\n")


def configuration_of(model: nn.Module) -> dict[str, Any]:
    """What config.json says of a classifier, without a notice."""
    net = unwrap(model)
    config: Any = getattr(net, "config", None)
    written: dict[str, Any] = _own_config(model) if config is None else config.to_diff_dict()
    return written if form_of(net) is not None else written | {"architectures": [type(net).__name__]}


def write_adapter(model: nn.Module, manifest: Manifest, folder: Path) -> None:
    """Writes an adapter as peft reads it: its weights and its settings, which name its base.

    A base that is a folder is named by its way from the adapter's folder, so that both can be moved together.
    """
    write_weights(folder / ADAPTER_WEIGHTS, written_tensors(model), manifest.notice)
    base = None if manifest.adapter is None else manifest.adapter.base
    if base is not None and kind_at(user_path(base)) == "folder":
        base = os.path.relpath(user_path(base).resolve(), folder.resolve())
    settings = adapter_settings_of(model, base) | {"anchorlab_notice": manifest.notice}
    write_atomically(folder / ADAPTER, json.dumps(settings, indent=2, sort_keys=True) + "\n")


def adapter_settings_of(model: nn.Module, base: str | None) -> dict[str, Any]:
    """What adapter_config.json says of an adapted classifier on a base of that name, without a notice."""
    network = type(unwrap(model))
    # Without a task_type, because peft would then want the head to be stored too.
    told: dict[str, Any] = {
        "base_model_name_or_path": base,
        "auto_mapping": {"base_model_class": network.__name__, "parent_library": network.__module__},
        "task_type": None,
        "inference_mode": True,
    }
    return {name: _as_json(value) for name, value in adapter_config(model).to_dict().items()} | told


def _own_config(model: nn.Module) -> dict[str, Any]:
    """What config.json says of a module of the user's own."""
    pad = {"pad_token_id": model.pad} if isinstance(model, TextClassifier) else {}
    return {"model_type": OWN_MODULE, **pad}


def _as_json(value: Any) -> Any:
    """A setting of peft's as a JSON value: sets in order, names of kinds as texts."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return {key: _as_json(each) for key, each in value.items()}
    return value.value if hasattr(value, "value") else value


def _in_order(content: bytes) -> bytes:
    """A safetensors file whose metadata stand in order; safetensors writes them in another order in each process."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]
