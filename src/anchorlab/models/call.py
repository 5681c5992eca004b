"""Call a classifier: logits ``[B, C]`` of any supported module, predictions and accuracy on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from anchorlab.data.inputs import lengths, rows
from anchorlab.errors import AnchorlabError, first_line, is_out_of_memory
from anchorlab.models.device import device_of, exact_arithmetic
from anchorlab.models.probabilities import Watch
from anchorlab.notices import notice

if TYPE_CHECKING:
    from anchorlab.data import Split, Task

#: Examples in one forward pass without gradients; large enough to keep two cores or a GPU busy.
EVALUATION_BATCH = 500

#: Tokens in one forward pass, padding included, so that long texts need no more memory than short ones.
EVALUATION_TOKENS = 2**15

#: Examples on which a model's answers are tried before work begins.
_TRIED = 24


def logits(model: nn.Module, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor] | None = None) -> Tensor:
    """The model's logits, float32 ``[B, C]``, for a batch of raw inputs (uint8 images, or token ids).

    Args:
        model: a classifier.
        inputs: name to tensor, first dimension B, on the model's device.
        parameters: values for some of the model's parameters and buffers, by name, to compute with instead of its own,
            which stay as they are; differentiable.
    """
    if parameters is None:
        return logits_of(model(**inputs)).float()
    return logits_of(functional_call(model, dict(parameters), (), dict(inputs))).float()


def logits_of(output: Any) -> Tensor:
    """The logits in what a module returned: the tensor itself, or the field of an output of transformers."""
    tensor: Tensor = output if isinstance(output, Tensor) else output.logits
    return tensor


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, all of a model is in evaluation mode; after that, each module in its own again."""
    training = [module.training for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in zip(model.modules(), training, strict=True):
            module.training = mode


def track_statistics(model: nn.Module) -> nn.Module:
    """Puts BatchNorm's layers alone into training mode, so that their statistics follow the batches."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
    return model


@torch.inference_mode()
def predict(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    *,
    transform: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] | None = None,
    batch_size: int = EVALUATION_BATCH,
) -> Tensor:
    """The logits of a whole split in evaluation mode: float32 ``[N, C]``, on the device of the inputs.

    Texts are taken by length, so that little of a batch is padding.

    Args:
        model: a classifier; the mode of each of its modules is restored afterwards.
        inputs: name to tensor, first dimension N, on the model's device.
        transform: applied to each batch before the model, for example a trigger.
        batch_size: examples in one forward pass.
    """
    with exact_arithmetic(next(iter(inputs.values())).device):
        return answers_in_batches(model, inputs, transform=transform, batch_size=batch_size)


@torch.inference_mode()
def answers_in_batches(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    *,
    transform: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] | None = None,
    batch_size: int = EVALUATION_BATCH,
) -> Tensor:
    """As ``predict``, in the arithmetic that is set outside."""
    pieces: list[Tensor] = []
    order: list[Any] = []
    with evaluating(model):
        for indices, width in in_batches(inputs, batch_size):
            batch = rows(inputs, indices, width)
            pieces.append(_fitting_logits(model, batch, transform))
            order.append(indices)
    answers = torch.cat(pieces)
    if isinstance(order[0], slice):
        return answers
    return torch.empty_like(answers).index_copy_(0, torch.cat(order), answers)


def _fitting_logits(
    model: nn.Module, batch: dict[str, Tensor], transform: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] | None
) -> Tensor:
    """The logits of a batch; in halves, and these in halves, where the memory is not enough for all of it at once."""
    count = len(next(iter(batch.values())))
    try:
        return logits(model, transform(batch) if transform else batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if count == 1:
            raise AnchorlabError(
                f"the memory is not enough for the model and one example ({first_line(error)}): take a smaller model, "
                "another device, or end what else computes there"
            ) from error
    notice("a batch does not fit into the memory, so that the model is asked in smaller ones")
    halves = ({name: value[part] for name, value in batch.items()} for part in _halves(count))
    return torch.cat([_fitting_logits(model, half, transform) for half in halves])


def _halves(count: int) -> tuple[slice, slice]:
    return slice(0, count // 2), slice(count // 2, count)


def accuracy(model: nn.Module, split: Split) -> float:
    """The share of a split that a model predicts right, in evaluation mode.

    Args:
        model: a classifier.
        split: at least one example, on the model's device.
    """
    right = (predict(model, split.inputs).argmax(1) == split.labels).sum().item()
    return right / len(split)


def in_batches(
    inputs: Mapping[str, Tensor], batch_size: int = EVALUATION_BATCH, tokens: int = EVALUATION_TOKENS
) -> Iterator[tuple[Tensor | slice, int | None]]:
    """Which examples go together, and how many of their tokens count; each example once, texts by length.

    Args:
        inputs: name to tensor, first dimension N.
        batch_size: most examples together.
        tokens: of texts, most tokens together, padding included.
    """
    widths = lengths(inputs)
    if widths is None:
        size = len(next(iter(inputs.values())))
        for start in range(0, size, batch_size):
            yield slice(start, start + batch_size), None
        return
    widths, order = widths.sort(descending=True, stable=True)
    order = order.to(next(iter(inputs.values())).device)
    start = 0
    while start < len(order):
        width = int(widths[start])
        end = start + max(1, min(batch_size, tokens // width))
        yield order[start:end], width
        start = end


def check_classes(model: nn.Module, task: Task) -> None:
    """Raises AnchorlabError if a model cannot read the task's examples, or does not answer with a logit a class."""
    few = {name: value[:_TRIED].to(device_of(model)) for name, value in task.split("test").inputs.items()}
    try:
        answers = predict(model, few)
        classes = answers.shape[1]
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise AnchorlabError(
            f"the model cannot read the examples of the task {task.name} ({first_line(error)}): "
            "give the task that the model was trained on"
        ) from error
    if classes != len(task.classes):
        raise AnchorlabError(
            f"the model answers with {classes} classes, but the task {task.name} has {len(task.classes)}: "
            "give the task that the model was trained on"
        )
    if getattr(model, "answers_are_logits", False):
        return
    watch = Watch("the model")
    watch.see(answers.cpu().numpy())
    watch.check("return logits or log-probabilities, by leaving out the softmax at the model's end")
