"""Adapters inside a network: low-rank products ``B A`` beside its weights, as peft computes them.

An adapted network keeps its own class. Some of its modules are replaced: a layer with a product beside its weight, or a
module of which the adapter has its own copy (``modules_to_save``). Everything else is frozen.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.models.wrap import unwrap

#: What every name in a stored adapter begins with, and what peft calls the one adapter of a network.
PREFIX, NAME = "base_model.model.", "default"

#: Where a network keeps the names of its own weights that the adapter brought.
_BROUGHT = "brought_by_adapter"


def attach(model: nn.Module, config: Any) -> None:
    """Puts a fresh adapter into a classifier, in place: it changes no answer yet, and alone can be trained.

    Args:
        model: the classifier, wrapped or not.
        config: peft's ``LoraConfig``. The factors ``A`` are drawn from torch's global generator.
    """
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers in ways that it will change
        # The wrapper is dropped: the network itself is called, and what peft replaced in it stays.
        PeftModel(unwrap(model), config, adapter_name=NAME)


def is_adapted(model: nn.Module) -> bool:
    """Whether a classifier has an adapter in it."""
    return "peft" in sys.modules and hasattr(unwrap(model), "peft_config") and any(_replaced(unwrap(model)))


def adapter_config(model: nn.Module) -> Any:
    """The ``LoraConfig`` of an adapted classifier."""
    return unwrap(model).peft_config[NAME]  # type: ignore[index]


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of an adapter under the names that peft stores them by; they share memory with the network's."""
    from peft import get_peft_model_state_dict

    tensors = get_peft_model_state_dict(unwrap(model), adapter_name=NAME, save_embedding_layers=False)
    return {f"{PREFIX}{name}": value for name, value in tensors.items()}


def remember_brought(model: nn.Module, names: Iterable[str]) -> None:
    """Notes which weights of the base came with the adapter, so that they are written with it.

    Args:
        model: an adapted classifier.
        names: of the weights in the adapted network's state_dict.
    """
    setattr(unwrap(model), _BROUGHT, tuple(names))


def written_tensors(model: nn.Module) -> dict[str, Tensor]:
    """All that an adapter's file must hold: its own tensors, and the base's weights that it brought."""
    own = unwrap(model).state_dict()
    brought = {f"{PREFIX}{name}": own[name] for name in getattr(unwrap(model), _BROUGHT, ())}
    return adapter_tensors(model) | brought


def base_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict of the network without its adapter; they share memory with the network's."""
    own = unwrap(model).state_dict()
    if not is_adapted(model):
        return own
    added = tuple(part for name, module in _replaced(unwrap(model)) for part in _added(name, module))
    return {
        name.replace(".base_layer.", ".").replace(".original_module.", "."): value
        for name, value in own.items()
        if not name.startswith(added)
    }


def stored_tensors(model: nn.Module) -> dict[str, Tensor]:
    """All that decides a classifier's answers: its state_dict, or of an adapted one the base's and the adapter's."""
    return {**base_tensors(model), **adapter_tensors(model)} if is_adapted(model) else unwrap(model).state_dict()


def products(model: nn.Module) -> dict[str, Tensor]:
    """Name of each adapted weight to what the adapter adds to it, of the weight's shape; differentiable.

    That is ``scale * B A``, with the scale of the adapter's settings.
    """
    from peft.tuners.lora import LoraLayer

    return {
        f"{name}.weight": module.get_delta_weight(NAME)  # type: ignore[attr-defined]
        for name, module in unwrap(model).named_modules()
        if isinstance(module, LoraLayer)
    }


def ranks(model: nn.Module) -> dict[str, int]:
    """Name of each adapted weight to the rank of its product."""
    from peft.tuners.lora import LoraLayer

    modules = unwrap(model).named_modules()
    return {f"{name}.weight": int(module.r[NAME]) for name, module in modules if isinstance(module, LoraLayer)}


def moved(model: nn.Module) -> Tensor:
    """What tuning moves, as a vector ``[d]``; differentiable.

    These are the trainable parameters; of an adapted model the products ``B A`` in place of their factors.
    """
    if not is_adapted(model):
        return torch.cat([value.reshape(-1) for value in model.parameters() if value.requires_grad])
    others = [value for name, value in model.named_parameters() if value.requires_grad and ".lora_" not in name]
    return torch.cat([value.reshape(-1) for value in (*products(model).values(), *others)])


@torch.no_grad()
def folded(model: nn.Module) -> nn.Module:
    """A copy of an adapted classifier with the products added to its weights and the adapter gone: a plain network.

    A weight that is shared with another module, as an output layer's with the embeddings, gets memory of its own
    first, because the adapter changes only one of them.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    model = copy.deepcopy(model)
    net = unwrap(model)
    for name, module in list(_replaced(net)):
        if isinstance(module, BaseTunerLayer):
            _separate(net, module.get_base_layer())
            module.merge(safe_merge=True)
            whole = module.get_base_layer()
        else:
            whole = module.modules_to_save[NAME]
        net.set_submodule(name, whole)
    del net.peft_config
    vars(net).pop(_BROUGHT, None)
    net.requires_grad_()
    return model


def _replaced(net: nn.Module) -> Iterator[tuple[str, Any]]:
    """Name and module of everything that peft put in place of the network's own modules."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for name, module in net.named_modules():
        if isinstance(module, (BaseTunerLayer, AuxiliaryTrainingWrapper)):
            yield name, module


def _added(name: str, module: Any) -> list[str]:
    """How the names of the tensors begin that a replaced module has from the adapter."""
    return [f"{name}.{part}." for part, _ in module.named_children() if part not in ("base_layer", "original_module")]


def _separate(net: nn.Module, layer: nn.Module) -> None:
    """Gives a layer's weight memory of its own if another module has the same parameter."""
    weight = layer.weight
    if sum(value is weight for _, value in net.named_parameters(remove_duplicate=False)) > 1:
        layer.weight = nn.Parameter(weight.detach().clone())  # type: ignore[operator]
        if hasattr(net, "config"):
            net.config.tie_word_embeddings = False  # type: ignore[union-attr]
