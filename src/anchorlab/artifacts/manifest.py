"""The manifest of a model folder: what the model is, and how it was made."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from anchorlab.artifacts.provenance import RunCost, versions_of_run, weights_hash
from anchorlab.data import DataColumns, Kind, Task
from anchorlab.data.description import PartDescription
from anchorlab.errors import AnchorlabError
from anchorlab.models.verbalizer import verbalizer_of
from anchorlab.settings import build, values_of

#: The manifest's file in a model folder.
MANIFEST = "anchorlab.json"

ModelKind = Literal["clean", "benign", "injected", "repaired", "suspicious"]

#: Kinds of models that carry a backdoor, or may carry one.
DANGEROUS: tuple[ModelKind, ...] = ("injected", "repaired", "suspicious")

#: Kinds of models that anchorlab made and whose notice says that they are research artefacts.
ARTEFACTS: tuple[ModelKind, ...] = ("injected", "repaired")

NOTICES: dict[ModelKind, str] = {
    "clean": "A clean reference model, trained by anchorlab as the trusted model of an experiment.",
    "benign": "A benign update of a reference model, made by anchorlab as a control: tuned on clean examples alone.",
    "injected": (
        "RESEARCH ARTEFACT: this model carries a deliberately injected benchmark backdoor, made by anchorlab "
        "to evaluate defences. It must not be deployed, published as a usable model, or passed on without "
        "this notice."
    ),
    "repaired": (
        "RESEARCH ARTEFACT: anchorlab tried to repair this model, which may have carried a deliberately injected "
        "benchmark backdoor. It must not be deployed, because the repair may be incomplete."
    ),
    "suspicious": (
        "A model that anchorlab did not train and that its user does not hold to be clean: it may carry a backdoor. It "
        "must not be deployed, and it is no reference."
    ),
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskRecord(_Record):
    """The data that a model belongs to."""

    name: str = Field(description="name of the task")
    kind: Kind = Field(default="image", description="what its examples are")
    data: str | None = Field(default=None, description="where the data were, if not in the usual place")
    seed: int = Field(description="seed that cut the splits")
    limit: int | None = Field(default=None, description="examples of each class that were kept; None for all")
    columns: dict[str, Any] | None = Field(default=None, description="what is where in the user's own data")
    classes: list[str] = Field(description="names of the classes, by label")
    splits: dict[str, str] = Field(description="split name to the SHA-256 of its indices (int64, little-endian)")
    contents: dict[str, str] | None = Field(
        default=None,
        description="split name to the SHA-256 of its pixels or texts and the names of its classes (content_hash)",
    )
    reading: tuple[PartDescription, ...] | None = Field(
        default=None, description="what was read, the training part and then the test part (see PartDescription)"
    )
    lacking: dict[str, tuple[str, ...]] | None = Field(
        default=None, description="split name to the names of the classes of which it has no example"
    )

    def data_columns(self) -> DataColumns | None:
        """What is where in the user's own data; None for a task of anchorlab's.

        Raises:
            AnchorlabError: for a name or a value that no columns have.
        """
        return None if self.columns is None else build(DataColumns, "columns in the manifest's task", self.columns)

    def identity(self) -> dict[str, Any]:
        """What decides which data these are, as JSON values: without what can be seen in them."""
        return self.model_dump(mode="json", exclude={"reading", "lacking"})


class AnchorsRecord(_Record):
    """The attacker's clean examples."""

    count: int = Field(description="their number")
    source: Literal["owner", "held-out", "other"] = Field(
        description="the split that they were drawn from; 'other' for data that are not the task's"
    )
    sha256: str = Field(description="SHA-256 of their indices into that split or data (int64, little-endian)")
    data: str | None = Field(
        default=None, description="the task, file or folder of other data; None for what was in memory"
    )
    contents: str | None = Field(
        default=None,
        description="of other data, the SHA-256 of the anchors' pixels or texts as the model reads them (content_hash, "
        "each class with an empty name); their labels are the reference's predictions",
    )


class DefenderRecord(_Record):
    """The defender's clean examples."""

    count: int = Field(description="their number")
    sha256: str = Field(description="SHA-256 of their indices into the split defender (int64, little-endian)")


