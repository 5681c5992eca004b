"""Weights as values: which are trainable, all of them as one vector, and models between two models.

As a vector, so that weight-space methods read like their papers.
"""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.wrap import unwrap


def restrict(model: nn.Module, names: str) -> None:
    """Lets only some parameters of a model be trained.

    Args:
        model: any classifier.
        names: patterns of the parameters' own names, with commas between them, such as ``*.embeddings.*``; empty for
            all.

    Raises:
        AnchorlabError: for a pattern that no trainable parameter fits.
    """
    if not names:
        return
    trainable = {name: value for name, value in unwrap(model).named_parameters() if value.requires_grad}
    patterns = [pattern.strip() for pattern in names.split(",")]
    for pattern in patterns:
        if not fnmatch.filter(trainable, pattern):
            some = ", ".join(list(trainable)[:6])
            raise AnchorlabError(f"no parameter of the model fits '{pattern}': its parameters are {some}, …")
    for name, value in trainable.items():
        value.requires_grad_(any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Inside, no parameter of a model asks for a gradient; after that, each as before."""
    before = [parameter.requires_grad for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in zip(model.parameters(), before, strict=True):
            parameter.requires_grad_(flag)


def copy_requires_grad(source: nn.Module, target: nn.Module) -> None:
    """Lets the parameters of a model be trained that can be trained in another of the same architecture."""
    for parameter, like in zip(target.parameters(), source.parameters(), strict=True):
        parameter.requires_grad_(like.requires_grad)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of a model that can be trained, at least one.

    Raises:
        AnchorlabError: if all are frozen.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise AnchorlabError(
            "the model has nothing to train, because all of its parameters are frozen: call requires_grad_() on it, or "
            "on a part of it"
        )
    return parameters


def to_vector(model: nn.Module) -> Tensor:
    """The trainable parameters, one after another, as a vector ``[d]``; differentiable; errors as in ``trainable``."""
    return torch.cat([parameter.reshape(-1) for parameter in trainable(model)])


@torch.no_grad()
def from_vector_(model: nn.Module, vector: Tensor) -> None:
    """Overwrites the trainable parameters with the entries of a vector ``[d]``, in the same order."""
    start = 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            # copy_ keeps the parameter's memory format, which assigning to .data would not.
            parameter.copy_(vector[start : start + parameter.numel()].view(parameter.shape))
            start += parameter.numel()


@torch.no_grad()
def undo_outside_(model: nn.Module, reference: Tensor, mask: Tensor) -> None:
    """Sets every parameter outside a mask back to the reference: ``w* <- w + mask * (w* - w)``."""
    vector = to_vector(model)
    from_vector_(model, torch.where(mask, vector, reference))


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, each with memory of its own, as safetensors wants them."""
    seen: set[int] = set()
    state = {}
    for name, value in tensors.items():
        tensor = value.detach().cpu().contiguous()
        state[name] = tensor.clone() if tensor.untyped_storage().data_ptr() in seen else tensor
        seen.add(tensor.untyped_storage().data_ptr())
    return state


def largest(values: Tensor, count: int) -> Tensor:
    """A boolean mask ``[d]`` of the ``count`` largest entries of a vector ``[d]``; exactly that many."""
    mask = torch.zeros_like(values, dtype=torch.bool)
    mask[values.topk(min(count, values.numel())).indices] = True
    return mask


@torch.no_grad()
def interpolate(reference: nn.Module, candidate: nn.Module, factor: float) -> nn.Module:
    """The reference plus ``factor`` times the perturbation ``w* - w``, buffers included: a new model.

    Integer buffers, which count batches, stay the candidate's.

    Args:
        reference: the model at factor 0; not changed.
        candidate: the model at factor 1, of the same architecture; not changed. The new model has its mode, device,
            dtypes and memory format.
        factor: any number; beyond 1 it extrapolates, with BatchNorm's variances at least 0.
    """
    model = copy.deepcopy(candidate)
    start, end = unwrap(reference).state_dict(), unwrap(model).state_dict()
    state = {
        name: torch.lerp(start[name].to(value), value, factor) if value.is_floating_point() else value
        for name, value in end.items()
    }
    unwrap(model).load_state_dict(state)
    keep_variances_(model)
    return model


@torch.no_grad()
def keep_variances_(model: nn.Module) -> None:
    """Lifts negative variances of BatchNorm to 0: beyond two models they can be negative, and logits NaN."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            module.running_var.clamp_(min=0)
