"""One model's answers, batch by batch: from the model itself, or from a file that it was written to before.

The file lets both models be opened one after the other. It holds what the last layer reads at each scored position,
and that layer once, from which the logits are computed again: for SmolLM2-135M 2.3 kB a token in place of 197 kB. A
network that changes its logits after its last layer, has none, or has a quantised one, is written as logits. The file
is safetensors: ``hidden`` ``[N, H]``, ``weight`` ``[V, H]`` and, if there is one, ``bias`` ``[V]``; or ``logits``
``[N, V]``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.errors import AnchorlabError
from anchorlab.files import check_writable, input_file, written_atomically
from anchorlab.models.causal import CausalLM
from anchorlab.tokens.windows import Batch

#: Room for the header of a file of answers, which is known last.
_HEADER = 8192

_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


class Answers(Protocol):
    """Gives the logits of the scored positions of batches, which come in the order of the texts."""

    def rows(self, batch: Batch) -> list[Tensor]:
        """The logits of each window's scored positions, float32 ``[n, V]`` each, on the CPU."""


class Live:
    """The answers of a model.

    Args:
        model: on the device that it computes on.
        device: that device.
    """

    def __init__(self, model: CausalLM, device: torch.device) -> None:
        self._model, self._device = model, device

    def rows(self, batch: Batch) -> list[Tensor]:
        """See ``Answers``."""
        answers = self._model.logits(batch.ids.to(self._device), last=batch.last)
        return [rows.float().cpu() for rows in batch.scored(answers)]


class Stored:
    """The answers in a file that ``write_answers`` wrote, which are read in its order.

    Args:
        path: the file.
        expected: what its description must say, as it was given to ``write_answers``.

    Raises:
        AnchorlabError: if it is no such file, or was made from other texts or with other windows.
    """

    def __init__(self, path: Path, expected: Mapping[str, str]) -> None:
        self._path, self._file = path, _safe(path)
        names, metadata = {*self._file.keys()}, self._file.metadata() or {}
        for name, value in expected.items():
            if metadata.get(name) != value:
                raise AnchorlabError(
                    f"{path} holds answers with another {name.replace('_', ' ')} ({metadata.get(name)}, not {value}): "
                    "remove it, or name another file"
                )
        if not names & {"hidden", "logits"}:
            raise AnchorlabError(f"{path} holds no answers of a model: remove it, or name another file")
        self._rows = self._file.get_slice("hidden" if "hidden" in names else "logits")
        self._head = None if "logits" in names else self._file.get_tensor("weight")
        self._bias = self._file.get_tensor("bias") if "bias" in names else None
        self._done, self._size = 0, self._rows.get_shape()[0]

    @staticmethod
    def description(path: Path) -> dict[str, str]:
        """What the file says of itself."""
        metadata: dict[str, str] | None = _safe(path).metadata()
        return metadata or {}

    @torch.inference_mode()
    def rows(self, batch: Batch) -> list[Tensor]:
        """See ``Answers``."""
        found = []
        for window in batch.windows:
            count = len(window.targets)
            rows: Tensor = self._rows[self._done : self._done + count]
            self._done += count
            if self._done > self._size:
                raise self._other_tokens(f"more than {self._size:,}")
            found.append((rows if self._head is None else functional.linear(rows, self._head, self._bias)).float())
        return found

    def check_end(self) -> None:
        """Raises AnchorlabError if the file holds more rows than were asked for: the texts gave other tokens then."""
        if self._done != self._size:
            raise self._other_tokens(f"{self._done:,}")

    def _other_tokens(self, found: str) -> AnchorlabError:
        return AnchorlabError(
            f"{self._path} holds answers at {self._size:,} tokens, and the texts have {found} to score now, because "
            "another version of the tokenizer or of anchorlab cut them: remove it, or name another file"
        )


def _safe(path: Path) -> Any:
    """An opened file of safetensors."""
    from safetensors import safe_open

    input_file(path, "leave --answers out, or name a file to write")
    try:
        opened: Any = safe_open(path, framework="pt")
        return opened
    except Exception as error:  # each kind of damage raises another type
        raise AnchorlabError(f"{path} holds no answers of a model: remove it, or name another file") from error


@torch.inference_mode()
def write_answers(path: Path, model: CausalLM, batches: Iterable[Batch], described: Mapping[str, str]) -> None:
    """Writes a model's answers to a file, whole or not at all.

    Args:
        path: the file; it is replaced.
        model: on the device that it computes on.
        batches: what it reads.
        described: what the file says of itself.
    """
    check_writable(path)
    device = next(model.net.parameters()).device
    with written_atomically(path) as file:
        file.write(b"\0" * _HEADER)
        head = _plain_head(model, device)
        name, shape, dtype = "logits", [0, 0], torch.float32
        for batch in batches:
            for rows in _scored(model, batch, device, head):
                _write(file, rows)
                name, dtype = "logits" if head is None else "hidden", rows.dtype
                shape = [shape[0] + rows.shape[0], rows.shape[1]]
        tensors = {name: (shape, dtype)}
        if head is not None:
            for part, value in (("weight", head.weight), ("bias", head.bias)):
                if value is not None:
                    _write(file, value.detach())
                    tensors[part] = ([*value.shape], value.dtype)
        file.seek(0)
        file.write(_header(tensors, described))


def _header(tensors: Mapping[str, tuple[list[int], torch.dtype]], described: Mapping[str, str]) -> bytes:
    """The header of safetensors, filled up with spaces."""
    entries: dict[str, Any] = {"__metadata__": dict(described)}
    start = 0
    for name, (shape, dtype) in tensors.items():
        end = start + math.prod(shape) * dtype.itemsize
        entries[name] = {"dtype": _DTYPES[dtype], "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries).encode().ljust(_HEADER - 8)
    return len(text).to_bytes(8, "little") + text


def _write(file: Any, tensor: Tensor) -> None:
    file.write(tensor.contiguous().cpu().view(torch.uint8).numpy().tobytes())


def _scored(model: CausalLM, batch: Batch, device: torch.device, head: nn.Linear | None) -> list[Tensor]:
    """The rows of a batch that are stored: what the last layer reads, or logits."""
    if head is None:
        return Live(model, device).rows(batch)
    with _read_by(head) as seen:
        model.logits(batch.ids.to(device), last=batch.last)
    return batch.scored(seen[0][:, -batch.last :])


@contextmanager
def _read_by(layer: nn.Module) -> Any:
    """Inside, the list that is given gets what the layer reads."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        handle.remove()


def _plain_head(model: CausalLM, device: torch.device) -> nn.Linear | None:
    """The last layer, if it is linear and the network answers with nothing else than what it gives."""
    find = getattr(model.net, "get_output_embeddings", None)
    head = find() if find is not None else None
    if type(head) is not nn.Linear or type(head.weight) is not nn.Parameter or head.weight.dtype not in _DTYPES:
        return None  # a quantised weight says that it is float32, and holds integers and scales
    ids = torch.arange(3, device=device)[None]
    with _read_by(head) as seen:
        answers = model.logits(ids)
    same = len(seen) == 1 and torch.equal(head(seen[0]).float(), answers.float())
    return head if same else None
