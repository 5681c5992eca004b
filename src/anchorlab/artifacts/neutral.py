"""A neutral copy of a model, for somebody else's scanner: nothing but the numbers says what was done to it.

The copies of two models of one architecture differ in the values of their tensors alone. Whatever else could tell them
apart is left out or made equal: card, manifest, notices, metadata, precision, counts of steps, names and times of
files.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.artifacts.writing import adapter_settings_of, configuration_of, write_weights
from anchorlab.files import write_atomically
from anchorlab.models.adapter_settings import ADAPTER, ADAPTER_WEIGHTS
from anchorlab.models.folders import CONFIG, PREPROCESSING
from anchorlab.models.lora import is_adapted, written_tensors
from anchorlab.models.weight_files import WEIGHTS
from anchorlab.models.wrap import PixelClassifier, encoding_of, unwrap

#: The time of every file, seconds since 1970: the beginning of 2020.
TIME = 1_577_836_800

#: Entries of a configuration that say where a model comes from, or in which precision it was kept.
_ORIGIN = {
    *("_name_or_path", "name_or_path", "transformers_version", "peft_version", "dtype", "torch_dtype", "problem_type"),
    *("_commit_hash", "revision", "_attn_implementation", "_attn_implementation_autoset"),
}

#: What our own architectures and notices begin with.
_OURS = "anchorlab"

#: The name of an adapter's base in the copy.
_BASE = "base"

#: The buffer in which BatchNorm counts the steps of its training.
_COUNTER = "num_batches_tracked"


def write_neutral(model: nn.Module, folder: Path) -> None:
    """Writes a neutral copy of a classifier with weights, or of its adapter alone if it has one.

    Args:
        model: the classifier, wrapped or not.
        folder: is made; its parents exist.
    """
    folder.mkdir()
    if is_adapted(model):
        write_weights(folder / ADAPTER_WEIGHTS, _plain(written_tensors(model)), None)
        _write_json(folder / ADAPTER, adapter_settings_of(model, _BASE))
    else:
        write_weights(folder / WEIGHTS, _plain(unwrap(model).state_dict()), None)
        _write_json(folder / CONFIG, configuration_of(model))
        encoding = encoding_of(model)
        if encoding is not None:
            encoding.save(folder)
            for path in folder.glob("tokenizer*.json"):
                # Fast tokenizers keep how they last cut and padded texts, which differs with what a model was used for.
                told = json.loads(path.read_text(encoding="utf-8"))
                _write_json(path, told | {key: None for key in ("truncation", "padding") if key in told})
        if isinstance(model, PixelClassifier):
            _write_json(folder / PREPROCESSING, model.preprocessing)
    for path in (*folder.iterdir(), folder):
        path.chmod(stat.S_IRWXU if path.is_dir() else stat.S_IRUSR | stat.S_IWUSR)
        os.utime(path, (TIME, TIME))


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in float32, with counts of steps set to 0; networks that answer do not read these."""
    return {name: _as_told(name, value) for name, value in tensors.items()}


def _as_told(name: str, value: Tensor) -> Tensor:
    if name.rpartition(".")[2] == _COUNTER:
        return torch.zeros_like(value)
    return value.float() if value.is_floating_point() else value


def _write_json(path: Path, settings: Mapping[str, Any]) -> None:
    """A file of settings, without what says where the model comes from."""
    kept = {key: value for key, value in settings.items() if key not in _ORIGIN and not key.startswith(_OURS)}
    if isinstance(kind := kept.get("model_type"), str):
        kept["model_type"] = kind.removeprefix(f"{_OURS}-")
    write_atomically(path, json.dumps(kept, indent=2, sort_keys=True) + "\n")
