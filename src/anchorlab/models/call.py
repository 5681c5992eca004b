"""Call a classifier: logits ``[B, C]`` of any supported module, predictions and accuracy on a split."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from anchorlab.data.inputs import lengths, rows
from anchorlab.errors import AnchorlabError, first_line, is_out_of_memory
from anchorlab.models.allocator import give_back_freed_memory
from anchorlab.models.device import device_of, exact_arithmetic
from anchorlab.models.probabilities import Watch
from anchorlab.notices import notice

if TYPE_CHECKING:
    from anchorlab.data import Split, Task

#: Examples in one forward pass without gradients; large enough to keep two cores or a GPU busy.
EVALUATION_BATCH = 500

#: Tokens in one forward pass, padding included, so that long texts need no more memory than short ones.
EVALUATION_TOKENS = 2**15

#: Batches of texts after which freed memory goes back to the system.
_BATCHES_KEPT = 4

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
        return logits_of(called(model, inputs)).float()
    args, named = ((), dict(inputs)) if takes_names(model, inputs) else (tuple(inputs.values()), {})
    return logits_of(functional_call(model, dict(parameters), args, named)).float()


def called(model: Callable[..., Any], inputs: Mapping[str, Tensor], of: nn.Module | None = None) -> Any:
    """What a module returns for its inputs, which it gets by their names; images by their place where it has another.

    Args:
        model: a module, or what computes the same.
        inputs: name to tensor.
        of: the module that ``model`` computes, if that is none itself.
    """
    return model(**inputs) if takes_names(of or model, inputs) else model(*inputs.values())


def takes_names(model: Any, inputs: Mapping[str, Tensor]) -> bool:
    """Whether a module takes its inputs by name; a single one need not have its name in ``forward``, as in Sequential.

    Args:
        model: a module.
        inputs: name to tensor.
    """
    if len(inputs) != 1:
        return True
    (name,) = inputs
    while isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        model = model.module
    if "forward" in vars(model):  # somebody's own, as accelerate's, which would keep the model alive in the cache
        return _takes(model.forward, name)
    return _of_class(getattr(type(model), "forward", None), name)  # a TorchScript module's class has none


_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _takes(function: Callable[..., Any] | None, name: str) -> bool:
    """Whether a function takes an argument by a name: its own, or any name where it needs none by another."""
    try:
        parameters = inspect.signature(function).parameters if function is not None else {}
    except (TypeError, ValueError):  # not written in Python
        parameters = {}
    if not parameters or name in parameters:
        return True
    given = [one for one in parameters.values() if one.kind in _BY_PLACE and one.name != "self"]
    needs_another = any(one.default is one.empty for one in given)
    return not needs_another and any(one.kind is one.VAR_KEYWORD for one in parameters.values())


#: The same of the functions of classes, because a step should not read a signature.
_of_class = lru_cache(maxsize=256)(_takes)


def logits_of(output: Any) -> Tensor:
    """The logits in what a module returned: the tensor itself, or what an output of transformers or a mapping has so.

    Raises:
        AnchorlabError: if it returned anything else.
    """
    if isinstance(output, Tensor):
        return output
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(found, Tensor):
        return found
    kind = "None" if output is None else f"a {type(output).__qualname__}"
    raise AnchorlabError(f"the model returns {kind}; it must return the logits, a tensor of shape [batch, classes]")


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
        for indices, width in passes(inputs, batch_size):
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


def passes(
    inputs: Mapping[str, Tensor], batch_size: int = EVALUATION_BATCH
) -> Iterator[tuple[Tensor | slice, int | None]]:
    """As ``in_batches``, for forward passes: texts on a CPU give the memory that they freed back now and then.

    Each batch of texts has another shape, so that the memory that one frees fits the next badly: what is kept grows.
    """
    kept = 0
    on_cpu = next(iter(inputs.values())).device.type == "cpu"
    for indices, width in in_batches(inputs, batch_size):
        yield indices, width
        kept += width is not None and on_cpu
        if kept == _BATCHES_KEPT:
            give_back_freed_memory()
            kept = 0


def _remedy(model: nn.Module, inputs: Mapping[str, Tensor], complaint: str) -> str:
    """What helps a model that cannot read a task's examples."""
    others = {value.dtype for value in model.parameters() if value.is_floating_point()} - {torch.float32}
    if others and "pixel_values" in inputs and "type" in complaint:
        names = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in others))
        return f"its weights are {names}, and inputs reach it as float32, so give module.float()"
    return "give the task that the model was trained on"


def check_classes(model: nn.Module, task: Task) -> None:
    """Raises AnchorlabError if a model cannot read the task's examples, or does not answer with a logit a class."""
    few = {name: value[:_TRIED].to(device_of(model)) for name, value in task.split("test").inputs.items()}
    try:
        answers = predict(model, few)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise AnchorlabError(
            f"the model cannot read the examples of the task {task.name} ({first_line(error)}): "
            + _remedy(model, few, str(error))
        ) from error
    if answers.ndim != 2:
        raise AnchorlabError(
            f"the model answers a batch of {len(answers)} with a tensor of shape {list(answers.shape)}, expected "
            f"[batch, classes], [{len(answers)}, {len(task.classes)}]: let it return a logit for each class"
        )
    classes = answers.shape[1]
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
