"""Checkpoints of ``fit``: all that a run needs to continue to the same bits, in one safetensors file."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, first_line, is_out_of_memory, removal
from anchorlab.files import explained, write_atomically
from anchorlab.models.device import lacks_double
from anchorlab.models.weights import apart
from anchorlab.notices import notice

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often ``fit`` writes its state.

    Attributes:
        path: a safetensors file, replaced atomically.
        seconds: least time between two writes.
        began: when the run began, by ``time.monotonic``; what it takes is counted from here.
    """

    path: Path
    seconds: float = 30.0
    began: float = field(default_factory=time.monotonic)


def save_checkpoint(
    path: Path,
    step: int,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    state: Mapping[str, Tensor],
    *,
    seconds: float = 0.0,
) -> None:
    """Writes weights, optimiser and the objective's tensors, atomically; nothing is pickled.

    Args:
        path: the safetensors file.
        step: number of steps taken.
        model: the network itself, without wrappers of processes; some of its tensors may share memory.
        optimiser: over its trainable parameters; all of its state must be tensors.
        state: the objective's own tensors by name.
        seconds: time that the run has taken.
    """
    from safetensors.torch import save

    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    for number, entries in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{key}": value for key, value in entries.items()}
    tensors |= {f"objective.{key}": value for key, value in state.items()}
    tensors = apart(tensors)
    metadata = {"step": json.dumps(step), "seconds": json.dumps(seconds)}
    metadata["crc32"] = json.dumps(_checksum(tensors, metadata))
    write_atomically(path, save(tensors, metadata=metadata))


def discard_damaged(checkpoint: Checkpoint | None, accelerator: Accelerator) -> None:
    """Removes a checkpoint that is damaged, and says so, because the run can begin again.

    To be called before anything is prepared that a resumed run takes from its checkpoint; with several processes, by
    all of them.
    """
    if checkpoint is None:
        return
    if accelerator.is_main_process and (damage := damage_of(checkpoint.path)) is not None:
        notice(f"the checkpoint {checkpoint.path} is damaged ({damage}): it is removed, and the run begins again")
        with explained(checkpoint.path):
            checkpoint.path.unlink(missing_ok=True)
    accelerator.wait_for_everyone()


def damage_of(path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None for one that is whole, or is not there."""
    if not path.exists():
        return None
    try:
        with _opened(path) as file:
            metadata = dict(file.metadata())
            before = metadata.pop("crc32", None)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is not a mapping)
    except AnchorlabError as error:
        return first_line(error.__cause__ or error)
    if before is None:  # written before there were checksums
        return None
    return None if before == json.dumps(_checksum(tensors, metadata)) else "its checksum is another"


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """CRC-32 of the metadata, and of name, shape, type and bytes of all tensors."""
    value = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return value


def time_spent(checkpoint: Checkpoint | None) -> float:
    """Seconds that an interrupted run had taken when it wrote its checkpoint; 0 where there is none.

    Raises:
        AnchorlabError: if the file is damaged.
    """
    if checkpoint is None or not checkpoint.path.exists():
        return 0.0
    with _opened(checkpoint.path) as file:
        return float(json.loads(file.metadata().get("seconds", "0")))


def objective_tensor(checkpoint: Checkpoint | None, name: str) -> Tensor | None:
    """One of the objective's tensors in a checkpoint, on the CPU; None where there is no checkpoint, or none such.

    Raises:
        AnchorlabError: if the file is damaged.
    """
    if checkpoint is None or not checkpoint.path.exists():
        return None
    with _opened(checkpoint.path) as file:
        key = f"objective.{name}"
        tensor: Tensor | None = file.get_tensor(key) if key in file.keys() else None  # noqa: SIM118
        return tensor


def load_checkpoint(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, state: dict[str, Tensor]) -> int:
    """Restores what ``save_checkpoint`` wrote, in place, and returns the number of steps already taken.

    Raises:
        AnchorlabError: if the file is damaged.
    """
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimiser": {}, "objective": {}}
    with _opened(path) as file:
        step: int = json.loads(file.metadata()["step"])
        for key in file.keys():  # noqa: SIM118 (safe_open is not a mapping)
            group, _, rest = key.partition(".")
            groups[group][rest] = file.get_tensor(key)
        _restore(groups, model, optimiser)
    device = next(model.parameters()).device
    for key, value in groups["objective"].items():
        state[key] = value if value.dtype == torch.float64 and lacks_double(device) else value.to(device)
    return step


def _restore(groups: dict[str, dict[str, Tensor]], model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    model.load_state_dict(groups["model"])
    entries: dict[int, dict[str, Tensor]] = {}
    parameters = optimiser.param_groups[0]["params"]
    for key, value in groups["optimiser"].items():
        number, _, name = key.partition(".")
        parameter = parameters[int(number)].detach()
        # A fused optimiser walks the memory, so its moments must lie in it as their parameter does (channels-last).
        laid_out = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        entries.setdefault(int(number), {})[name] = laid_out
    optimiser.load_state_dict({"state": entries, "param_groups": optimiser.state_dict()["param_groups"]})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, for reading; whatever cannot be read or used within is damage, except for lack of memory."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise AnchorlabError(
            f"the checkpoint {path} is damaged ({first_line(error)}): delete it, by {removal(path)}, to "
            "start the run again"
        ) from error
