"""Build a classifier, call it, and count its answers: logits ``[B, C]`` for any supported module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from anchorlab.registry import Registry
from anchorlab.seeding import seeded_globally

if TYPE_CHECKING:
    from anchorlab.tasks import Task

#: Examples in one forward pass without gradients; large enough to keep two cores or a GPU busy.
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Architecture:
    """A named model: how it is built for a task, and one line for ``anchorlab list``."""

    build: Callable[[Task], nn.Module]
    description: str


def _resnet(widths: list[int], depths: list[int], *, early_strides: bool = False) -> Callable[[Task], nn.Module]:
    def build(task: Task) -> nn.Module:
        from anchorlab.resnet import SmallImageResNet, SmallImageResNetConfig

        mean, std = task.pixel_statistics
        config = SmallImageResNetConfig(
            num_channels=task.split("owner").inputs["pixel_values"].shape[1],
            embedding_size=widths[0],
            hidden_sizes=widths,
            depths=depths,
            layer_type="basic",
            stem_stride=2 if early_strides else 1,
            downsample_in_first_stage=early_strides,
            image_mean=mean,
            image_std=std,
            id2label=dict(enumerate(task.classes)),
            label2id={name: index for index, name in enumerate(task.classes)},
        )
        return SmallImageResNet(config)

    return build


ARCHITECTURES: Registry[Architecture] = Registry(
    "model",
    "anchorlab.models",
    {
        "resnet-tiny": Architecture(
            _resnet([16, 32, 64], [1, 1, 1]),
            "three stages of one block, widths 16 to 64, 0.08 M parameters, for 8×8 images",
        ),
        "resnet-mini": Architecture(
            _resnet([16, 32, 64, 128], [2, 2, 2, 2], early_strides=True),
            "ResNet-18 of a quarter of the width, strides of 2 in stem and first stage, 0.7 M parameters, for suites",
        ),
        "resnet-small": Architecture(
            _resnet([32, 64, 128, 256], [2, 2, 2, 2], early_strides=True),
            "ResNet-18 of half the width, strides of 2 in stem and first stage, 2.8 M parameters, for CPUs",
        ),
        "resnet-18": Architecture(
            _resnet([64, 128, 256, 512], [2, 2, 2, 2]), "ResNet-18 with a 3×3 stem, 11.2 M parameters"
        ),
        "resnet-34": Architecture(
            _resnet([64, 128, 256, 512], [3, 4, 6, 3]), "ResNet-34 with a 3×3 stem, 21.3 M parameters"
        ),
    },
)


def build_model(architecture: str, task: Task, *, seed: int) -> nn.Module:
    """A freshly initialised classifier for a task, in evaluation mode, on the CPU.

    Raises:
        AnchorlabError: for an unknown architecture.
    """
    build = ARCHITECTURES[architecture].build
    with seeded_globally(seed, "initialisation"):
        return build(task).eval()


def logits(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """The model's logits, float32 ``[B, C]``, for a batch of raw inputs (uint8 images)."""
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


@torch.inference_mode()
def predict(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    *,
    transform: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] | None = None,
    batch_size: int = EVALUATION_BATCH,
) -> Tensor:
    """The logits of a whole split in evaluation mode: float32 ``[N, C]``, on the device of the inputs.

    Args:
        model: a classifier; its mode is restored afterwards.
        inputs: name to tensor, first dimension N, on the model's device.
        transform: applied to each batch before the model, for example a trigger.
        batch_size: examples in one forward pass.
    """
    was_training = model.training
    model.eval()
    size = len(next(iter(inputs.values())))
    pieces = []
    with exact_arithmetic(next(iter(inputs.values())).device):
        for start in range(0, size, batch_size):
            batch = {name: value[start : start + batch_size] for name, value in inputs.items()}
            pieces.append(logits(model, transform(batch) if transform else batch))
    model.train(was_training)
    return torch.cat(pieces)


def class_count(model: nn.Module, inputs: Mapping[str, Tensor]) -> int:
    """The number of classes C that a model answers with, found by calling it on one example."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return predict(model, {name: value[:1].to(device) for name, value in inputs.items()}).shape[1]


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """The model, moved to a device in the memory format that was measured to be the faster one there.

    That is channels-last for networks with two-dimensional convolutions (benchmarks/step.py).
    """
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return _to(model, device, torch.channels_last if convolutional else torch.contiguous_format)


def taken_back(model: nn.Module) -> nn.Module:
    """The model, moved back to the CPU in the ordinary memory format and evaluation mode."""
    return _to(model, torch.device("cpu"), torch.contiguous_format).eval()


def _to(model: nn.Module, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    moved: nn.Module = model.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
    return moved
