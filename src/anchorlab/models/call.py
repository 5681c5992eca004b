"""Call a classifier and count its answers: logits ``[B, C]`` for any supported module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.data.encoding import lengths, rows

#: Examples in one forward pass without gradients; large enough to keep two cores or a GPU busy.
EVALUATION_BATCH = 500

#: Of texts, at most so many tokens, padding included, so that long ones need no more memory than short ones.
EVALUATION_TOKENS = 2**15


def logits(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """The model's logits, float32 ``[B, C]``, for a batch of raw inputs (uint8 images, or token ids)."""
    output = model(**inputs)
    scores: Tensor = output if isinstance(output, Tensor) else output.logits
    return scores.float()


def mixed_precision(precision: str, device: torch.device) -> torch.autocast:
    """A context in which forward passes compute in bfloat16 where that is safe, if ``precision`` is ``bf16``.

    Not the accelerator's own option, which a process can set only once.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def exact_arithmetic(device: torch.device) -> AbstractContextManager[None]:
    """Same seed, same machine, same result, in full float32: on CUDA, convolutions must be told so.

    Their default, TF32, rounds to 10 bits, which would drown the small shifts that consistency is about.
    """
    if device.type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


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
    pieces: list[Tensor] = []
    order: list[Any] = []
    with evaluating(model), exact_arithmetic(next(iter(inputs.values())).device):
        for at, width in in_batches(inputs, batch_size):
            batch = rows(inputs, at, width)
            pieces.append(logits(model, transform(batch) if transform else batch))
            order.append(at)
    answers = torch.cat(pieces)
    if isinstance(order[0], slice):
        return answers
    return torch.empty_like(answers).index_copy_(0, torch.cat(order), answers)


def in_batches(
    inputs: Mapping[str, Tensor], batch_size: int = EVALUATION_BATCH, tokens: int = EVALUATION_TOKENS
) -> Iterator[tuple[Tensor | slice, int | None]]:
    """Which examples go together, and how many of their tokens count; each example once, texts by length.

    Args:
        inputs: name to tensor, first dimension N.
        batch_size: most examples together.
        tokens: of texts, most tokens together, padding included.
    """
    found = lengths(inputs)
    if found is None:
        size = len(next(iter(inputs.values())))
        for start in range(0, size, batch_size):
            yield slice(start, start + batch_size), None
        return
    widths, order = found.sort(descending=True, stable=True)
    start = 0
    while start < len(order):
        width = int(widths[start])
        end = start + max(1, min(batch_size, tokens // width))
        yield order[start:end].to(next(iter(inputs.values())).device), width
        start = end


def class_count(model: nn.Module, inputs: Mapping[str, Tensor]) -> int:
    """The number of classes C that a model answers with, found by calling it on one example."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return predict(model, {name: value[:1].to(device) for name, value in inputs.items()}).shape[1]


def move_to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """The model, moved to a device in the memory format that was measured to be the faster one there.

    That is channels-last for networks with two-dimensional convolutions (benchmarks/step.py).
    """
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return _to(model, device, torch.channels_last if convolutional else torch.contiguous_format)


def move_to_cpu(model: nn.Module) -> nn.Module:
    """The model, moved back to the CPU in the ordinary memory format and evaluation mode."""
    return _to(model, torch.device("cpu"), torch.contiguous_format).eval()


def _to(model: nn.Module, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    moved: nn.Module = model.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
    return moved
