"""Adapters that a suite keeps beside the merged models, so that scanners of adapters can look at them.

The suite's own work is on merged models. The adapter lies in their folder under names of our own, because a folder with
peft's names would be opened as an adapter.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from pathlib import Path

from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.writing import adapter_settings_of, write_weights
from anchorlab.files import write_atomically
from anchorlab.models.adapter_settings import ADAPTER, ADAPTER_WEIGHTS, read_adapter, require_peft
from anchorlab.models.adapters import put_into
from anchorlab.models.lora import written_tensors
from anchorlab.suites.opened import DamagedModel, Folder, on_disk

#: The adapter's files in a model's folder, by the names that peft gives them.
KEPT = {ADAPTER_WEIGHTS: "kept_adapter.safetensors", ADAPTER: "kept_adapter.json"}

#: The file that holds the SHA-256 of both.
_HASH = "kept_adapter.sha256"


def adapter_files(tuned: Artifact) -> dict[str, bytes]:
    """The files that keep the adapter of a tuned model, which say what it is as all files do."""
    notice = tuned.manifest.notice
    settings = adapter_settings_of(tuned.model, None) | {"anchorlab_notice": notice}
    with tempfile.TemporaryDirectory(prefix="anchorlab-") as temporary:
        folder = Path(temporary)
        write_weights(folder / KEPT[ADAPTER_WEIGHTS], written_tensors(tuned.model), notice)
        write_atomically(folder / KEPT[ADAPTER], json.dumps(settings, indent=2, sort_keys=True) + "\n")
        files = {name: (folder / name).read_bytes() for name in KEPT.values()}
    return {**files, _HASH: _hash(files).encode()}


def with_kept_adapter(reference: nn.Module, kept: Folder) -> nn.Module:
    """A copy of a reference with the adapter in it that a suite kept.

    Args:
        reference: the adapter's base; not changed.
        kept: the folder of the merged model.

    Raises:
        DamagedModel: if the adapter is not there, because an earlier version kept none, or is damaged.
        AnchorlabError: if peft is not installed.
    """
    require_peft("an adapter that a suite kept")
    with on_disk(kept) as folder, tempfile.TemporaryDirectory(prefix="anchorlab-") as temporary:
        try:
            files = {name: (folder / name).read_bytes() for name in KEPT.values()}
            told = (folder / _HASH).read_bytes()
        except FileNotFoundError as error:
            raise DamagedModel("its adapter is not there") from error
        if told != _hash(files).encode():
            raise DamagedModel("its adapter has another hash than when it was kept")
        for theirs, ours in KEPT.items():
            (Path(temporary) / theirs).write_bytes(files[ours])
        adapted = copy.deepcopy(reference).cpu()
        put_into(adapted, read_adapter(Path(temporary)), folder)
    return adapted.eval()


def _hash(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in KEPT.values():
        digest.update(hashlib.sha256(files[name]).digest())
    return digest.hexdigest()