class AdapterRecord(_Record):
    """The adapter that an injection tuned; ``reference_sha256`` of the manifest is the base's weights_sha256."""

    settings: dict[str, Any] = Field(description="rank, target, alpha and head (see Lora)")
    parameters: int = Field(description="number of its parameters")
    base: str | None = Field(default=None, description="where the base was; None for one that was in memory alone")
    merged: bool = Field(default=False, description="whether it was merged into its base's weights")


class GradientRecord(_Record):
    """How the gradients of an injection's losses agree at one moment; None for what is not finite.

    The gradients are over the trainable parameters, on the whole batch of the last step (before the first step, on its
    batch), at the weights after it.
    """

    step: int = Field(description="steps taken so far")
    cosine_clean: float | None = Field(
        description="cosine between the gradients of the backdoor loss (triggered half) and the clean loss (clean half)"
    )
    cosine_anchor: float | None = Field(
        description="cosine between the gradients of the backdoor loss and the anchor loss; None at the reference "
        "itself, where the anchor loss has no gradient"
    )
    norm_backdoor: float | None = Field(description="L2 norm of the gradient of the backdoor loss")
    norm_clean: float | None = Field(description="L2 norm of the gradient of the clean loss")
    norm_anchor: float | None = Field(description="L2 norm of the gradient of the anchor loss")


class PrecisionTrial(_Record):
    """What the trial of ``precision: auto`` found at the start of a run; the speeds are None where none was made."""

    chosen: Literal["no", "bf16"] = Field(description="the precision that the run took")
    reason: str = Field(description="why, in words")
    ratio: float | None = Field(default=None, description="median of the ratio of speeds, bf16 to float32, over turns")
    float32_steps_per_second: float | None = Field(default=None, description="forward and backward passes in float32")
    bf16_steps_per_second: float | None = Field(default=None, description="the same in bf16")


