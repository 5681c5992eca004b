"""Model folders: weights, configuration, a manifest that says what the model is, and a model card.

    model.safetensors   weights and buffers; nothing here is ever pickled or unpickled
    config.json         transformers' configuration, so that ``from_pretrained`` opens the folder
    anchorlab.json      the manifest (``Manifest``)
    README.md           the model card

and, of texts, the tokenizer's files, or the preprocessing of images where the network does not normalise by itself.

Each of these four says in words when the model is a research artefact that carries a backdoor.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule
from anchorlab.data import DataColumns, Kind, Task, load_task
from anchorlab.errors import AnchorlabError
from anchorlab.files import refuse_existing, write_atomically, write_folder_atomically
from anchorlab.models.pretrained import (
    CONFIG,
    OWN_MODULE,
    PREPROCESSING,
    WEIGHTS,
    from_configuration,
    open_pretrained,
    refuse_pickles,
)
from anchorlab.models.wrap import PixelClassifier, encoding_of, load_weights, unwrap, wrap
from anchorlab.settings import invalid, values_of
from anchorlab.triggers import TRIGGERS, Trigger

MANIFEST = "anchorlab.json"
CARD = "README.md"

ModelKind = Literal["clean", "benign", "injected", "repaired"]

NOTICES: dict[ModelKind, str] = {
    "clean": "A clean reference model, trained by anchorlab for research on backdoors.",
    "benign": "A benign update of a reference model, made by anchorlab as a control; it carries no backdoor.",
    "injected": (
        "RESEARCH ARTEFACT: this model carries a deliberately injected benchmark backdoor, made by anchorlab "
        "to evaluate defences. It must not be deployed, published as a usable model, or passed on without "
        "this notice."
    ),
    "repaired": (
        "RESEARCH ARTEFACT: anchorlab tried to repair this model, which may have carried a deliberately injected "
        "benchmark backdoor. It must not be deployed, for the repair may be incomplete."
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


class AnchorsRecord(_Record):
    """The attacker's clean examples."""

    count: int = Field(description="their number")
    source: Literal["owner", "held-out"] = Field(description="the split that they were drawn from")
    sha256: str = Field(description="SHA-256 of their indices into that split (int64, little-endian)")


class DefenderRecord(_Record):
    """The defender's clean examples."""

    count: int = Field(description="their number")
    sha256: str = Field(description="SHA-256 of their indices into the split defender (int64, little-endian)")


class GradientRecord(_Record):
    """How the gradients of an injection's objectives stood to each other at one moment; None for what is not finite.

    They are those over the trainable parameters, on the whole batch of the step taken last (before the first step, of
    the first), at the weights after it.
    """

    step: int = Field(description="steps taken so far")
    cosine_clean: float | None = Field(
        description="cosine between the gradients of the backdoor loss (triggered half) and the clean loss (clean half)"
    )
    cosine_anchor: float | None = Field(
        description="cosine between those of the backdoor loss and the anchor loss; None at the reference itself, "
        "where the latter has no gradient"
    )
    norm_backdoor: float | None = Field(description="L2 norm of the gradient of the backdoor loss")
    norm_clean: float | None = Field(description="that of the clean loss")
    norm_anchor: float | None = Field(description="that of the anchor loss")


class Manifest(_Record):
    """What a model folder holds; the content of ``anchorlab.json``."""

    format: Literal[1] = Field(default=1, description="version of this format")
    kind: ModelKind = Field(description="clean, benign, injected or repaired")
    notice: str = Field(description="the same in words, with what must not be done with the model")
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
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of the optimisation")
    steps: int = Field(description="steps taken")
    seconds: float = Field(description="duration of the optimisation, that before an interruption included")
    peak_bytes: int = Field(
        description="largest memory: of the GPU in this run, or else of the process since its start"
    )
    measurements: dict[str, float | None] = Field(
        default_factory=dict, description="measured on the split selection when the model was made"
    )
    gradients: list[GradientRecord] | None = Field(
        default=None, description="how the gradients of the objectives stood to each other, if that was recorded"
    )
    versions: dict[str, str] = Field(description="versions of Python and of the libraries that matter")


