"""A defender's model and data on the device, and the check that a defence fits the kind of data."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.data import Task
from anchorlab.defender.context import DefenderData
from anchorlab.defender.defence import Defence
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.device import device_of, move_to_device
from anchorlab.models.forms import check_trainable
from anchorlab.models.lora import folded, is_adapted
from anchorlab.models.onnx_network import OnnxNetwork
from anchorlab.models.wrap import encoding_of

#: Most examples on which a model is looked at; the last layer is found by as many.
_SHOWN = 4


def check_fits_task(defence: Defence, task: Task, name: str) -> None:
    """Raises AnchorlabError if a defence is for images and the task holds texts, or the reverse, or has few classes."""
    if defence.modality not in ("any", task.kind):
        raise AnchorlabError(
            f"{name} is for {defence.modality}s, but the task {task.name} holds {task.kind}s: take another, see "
            "'anchorlab list repairs' and 'anchorlab list detectors'"
        )
    if len(task.classes) < defence.min_classes:
        raise AnchorlabError(
            f"{name} compares classes with each other and needs {defence.min_classes} at least, but the task "
            f"{task.name} has {len(task.classes)}: take another, see 'anchorlab list detectors'"
        )


def check_fits_form(defence: Defence, model: nn.Module, name: str, *, task: Task) -> None:
    """Raises AnchorlabError for a model that a defence cannot read.

    It may need gradients or weights, and the model is deployed without them; or layers that the model does not have.
    """
    if defence.needs_float:
        check_trainable(model, name)
    check_layers(defence, model, task=task)


def check_layers(defence: Defence, model: nn.Module, *, task: Task) -> None:
    """Raises AnchorlabError for a model whose layers a defence cannot read, by the defence's own ``check_model``.

    It looks at a copy without the notice, because a defence may be somebody else's. A task whose split ``defender`` is
    empty is left to the draw of the defender's examples.
    """
    few = task.split("defender")
    few = few.part(torch.arange(min(_SHOWN, len(few))))
    if not reads_some_models(defence) or not len(few):
        return
    encoding = encoding_of(model)
    if encoding is not None and task.encoding is None:
        few = few.encoded(encoding)
    copied = _copied(folded(model) if is_adapted(model) else model)  # most know nothing of adapters
    inputs = few.to(device_of(copied)).inputs
    check_answers(copied, inputs)
    defence.check_model(copied, inputs)


def check_answers(model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
    """Raises AnchorlabError for a model whose logits of clean examples, on its device, are not finite."""
    if not predict(model, inputs).isfinite().all():
        raise AnchorlabError(
            "the model answers clean examples with logits that are not finite, so that nothing can be made of it: look "
            "at its weights"
        )


def reads_some_models(defence: Defence) -> bool:
    """Whether there are models that a defence says it cannot read."""
    return type(defence).check_model is not Defence.check_model


def copy_to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy of a model as defences get it: on the device, in evaluation mode, every parameter trainable.

    The copy lacks the notice that says whether the model was injected, in its configuration and in its ONNX file.
    """
    return move_to_device(_copied(model), device)


def _copied(model: nn.Module) -> nn.Module:
    copied = copy.deepcopy(model).eval().requires_grad_()
    for module in copied.modules():
        config: Any = getattr(module, "config", None)
        if hasattr(config, "anchorlab_notice"):
            config.anchorlab_notice = None
        if isinstance(module, OnnxNetwork):
            module.remove_notice()
    return copied


def data_to_device(data: DefenderData, device: torch.device) -> DefenderData:
    """The defender's data on a device."""
    return replace(data, train=data.train.to(device), validation=data.validation.to(device))
