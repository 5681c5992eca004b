"""Gradients of single examples, from which the Fisher information is estimated."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from anchorlab.data.inputs import kind_of, lengths, rows
from anchorlab.models.call import logits


def example_gradients(
    model: nn.Module, inputs: dict[str, Tensor], labels: Tensor
) -> Iterator[tuple[slice, list[Tensor]]]:
    """The gradient of each example's log-probability of a label, with respect to the trainable parameters.

    Images come all at once; texts one by one, because what transformers does with masks cannot be vectorised.

    Args:
        model: in evaluation mode.
        inputs: of B examples, on the model's device; memory is B times the number of parameters.
        labels: whose log-probability is differentiated, int64 ``[B]``.

    Yields:
        Which of the examples, and their gradients: a tensor ``[b, *shape]`` for each trainable parameter, in order.
    """
    if kind_of(inputs) == "image":
        yield slice(0, len(labels)), _vectorised(model, inputs, labels)
    else:
        yield from _one_by_one(model, inputs, labels)


def _vectorised(model: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> list[Tensor]:
    trainable = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}

    def log_probability(parameters: dict[str, Tensor], inputs: dict[str, Tensor], label: Tensor) -> Tensor:
        single = {name: value.unsqueeze(0) for name, value in inputs.items()}
        return logits(model, single, parameters)[0].log_softmax(0).gather(0, label.view(1))[0]

    gradients: dict[str, Tensor] = vmap(grad(log_probability), in_dims=(None, 0, 0))(trainable, inputs, labels)
    return list(gradients.values())


def _one_by_one(model: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> Iterator[tuple[slice, list[Tensor]]]:
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    widths = lengths(inputs)
    assert widths is not None
    for index, label in enumerate(labels):
        with torch.enable_grad():
            single = logits(model, rows(inputs, slice(index, index + 1), int(widths[index])))
            log_probability = single[0].log_softmax(0).gather(0, label.view(1))[0]
            gradients = torch.autograd.grad(log_probability, trainable, allow_unused=True, materialize_grads=True)
        yield slice(index, index + 1), [gradient.unsqueeze(0) for gradient in gradients]