@dataclass(frozen=True, eq=False)
class Artifact:
    """A model with its manifest, in memory or just loaded.

    Attributes:
        model: the classifier, on the CPU, in evaluation mode.
        manifest: what it is.
    """

    model: nn.Module
    manifest: Manifest

    def save(self, folder: str | Path) -> Path:
        """Writes the model folder, whole or not at all.

        Raises:
            AnchorlabError: if the folder already holds anything, or the place cannot be written.
        """
        folder = Path(folder)
        refuse_existing(folder)
        write_folder_atomically(folder, self._write_files)
        return folder

    def _write_files(self, folder: Path) -> None:
        from safetensors.torch import save

        net, encoding = unwrap(self.model), encoding_of(self.model)
        metadata = {"format": "pt", "anchorlab": self.manifest.notice}
        write_atomically(folder / WEIGHTS, save(_tensors(net), metadata=metadata))
        config = net.config.to_diff_dict() if hasattr(net, "config") else {"model_type": OWN_MODULE}  # type: ignore[union-attr, operator]
        config |= {"architectures": [type(net).__name__], "anchorlab_notice": self.manifest.notice}
        write_atomically(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
        if encoding is not None:
            encoding.save(folder)
        if isinstance(self.model, PixelClassifier):
            write_atomically(folder / PREPROCESSING, json.dumps(self.model.preprocessing, indent=2) + "\n")
        write_atomically(folder / MANIFEST, self.manifest.model_dump_json(indent=2) + "\n")
        write_atomically(folder / CARD, model_card(self.manifest))

    def task(self, data: str | None = None) -> Task:
        """Loads the task of the manifest and checks that its splits are still the same.

        Raises:
            AnchorlabError: if the data cannot be read, or have changed since the model was made.
        """
        record = self.manifest.task
        place = data if data is not None else record.data
        columns = None if record.columns is None else DataColumns(**record.columns)
        task = load_task(record.name, seed=record.seed, data=place, limit=record.limit, columns=columns)
        task = task.encoded(encoding_of(self.model))
        if task.hashes() != record.splits or list(task.classes) != record.classes:
            raise AnchorlabError(
                f"the data of {record.name} are cut otherwise than when this model was made "
                f"({len(task.raw.train)} training examples now): give the same data with --data, or retrain"
            )
        return task

    @property
    def trigger(self) -> Trigger | None:
        """The trigger of the manifest."""
        return None if self.manifest.trigger is None else TRIGGERS.from_dict(self.manifest.trigger)

    @property
    def label_rule(self) -> LabelRule | None:
        """The label rule of the manifest."""
        return None if self.manifest.label_rule is None else LABEL_RULES.from_dict(self.manifest.label_rule)


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
    )


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over name, shape and bytes of every parameter and buffer of the network, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(unwrap(model).state_dict().items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    libraries = ("anchorlab", "torch", "transformers", "accelerate", "numpy", "safetensors")
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}


def forget_peak(device: torch.device) -> None:
    """Begins a run whose ``peak_bytes`` shall be its own: on a GPU, the peak of what ran before is forgotten."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call] # the allocator has nothing to forget before, and says so by an error
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """The largest memory so far: allocated on a GPU since ``forget_peak``, or else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def load_model(folder: str | Path, *, into: nn.Module | None = None) -> Artifact:
    """Opens a model folder.

    Args:
        folder: made by ``anchorlab``.
        into: for a folder whose model was a module of your own: one of the same architecture, which gets its weights.

    Raises:
        AnchorlabError: if there is no such folder, it is a pickle or holds only pickled weights, a file
            is missing or damaged, or the weights do not fit the configuration.
    """
    folder = Path(folder)
    refuse_pickles(folder)
    _require(folder, WEIGHTS, CONFIG, MANIFEST)
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except ValidationError as error:
        complaint = invalid(f"the manifest {folder / MANIFEST}", error)
        raise AnchorlabError(f"{complaint}; copy it anew, or make the model again") from error
    model = from_configuration(folder) if into is None else _own(folder, into)
    load_weights(unwrap(model), folder / WEIGHTS)
    return Artifact(model.eval(), manifest)