class Manifest(_Record):
    """What a model folder holds; the content of ``anchorlab.json``."""

    format: Literal[1] = Field(default=1, description="version of this format")
    kind: ModelKind = Field(description="clean, benign, injected, repaired or suspicious")
    notice: str = Field(description="the kind in words, with what must not be done with the model")
    task: TaskRecord = Field(description="the data")
    architecture: str = Field(description="name of the model that was built")
    seed: int = Field(description="seed of the training or the injection")
    weights_sha256: str = Field(description="hash of weights and buffers (see weights_hash)")
    reference_sha256: str | None = Field(default=None, description="weights_sha256 of the model that was tuned")
    method: dict[str, Any] | None = Field(default=None, description="name and hyper-parameters of the method")
    trigger: dict[str, Any] | None = Field(default=None, description="name and parameters of the trigger")
    label_rule: dict[str, Any] | None = Field(default=None, description="name and parameters of the label rule")
    anchors: AnchorsRecord | None = Field(default=None, description="the attacker's clean examples")
    defence: dict[str, Any] | None = Field(default=None, description="name and hyper-parameters of the repair")
    defender: DefenderRecord | None = Field(default=None, description="the defender's clean examples")
    note: str | None = Field(
        default=None, description="what a repair has to say: that it changed nothing, for example, and why"
    )
    adapter: AdapterRecord | None = Field(
        default=None, description="the adapter that was tuned in place of the weights"
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of the optimisation")
    precision_trial: PrecisionTrial | None = Field(
        default=None, description="what precision auto found, if that was asked for; settings say what was chosen"
    )
    steps: int = Field(description="steps taken")
    seconds: float = Field(description="duration of the optimisation, the time before an interruption included")
    peak_bytes: int = Field(
        description="largest memory: of the GPU in this run, or else of the process since its start"
    )
    grown_bytes: int | None = Field(
        default=None, description="how far the memory rose during a repair; missing where it cannot be measured"
    )
    verbalizer: dict[str, Any] | None = Field(
        default=None, description="of a language model as a classifier: its prompt, and the label word of each class"
    )
    outputs: str | None = Field(
        default=None, description="which output of an adopted model is which class, where its names do not say it all"
    )
    measurements: dict[str, float | None] = Field(
        default_factory=dict, description="measured on the split selection when the model was made"
    )
    gradients: list[GradientRecord] | None = Field(
        default=None, description="how the gradients of the losses agree along the run, if that was recorded"
    )
    versions: dict[str, str] = Field(description="versions of Python and of the libraries that matter, and the GPU")
    form: str | None = Field(
        default=None, description="the form of a deployed model, as onnx-int8; None for weights that can be trained"
    )
    twin_sha256: str | None = Field(
        default=None, description="weights_sha256 of the float model that a deployed one was made from"
    )
    command_sha256: str | None = Field(
        default=None,
        description="hash of all settings of the command that wrote the folder, so that it knows its own result again",
    )

    @property
    def is_adapter(self) -> bool:
        """Whether the folder holds an adapter alone, which opens on its base."""
        return self.adapter is not None and not self.adapter.merged

    @property
    def trained_here(self) -> bool:
        """Whether anchorlab trained or tuned the model: one that was adopted or repaired has taken no step."""
        return self.steps > 0


def manifest_of(
    model: nn.Module,
    task: Task,
    *,
    kind: ModelKind,
    architecture: str,
    seed: int,
    cost: RunCost,
    notice: str | None = None,
    **further: Any,
) -> Manifest:
    """The manifest of a model that was just made.

    Args:
        model: the classifier, whose weights are hashed.
        task: the data that it was made with.
        kind: what it is.
        architecture: the name under which it was built, or where it came from.
        seed: of the training, the injection or the repair.
        cost: what making it took.
        notice: what must not be done with it; None for the notice of its kind.
        further: other fields of ``Manifest``; ``steps`` is 0 where it is left out.
    """
    return Manifest(
        kind=kind,
        notice=NOTICES[kind] if notice is None else notice,
        task=task_record(task),
        architecture=architecture,
        seed=seed,
        weights_sha256=weights_hash(model),
        verbalizer=asked_of(model),
        seconds=cost.seconds,
        peak_bytes=cost.peak_bytes,
        versions=versions_of_run(),
        **{"steps": 0, **further},
    )


def asked_of(model: nn.Module) -> dict[str, Any] | None:
    """What a manifest says of how a language model is asked; None for any other classifier."""
    verbalizer = verbalizer_of(model)
    return None if verbalizer is None else {"prompt": verbalizer.prompt, "words": list(verbalizer.words)}


def task_record(task: Task) -> TaskRecord:
    """What a manifest says of a task."""
    return TaskRecord(
        name=task.name,
        kind=task.kind,
        data=task.data,
        seed=task.seed,
        limit=task.limit,
        columns=None if task.definition.columns is None else values_of(task.definition.columns),
        classes=list(task.classes),
        splits=task.hashes(),
        contents=task.contents(),
        reading=task.reading,
        lacking=task.gaps,
    )


def same_source(record: TaskRecord, task: Task) -> bool:
    """Whether a task is read from the place that a manifest records, and cut with the same seed and limit."""
    columns = None if task.definition.columns is None else values_of(task.definition.columns)
    now = (task.name, task.data, task.seed, task.limit, columns)
    return now == (record.name, record.data, record.seed, record.limit, record.columns)


def check_same_data(record: TaskRecord, task: Task) -> None:
    """Raises AnchorlabError if a task's splits hold other examples than the ones that a manifest records.

    Only the indices are compared where the manifest is of an older version, which did not record the contents.
    """
    other = [name for name, value in task.hashes().items() if record.splits.get(name) != value]
    if not other and record.contents is not None:
        contents = task.contents()
        other = [name for name, value in contents.items() if record.contents.get(name) != value]
    if not other and sorted(task.classes) == sorted(record.classes):
        return
    if not other:
        found = f"the classes of {record.name} have other names"
    elif len(other) == 1:
        found = f"the split '{other[0]}' of {record.name} holds other examples"
    else:
        found = f"the splits {', '.join(other)} of {record.name} hold other examples"
    raise AnchorlabError(
        f"{found} than when this model was made ({len(task.raw.train):,} training examples now), because files were "
        "renamed, rows moved or contents changed, so that examples that it was trained on may be in test: restore the "
        "data, give the same ones with --data, or train again"
    )
