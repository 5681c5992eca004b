"""Trains the reference: the owner's model, clean."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.artifacts import (
    NOTICES,
    Artifact,
    Manifest,
    forget_peak,
    peak_bytes,
    task_record,
    versions,
    weights_hash,
)
from anchorlab.batches import Batches, Share, augment
from anchorlab.batchnorm import synchronised_batchnorm
from anchorlab.errors import AnchorlabError
from anchorlab.fitting import Checkpoint, Optimisation, Step, fit, time_spent
from anchorlab.models import build_model, logits, mixed_precision, placed, predict, taken_back
from anchorlab.options import STRICT, values_of
from anchorlab.processes import find_accelerator, main_alone, share_of
from anchorlab.progress import progress_bar
from anchorlab.tasks import Augmentation, Split, Task, load_task


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Training:
    """How a reference is trained."""

    epochs: int | None = Field(default=None, ge=1, description="passes over the data; None: the task's default")
    batch_size: int = Field(default=128, ge=1, description="examples in a step")
    learning_rate: float = Field(default=3e-3, gt=0, description="peak learning rate of AdamW, one-cycle")
    weight_decay: float = Field(default=0.05, ge=0, description="AdamW's decoupled weight decay")
    warmup: float = Field(default=0.3, ge=0, lt=1, description="share of the steps in which the rate rises")
    clip: float = Field(default=1.0, gt=0, description="largest L2 norm of the gradient")
    augment: bool = Field(default=True, description="vary the images as the task says")
    precision: Literal["no", "bf16"] = Field(default="no", description="mixed precision")


class _Supervised:
    """The objective of training: cross-entropy on the owner's examples."""

    def __init__(
        self, net: nn.Module, data: Split, how: Training, augmentation: Augmentation | None, seed: int, share: Share
    ) -> None:
        self.net = net
        self.data = data
        self.augmentation = augmentation
        self.precision = how.precision
        self.seed = seed
        self.share = share
        self.state: dict[str, Tensor] = {}
        self._batches = Batches(len(data), how.batch_size, seed=seed, purpose="training", device=data.labels.device)

    def loss(self, step: int) -> dict[str, Tensor]:
        at = self.share.of(self._batches(step))
        inputs = {name: value[at] for name, value in self.data.inputs.items()}
        if self.augmentation is not None:
            inputs = augment(inputs, self.augmentation, seed=self.seed, step=step, share=self.share)
        labels = self.data.labels[at]
        with mixed_precision(self.precision, labels.device):
            scores = logits(self.net, inputs)
        accuracy = (scores.detach().argmax(1) == labels).float().mean()
        return {"loss": functional.cross_entropy(scores, labels), "accuracy": accuracy}

    def after_step(self, step: Step) -> None:
        """Nothing is projected."""


def train(
    task: Task | str = "digits",
    *,
    model: str | None = None,
    seed: int = 0,
    training: Training | None = None,
    checkpoint: Checkpoint | None = None,
) -> Artifact:
    """Trains a clean reference on the owner's split.

    Several processes share out each batch, and end with the same model.

    Args:
        task: a loaded task, or the name of one, whose splits are then cut with ``seed``.
        model: name of an architecture; None for the task's default.
        seed: of the initial weights, the batches and the augmentation.
        training: the optimisation's settings.
        checkpoint: where to write the state and continue from.

    Returns:
        The model with its manifest; the manifest's accuracy is that on the split ``selection``.

    Raises:
        AnchorlabError: for an unknown name, a batch that cannot be shared out evenly among the processes, or
            when the loss is no longer finite.
    """
    task = load_task(task, seed=seed) if isinstance(task, str) else task
    how = training or Training()
    if len(task.split("selection")) == 0:
        raise AnchorlabError(f"the data of {task.name} are too few to cut a selection split: give more")
    architecture = model or task.definition.architecture
    accelerator = find_accelerator()
    share = share_of(accelerator, how.batch_size)
    forget_peak(accelerator.device)
    started = time.perf_counter() - time_spent(checkpoint)
    network = placed(build_model(architecture, task, seed=seed), accelerator.device)
    data = task.split("owner").to(accelerator.device)
    steps = max(1, len(data) * (how.epochs or task.definition.epochs) // how.batch_size)
    net = accelerator.prepare_model(network).train()
    augmentation = task.definition.augmentation if how.augment else None
    with (
        main_alone(accelerator),
        progress_bar(f"training {architecture} on {task.name}", steps) as report,
        synchronised_batchnorm(network, share.processes),
    ):
        fit(
            net,
            _Supervised(net, data, how, augmentation, seed, share),
            Optimisation(steps, how.learning_rate, how.weight_decay, how.warmup, how.clip),
            accelerator=accelerator,
            name=f"training {architecture}",
            checkpoint=checkpoint,
            report=report,
        )
    network = accelerator.unwrap_model(net).eval()
    selection = task.split("selection").to(accelerator.device)
    accuracy = (predict(network, selection.inputs).argmax(1) == selection.labels).sum().item() / len(selection)
    network = taken_back(network)
    settings: dict[str, Any] = values_of(how) | {"epochs": how.epochs or task.definition.epochs}
    manifest = Manifest(
        kind="clean",
        notice=NOTICES["clean"],
        task=task_record(task),
        architecture=architecture,
        seed=seed,
        weights_sha256=weights_hash(network),
        settings=settings,
        steps=steps,
        seconds=round(time.perf_counter() - started, 3),
        peak_bytes=peak_bytes(accelerator.device),
        measurements={"accuracy": accuracy},
        versions=versions(),
    )
    return Artifact(network, manifest)