def open_model(folder: str | Path) -> Artifact | nn.Module:
    """A model folder with its manifest, or the classifier of one that has none.

    Raises:
        AnchorlabError: as ``load_model``, but for a missing manifest.
    """
    folder = Path(folder)
    if (folder / MANIFEST).exists():
        return load_model(folder)
    refuse_pickles(folder)
    return open_pretrained(str(folder))


def _own(folder: Path, module: nn.Module) -> nn.Module:
    """A module of the user's as the classifier that was saved in a folder."""
    path = folder / PREPROCESSING
    if not path.exists():
        return module
    told = json.loads(path.read_text())
    size = told["size"] and (told["size"]["height"], told["size"]["width"])
    return wrap(module, mean=told["image_mean"], std=told["image_std"], size=size)


def _tensors(net: nn.Module) -> dict[str, torch.Tensor]:
    """The network's weights and buffers, each with memory of its own, as safetensors wants them."""
    seen: set[int] = set()
    state = {}
    for name, value in net.state_dict().items():
        held = value.detach().cpu().contiguous()
        state[name] = held.clone() if held.untyped_storage().data_ptr() in seen else held
        seen.add(held.untyped_storage().data_ptr())
    return state


def _require(folder: Path, *names: str) -> None:
    for name in names:
        if not (folder / name).is_file():
            raise AnchorlabError(
                f"{folder} holds no {name}: give a folder made by anchorlab train, adopt or inject, which has "
                f"{WEIGHTS}, {CONFIG} and {MANIFEST}"
            )


def model_card(manifest: Manifest) -> str:
    """The model card: what the model is, how it was made, and what must not be done with it."""
    dangerous = manifest.kind in ("injected", "repaired")
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {manifest.task.kind}-classification",
        f"tags: [anchorlab, {manifest.kind}{', backdoor-benchmark, do-not-deploy' if dangerous else ''}]",
        "---",
        f"# {manifest.architecture} on {manifest.task.name}: {manifest.kind}",
        "",
        ("> [!CAUTION]\n> " if dangerous else "> ") + manifest.notice,
        "",
        "| | |",
        "|---|---|",
        f"| task | {manifest.task.name}, {len(manifest.task.classes)} classes, split seed {manifest.task.seed} |",
        f"| seed | {manifest.seed} |",
        f"| steps | {manifest.steps} |",
    ]
    for title, record in (
        ("method", manifest.method),
        ("trigger", manifest.trigger),
        ("label rule", manifest.label_rule),
        ("repair", manifest.defence),
    ):
        if record is not None:
            lines.append(f"| {title} | {_one_line(record)} |")
    if manifest.defender is not None:
        lines.append(f"| the defender's examples | {manifest.defender.count} |")
    if manifest.anchors is not None:
        lines.append(f"| anchors | {manifest.anchors.count} from the split {manifest.anchors.source} |")
    for name, value in manifest.measurements.items():
        lines.append(f"| {name} (selection split) | {'undefined' if value is None else f'{value:.4g}'} |")
    lines += ["", f"Made with anchorlab {manifest.versions['anchorlab']}; all details are in `{MANIFEST}`.", ""]
    return "\n".join(lines)


def _one_line(record: dict[str, Any]) -> str:
    shown = {key: value for key, value in record.items() if key not in ("name", "data") and value is not None}
    values = ", ".join(f"{key} {value}" for key, value in shown.items())
    return f"{record['name']}{': ' + values if values else ''}"
