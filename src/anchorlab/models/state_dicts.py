"""Finds the weights in what a training script stored, and gives them the names that the network itself uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from anchorlab.errors import AnchorlabError, shortened, some

#: Entries under which training scripts store the weights, beside epoch and optimiser.
USUAL = ("state_dict", "model_state_dict", "model", "net", "module")

#: Parts that a wrapper puts anywhere into names.
_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")

#: What torch.optim.swa_utils.AveragedModel counts beside the network that it wraps.
_AVERAGED = "n_averaged"

#: Most names that a message lists.
NAMED = 8


@dataclass(frozen=True)
class Found:
    """Weights that were found.

    Attributes:
        tensors: name to tensor.
        unwrapped: the entries that they lay under, from the outermost on.
        stripped: what their names lost.
        left_out: names of entries beside them, which hold no weights of the network or were not asked for.
    """

    tensors: Mapping[str, Tensor]
    unwrapped: tuple[str, ...] = ()
    stripped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def find_weights(stored: Any, source: str, keys: Sequence[str] = ()) -> Found:
    """The state_dict in what a checkpoint holds.

    Args:
        stored: any value of Python.
        source: the file, for messages.
        keys: the entries that lead to it, from the outermost on; none to follow the usual names.

    Raises:
        AnchorlabError: if there is none, several could be meant, or a tensor is not an ordinary one.
    """
    left_out: list[str] = []
    unwrapped: list[str] = []
    seen = {id(stored)}
    while (key := _next(stored, source, keys[len(unwrapped) :] if keys else None)) is not None:
        left_out += [str(other) for other in stored if other != key]
        stored = stored[key]
        unwrapped.append(key)
        if id(stored) in seen:
            raise AnchorlabError(f"{source} holds a dictionary that contains itself: store model.state_dict() alone")
        seen.add(id(stored))
    entries = stored if isinstance(stored, Mapping) else {}
    tensors = {name: _ordinary(name, value, source) for name, value in entries.items() if _is_tensor(name, value)}
    if not tensors:
        raise AnchorlabError(_nothing(stored, source))
    left_out += [str(name) for name, value in entries.items() if not _is_tensor(name, value)]
    return Found(tensors, tuple(unwrapped), (), tuple(left_out))


def strip_names(found: Found, source: str, prefix: str = "") -> Found:
    """The weights under the names that the network itself uses, without what wrappers put before or into them.

    Args:
        found: the weights.
        source: the file, for messages.
        prefix: another prefix to strip; weights without it are left out.

    Raises:
        AnchorlabError: if no name begins with ``prefix``, or two names would become the same.
    """
    tensors, stripped, left_out = dict(found.tensors), list(found.stripped), list(found.left_out)

    def rename(names: Mapping[str, str], what: str) -> None:
        nonlocal tensors
        if len(set(names.values())) < len(names):
            raise AnchorlabError(f"two tensors of {source} have the same name without '{what}': keep the names")
        tensors = {new: tensors[old] for old, new in names.items()}
        stripped.append(what)

    for part in _WRAPPED:
        if any(part in name.split(".") for name in tensors):
            bare = {name: ".".join(one for one in name.split(".") if one != part) for name in tensors}
            rename(bare, f"{part}.")
    if _AVERAGED in tensors and all(name.startswith("module.") for name in tensors if name != _AVERAGED):
        del tensors[_AVERAGED]
        left_out.append(_AVERAGED)
    while tensors and all(name.startswith("module.") for name in tensors):
        rename({name: name.removeprefix("module.") for name in tensors}, "module.")
    if prefix:
        prefix = prefix if prefix.endswith(".") else f"{prefix}."
        inside = [name for name in tensors if name.startswith(prefix)]
        if not inside:
            raise AnchorlabError(
                f"no tensor of {source} has a name that begins with '{shortened(prefix)}': its names are "
                f"{some(tensors, NAMED)}"
            )
        left_out += [name for name in tensors if not name.startswith(prefix)]
        rename({name: name.removeprefix(prefix) for name in inside}, prefix)
    return replace(found, tensors=tensors, stripped=tuple(stripped), left_out=tuple(left_out))


def _next(stored: Any, source: str, keys: Sequence[str] | None) -> str | None:
    """The entry to look into; None where the weights are here."""
    if keys is not None:
        if not keys:
            return None
        if not isinstance(stored, Mapping) or not isinstance(stored.get(keys[0]), Mapping):
            names = some(stored, NAMED) if isinstance(stored, Mapping) else "none"
            raise AnchorlabError(
                f"{source} has no dictionary under the key '{shortened(keys[0])}': its entries are {names}"
            )
        return keys[0]
    usual = [key for key in USUAL if isinstance(stored, Mapping) and _holds_tensors(stored.get(key))]
    if len(usual) > 1:
        raise AnchorlabError(
            f"{source} holds weights under {' and '.join(usual)}, and which are meant cannot be known: give --key "
            f"{usual[0]} or another"
        )
    return usual[0] if usual else None


def _holds_tensors(value: Any, depth: int = 4) -> bool:
    if not isinstance(value, Mapping):
        return False
    return any(
        isinstance(inner, Tensor) or (depth > 0 and key in USUAL and _holds_tensors(inner, depth - 1))
        for key, inner in value.items()
    )


def _is_tensor(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _ordinary(name: str, tensor: Tensor, source: str) -> Tensor:
    """The tensor itself, detached and on the CPU, if all of its numbers are stored."""
    what = ""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        what = "sparse or quantised"
    elif tensor.device.type != "cpu":
        what = f"on the device {tensor.device.type}, without its numbers"
    elif tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        what = "larger than what is stored for it"
    if what:
        raise AnchorlabError(
            f"the tensor {shortened(name)} in {source} is {what}: store the state_dict of an ordinary model"
        )
    return tensor.detach()


def _nothing(stored: Any, source: str) -> str:
    if isinstance(stored, Mapping):
        inner = [str(key) for key, value in stored.items() if _holds_tensors(value)]
        hint = f"give --key {shortened(inner[0])}, say" if inner else "store model.state_dict()"
        return f"{source} holds no weights under its entries ({some(stored, NAMED) or 'none'}): {hint}"
    return f"{source} holds a {type(stored).__name__} and no dictionary of weights: store model.state_dict()"
