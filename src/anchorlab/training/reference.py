"""Trains the reference: the owner's model, clean."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import PrecisionTrial, manifest_of
from anchorlab.artifacts.provenance import RunMeter
from anchorlab.artifacts.resolve import check_trusted
from anchorlab.artifacts.trust import check_trusted_folder
from anchorlab.data import Augmentation, Split, Task, load_task
from anchorlab.data.batches import Batches, Share, augment
from anchorlab.data.inputs import lengths, rows
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.architectures import build_model, usual_settings
from anchorlab.models.batchnorm import synchronised_batchnorm
from anchorlab.models.bf16 import check_bf16
from anchorlab.models.call import accuracy, check_classes
from anchorlab.models.classes import class_names, matched_in_words, name_outputs
from anchorlab.models.device import mixed_precision, move_to_cpu, move_to_device, run_arithmetic
from anchorlab.models.forward import Forward, compiles
from anchorlab.models.verbalizer import parse_verbalizer, verbalizer_of
from anchorlab.models.wrap import TextClassifier, encoding_of, unwrap
from anchorlab.progress import progress_bar
from anchorlab.seeding import seeded_globally
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, LATER, STRICT, Refusing, values_of
from anchorlab.training.checkpoint import Checkpoint, discard_damaged, time_spent
from anchorlab.training.computing import Compile, Deterministic, Optimiser, Precision, check_decay
from anchorlab.training.fit import Optimisation, Step, StepLoss, fit
from anchorlab.training.memory import batch_in_memory
from anchorlab.training.precision import as_state, choose_precision, chosen_before
from anchorlab.training.processes import main_alone, share_of

if TYPE_CHECKING:
    from accelerate import Accelerator

#: What a model is given as that is trained further.
START = "the model to train on"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Training(metaclass=Refusing):
    """How a reference is trained."""

    epochs: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST_REPETITION,
        description="passes over the data; the model's or the task's default if left out",
    )
    batch_size: int | None = Field(
        default=None, ge=1, le=LARGEST_BATCH, description="examples in a step; the task's default if left out"
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        description="peak learning rate, one-cycle; the model's or the task's default if left out",
    )
    weight_decay: float = Field(
        default=0.05, ge=0, description="AdamW's decoupled weight decay; SGD's is a part of the gradient"
    )
    warmup: float = Field(default=0.3, ge=0, lt=1, description="share of the steps in which the rate rises")
    clip: float = Field(default=1.0, gt=0, description="largest L2 norm of the gradient")
    augment: bool = Field(default=True, description="vary the images as the task says")
    data_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of the owner's examples that the reference sees, drawn with its seed",
        json_schema_extra=LATER,
    )
    precision: Precision = "no"
    deterministic: Deterministic = False
    compile: Compile = None
    optimiser: Optimiser = "adamw"

    @field_validator("optimiser")
    @classmethod
    def _decay_is_its_own(cls, optimiser: str, info: ValidationInfo) -> str:
        check_decay(optimiser, info.data.get("weight_decay", 0.0))
        return optimiser

    def for_model(self, name: str) -> Training:
        """The same with the defaults that a model brings along where nothing is set; see ``Usual``."""
        usual = usual_settings(name)
        return replace(
            self, epochs=self.epochs or usual.epochs, learning_rate=self.learning_rate or usual.learning_rate
        )

    def for_task(self, task: Task, model: str) -> Training:
        """The same with the defaults of the model, by name, and then of the task, where nothing is set."""
        usual, ours = task.definition, self.for_model(model)
        return replace(
            ours,
            epochs=ours.epochs or usual.epochs,
            batch_size=ours.batch_size or usual.batch_size,
            learning_rate=ours.learning_rate or usual.learning_rate,
        )


class _Supervised:
    """The objective of training: cross-entropy on the owner's examples."""

    def __init__(
        self,
        forward: Forward,
        data: Split,
        batch_size: int,
        precision: Literal["no", "bf16", "auto"],
        augmentation: Augmentation | None,
        seed: int,
        share: Share,
    ) -> None:
        self.forward = forward
        self.data = data
        self.augmentation = augmentation
        self.precision: Literal["no", "bf16", "auto"] = precision
        self.seed = seed
        self.share = share
        self.state: dict[str, Tensor] = {}
        self._batches = Batches(
            len(data),
            batch_size,
            seed=seed,
            purpose="training",
            device=data.labels.device,
            lengths=lengths(data.inputs),
        )

    def batch(self, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """The inputs of a step, as they are stored, and their labels."""
        indices = self.share.of(self._batches(step))
        return rows(self.data.inputs, indices, self._batches.width(step)), self.data.labels[indices]

    def loss(self, step: int) -> StepLoss:
        self.forward.try_out(lambda: self._loss(step).value)
        return self._loss(step)

    def _loss(self, step: int) -> StepLoss:
        inputs, labels = self.batch(step)
        if self.augmentation is not None:
            inputs = augment(inputs, self.augmentation, seed=self.seed, step=step, share=self.share)
        # Dropout draws from the global generator of the device.
        with (
            seeded_globally(self.seed, "dropout", step, self.share.rank, device=labels.device),
            mixed_precision(self.precision, labels.device),
        ):
            answers = self.forward(inputs)
        found = answers.detach()
        return StepLoss(
            functional.cross_entropy(answers, labels),
            lambda: {"accuracy": (found.argmax(1) == labels).float().mean()},
        )

    def after_step(self, step: Step) -> None:
        """Nothing is projected."""


@checked
def train(
    task: Task | str = "digits",
    *,
    model: str | nn.Module | None = None,
    seed: int = 0,
    training: Training | None = None,
    checkpoint: Checkpoint | None = None,
    on_task: Callable[[Task], None] | None = None,
    verbalizer: str | None = None,
    prompt: str | None = None,
) -> Artifact:
    """Trains a clean reference on the owner's split.

    Several processes share out each batch, and end with the same model.

    Args:
        task: a loaded task, or the name of one, whose splits are then cut with ``seed``.
        model: name of an architecture, or a folder or hub name of transformers, whose last layer is replaced where
            its classes are not the task's; or a classifier of raw inputs, of which a copy is trained further; None for
            the task's default.
        seed: of the initial weights, the batches and the augmentation.
        training: the optimisation's settings.
        checkpoint: where to write the state and continue from.
        on_task: called once with the task as the model reads it, before anything is computed.
        verbalizer: makes a classifier of the folder of a causal language model: a word for each class, as in
            ``positive,negative`` or ``1=good,0=bad``. A class's logit is the one of its word as the next token.
        prompt: what the language model reads, with ``{text}`` where the text stands; ``"{text}\\nAnswer:"`` if None.

    Returns:
        The model with its manifest; the manifest's accuracy is measured on the split ``selection``.

    Raises:
        AnchorlabError: for an unknown name, a model that may carry a backdoor by its own files, a batch that cannot be
            shared out evenly among the processes, or when the loss is no longer finite.
    """
    words = parse_verbalizer(verbalizer, prompt)
    if words is not None and isinstance(model, nn.Module):
        raise AnchorlabError("label words are for the folder of a causal language model, and a module was given")
    task = load_task(task, seed=seed) if isinstance(task, str) else task
    task.check_filled("selection")
    architecture = (
        type(unwrap(model)).__name__ if isinstance(model, nn.Module) else model or task.definition.architecture
    )
    if isinstance(model, nn.Module):
        check_trusted(model, START)
    else:
        check_trusted_folder(architecture, START)
    settings = (training or Training()).for_task(task, architecture)
    accelerator = find_accelerator()
    discard_damaged(checkpoint, accelerator)
    meter = RunMeter(accelerator.device, seconds_before=time_spent(checkpoint))
    if isinstance(model, nn.Module):
        network = copy.deepcopy(model)
    else:
        network = build_model(architecture, task, seed=seed, verbalizer=words)
        check_trusted(network, START)  # a model on the hub says it only where it is opened
    task = task.encoded(encoding_of(network))
    if isinstance(network, TextClassifier) and task.encoding is not None:
        network.encoding = task.encoding  # wherever it is opened, it reads as much of a text as it was trained on
    if on_task is not None:
        on_task(task)
    if isinstance(model, nn.Module):
        check_classes(network, task)
    if words is None:
        name_outputs(network, task.classes)  # it learns the task's numbers, whatever its outputs stood for before
    network = move_to_device(network, accelerator.device)
    with run_arithmetic(accelerator.device, deterministic=settings.deterministic):
        done = _fit(network, task, settings, accelerator, name=architecture, seed=seed, checkpoint=checkpoint)
    measured = accuracy(network, task.split("selection").to(accelerator.device))
    network = move_to_cpu(network)
    manifest = manifest_of(
        network,
        task,
        kind="clean",
        architecture=architecture,
        seed=seed,
        settings=values_of(done.settings),
        precision_trial=done.trial,
        steps=done.steps,
        cost=meter.cost(),
        measurements={"accuracy": measured},
        outputs=None if verbalizer_of(network) is None else matched_in_words(class_names(network), task.classes),
    )
    return Artifact(network, manifest)


class _Done(NamedTuple):
    """What a training came to.

    Attributes:
        steps: their number.
        settings: with the precision that was chosen; where compiling was asked for or done, whether it was done.
        trial: what was found where the precision was left to a trial.
    """

    steps: int
    settings: Training
    trial: PrecisionTrial | None


def _seen(task: Task, share: float, seed: int) -> Split:
    """The owner's examples that a reference is trained on: all of them, or a share that the seed draws."""
    owner = task.split("owner")
    if share == 1:
        return owner
    count = max(1, round(share * len(owner)))
    return owner.part(task.draw("owner", count, "data share", seed=seed).sort().values)


def _fit(
    network: nn.Module,
    task: Task,
    settings: Training,
    accelerator: Accelerator,
    *,
    name: str,
    seed: int,
    checkpoint: Checkpoint | None,
) -> _Done:
    """Trains a network on the device, in place, and leaves it in evaluation mode."""
    assert settings.epochs is not None
    assert settings.batch_size is not None
    assert settings.learning_rate is not None
    share = share_of(accelerator, settings.batch_size)
    owner = _seen(task, settings.data_share, seed).to(accelerator.device)
    steps = max(1, len(owner) * settings.epochs // settings.batch_size)
    net = accelerator.prepare_model(network).train()
    varies = settings.augment and task.definition.augmentation.varies
    augmentation = task.definition.augmentation if varies else None
    compiled = compiles(
        settings.compile,
        accelerator.device,
        steps,
        deterministic=settings.deterministic,
        processes=share.processes,
    )
    forward = Forward(
        net, compiled=compiled, fixed_size=lengths(owner.inputs) is None, deterministic=settings.deterministic
    )
    objective = _Supervised(forward, owner, settings.batch_size, settings.precision, augmentation, seed, share)
    trial = None
    if settings.precision == "bf16":
        check_bf16(network, objective.batch(0)[0])
    if settings.precision == "auto":
        trial = chosen_before(checkpoint) or choose_precision(
            network, *objective.batch(0), steps=steps, accelerator=accelerator
        )
        objective.precision = trial.chosen
        objective.state = as_state(trial, accelerator.device)
    with (
        closing(forward),
        main_alone(accelerator),
        progress_bar(f"training {name} on {task.name}", steps) as report,
        synchronised_batchnorm(network, share.processes),
        batch_in_memory(f"training {name}", settings.batch_size, accelerator.device),
    ):
        fit(
            net,
            objective,
            Optimisation(
                steps,
                settings.learning_rate,
                settings.weight_decay,
                settings.warmup,
                settings.clip,
                optimiser=settings.optimiser,
            ),
            accelerator=accelerator,
            name=f"training {name}",
            checkpoint=checkpoint,
            report=report,
            arithmetic=nullcontext(),
        )
    network.eval()
    settings = replace(settings, precision=objective.precision)
    if settings.compile is not None or forward.compiled:
        settings = replace(settings, compile=forward.compiled)
    return _Done(steps, settings, trial)
