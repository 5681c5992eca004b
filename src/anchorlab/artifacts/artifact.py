"""Model folders: weights, configuration, a manifest that says what the model is, and a model card.

    model.safetensors   weights and buffers; nothing here is ever pickled or unpickled
    config.json         transformers' configuration, so that ``from_pretrained`` opens the folder
    anchorlab.json      the manifest (``Manifest``)
    README.md           the model card

and, of texts, the tokenizer's files, or the preprocessing of images where the network does not normalise by itself.
A folder of an adapter has ``adapter_model.safetensors`` and ``adapter_config.json`` in place of the first two, and
reads its inputs as its base does.

Each of these four says in words when the model is a research artefact that carries a backdoor.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.card import CARD, model_card
from anchorlab.artifacts.manifest import MANIFEST, Manifest, asked_of, check_same_data
from anchorlab.artifacts.provenance import tensors_hash, weights_hash
from anchorlab.artifacts.writing import write_adapter, write_network
from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule
from anchorlab.data import Task, load_task
from anchorlab.errors import AnchorlabError, printable, removal, shortened, some
from anchorlab.files import refuse_existing, user_path, write_atomically, write_folder_atomically
from anchorlab.models.adapter_settings import ADAPTER, ADAPTER_WEIGHTS, is_adapter
from anchorlab.models.adapters import open_adapter
from anchorlab.models.architectures import ARCHITECTURES, build_model
from anchorlab.models.classes import class_names, match_classes
from anchorlab.models.folders import CONFIG, check_is_folder
from anchorlab.models.forms import check_storable
from anchorlab.models.lora import base_tensors, is_adapted
from anchorlab.models.onnx_files import ONNX, onnx_file
from anchorlab.models.onnx_pretrained import open_onnx
from anchorlab.models.opening import open_classifier
from anchorlab.models.own_modules import ModuleMaker, as_saved, is_own_module, needed_module
from anchorlab.models.padding import refuse_dependence_on_batch
from anchorlab.models.pretrained import from_configuration
from anchorlab.models.verbalizer import VerbalizedClassifier
from anchorlab.models.weight_files import WEIGHTS, weight_files
from anchorlab.models.wrap import encoding_of, load_weights, unwrap
from anchorlab.settings import invalid
from anchorlab.statistics.table import facts_table, to_html
from anchorlab.triggers import TRIGGERS, Trigger

#: Classes that a sentence names.
_NAMED = 12


@dataclass(frozen=True, eq=False, repr=False)
class Artifact:
    """A model with its manifest, in memory or just loaded.

    Attributes:
        model: the classifier, on the CPU, in evaluation mode.
        manifest: what it is.
        folder: where it was opened; None for a model in memory.
    """

    model: nn.Module
    manifest: Manifest
    folder: Path | None = None

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={fact}" for name, fact in self._facts().items())
        return printable(f"Artifact({facts})")

    def _repr_html_(self) -> str:
        return to_html(facts_table("model", self.manifest.notice, self._facts()))

    def _facts(self) -> dict[str, str]:
        """What the one-line form and notebooks show of the manifest."""
        manifest = self.manifest
        measured = {name: value for name, value in manifest.measurements.items() if name in ("accuracy", "asr")}
        return {
            "kind": manifest.kind,
            "task": manifest.task.name,
            "architecture": manifest.architecture,
            **({} if manifest.method is None else {"method": manifest.method["name"]}),
            **({} if manifest.trigger is None else {"trigger": manifest.trigger["name"]}),
            **({} if manifest.defence is None else {"repair": manifest.defence["name"]}),
            **{f"selection_{name}": f"{value:.4f}" for name, value in measured.items() if value is not None},
            "weights": manifest.weights_sha256[:12],
        }

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON values; weights are stored by ``save``."""
        return self.manifest.model_dump(mode="json")

    @checked
    def save(self, folder: str | Path, *, replace: bool = False) -> Path:
        """Writes the model folder, whole or not at all.

        Args:
            folder: what is made.
            replace: whether a folder that is there goes, once the new one is whole.

        Raises:
            AnchorlabError: if the folder already holds anything, the place cannot be written, or the model's weights
                are no longer those of the manifest.
        """
        folder = user_path(folder)
        check_storable(self.model)
        if not replace:
            refuse_existing(folder)
        if weights_hash(self.model) != self.manifest.weights_sha256:
            raise AnchorlabError(
                "the weights of this model are not those of its manifest, because they were changed after it was made, "
                "or the module keeps them in another precision: give the module to adopt, and save what it returns"
            )
        write_folder_atomically(folder, self._write_files, replace=replace)
        return folder

    def _write_files(self, folder: Path) -> None:
        if is_adapted(self.model):
            write_adapter(self.model, self.manifest, folder)
        else:
            write_network(self.model, folder, self.manifest.notice)
        write_atomically(folder / MANIFEST, self.manifest.model_dump_json(indent=2) + "\n")
        write_atomically(folder / CARD, model_card(self.manifest))

    def task(self, data: str | None = None) -> Task:
        """Loads the task of the manifest and checks that its splits are still the same.

        Raises:
            AnchorlabError: if the data cannot be read, or have changed since the model was made.
        """
        record = self.manifest.task
        task = _task_of(self.manifest, data)
        task = task.encoded(encoding_of(self.model))
        if sorted(task.classes) == sorted(record.classes):
            task = task.in_order(record.classes)
        check_same_data(record, task)
        return task

    @property
    def trigger(self) -> Trigger | None:
        """The trigger of the manifest."""
        return None if self.manifest.trigger is None else TRIGGERS.from_dict(self.manifest.trigger)

    @property
    def label_rule(self) -> LabelRule | None:
        """The label rule of the manifest."""
        return None if self.manifest.label_rule is None else LABEL_RULES.from_dict(self.manifest.label_rule)


def _task_of(manifest: Manifest, data: str | None = None) -> Task:
    """The task that a manifest names, before anything is encoded."""
    record = manifest.task
    return load_task(
        record.name,
        seed=record.seed,
        data=record.data if data is None else data,
        limit=record.limit,
        columns=record.data_columns(),
    )


@checked
def load_model(folder: str | Path, *, into: nn.Module | None = None, base: str | Path | None = None) -> Artifact:
    """Opens a model folder.

    Args:
        folder: made by ``anchorlab``.
        into: for a folder whose model was a module of your own: one of the same architecture, which gets its weights.
            What was wrapped for images or texts is wrapped again. One that anchorlab trained from a registered
            architecture needs none: it is built again, for the manifest's task.
        base: for a folder of an adapter: its base model, a folder or a name on the hub; None for the one that the
            adapter names. The adapter stays beside the base's weights; ``merge`` adds it to them.

    Raises:
        AnchorlabError: if the folder does not exist, is a pickle or holds only pickled weights, a file
            is missing or damaged, or the weights do not fit the configuration or are not the manifest's.
    """
    folder = user_path(folder)
    if (file := onnx_file(folder)) is not None:
        return _load_onnx(file)
    check_is_folder(folder)
    if is_adapter(folder):
        return _load_adapter(folder, base)
    if not (folder / WEIGHTS).is_file():
        weight_files(folder)  # says what is there instead
    _require(folder, WEIGHTS, CONFIG, MANIFEST)
    manifest = _read_manifest(folder)
    into = _built_again(folder, manifest) if into is None else into
    model = from_configuration(folder) if into is None else as_saved(folder, into)
    # The hash is over the tensors as they are stored, because a module may keep them in another precision.
    if tensors_hash(load_weights(unwrap(model), folder / WEIGHTS)) != manifest.weights_sha256:
        raise _exchanged(folder / WEIGHTS)
    if isinstance(model, VerbalizedClassifier):
        model.settle_head()
    _check_asked(model, manifest, folder)
    _check_names(model, manifest, folder)
    refuse_dependence_on_batch(model, str(folder))
    return Artifact(model.eval(), manifest, folder)


def _built_again(folder: Path, manifest: Manifest) -> nn.Module | None:
    """A module of an architecture that the user registered, for the task that it was trained on; None for others."""
    made_here = manifest.trained_here or manifest.kind == "repaired"
    registered = made_here and manifest.architecture in ARCHITECTURES.names()
    if not registered or not is_own_module(folder):
        return None
    return build_model(manifest.architecture, _task_of(manifest), seed=manifest.seed)


def _load_adapter(folder: Path, base: str | Path | None) -> Artifact:
    """An adapter with its manifest, on its base."""
    _require(folder, ADAPTER, MANIFEST)
    manifest = _read_manifest(folder)
    model = open_adapter(folder, None if base is None else str(base))
    if tensors_hash(base_tensors(model)) != manifest.reference_sha256:
        raise AnchorlabError(
            f"the adapter in {shortened(str(folder))} was tuned on a base with other weights, by its manifest "
            f"(weights_sha256 {str(manifest.reference_sha256)[:12]}): give that base, with --base"
        )
    if weights_hash(model) != manifest.weights_sha256:
        raise _exchanged(folder / ADAPTER_WEIGHTS)
    _check_asked(model, manifest, folder)
    _check_names(model, manifest, folder)
    return Artifact(model, manifest, folder)


def _load_onnx(file: Path) -> Artifact:
    """The model folder around an ONNX file; errors are as in ``load_model``."""
    folder = file.parent
    _require(folder, file.name, MANIFEST)
    manifest = _read_manifest(folder)
    model = open_onnx(file, form=manifest.form or "onnx")
    if weights_hash(model) != manifest.weights_sha256:
        raise _exchanged(file)
    _check_names(model, manifest, folder)
    return Artifact(model.eval(), manifest, folder)


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except ValidationError as error:
        newer = [one["input"] for one in error.errors() if one["loc"] == ("format",)]
        if newer and type(newer[0]) is int and newer[0] > 1:
            raise AnchorlabError(
                f"the manifest {folder / MANIFEST} has format {newer[0]}, which a newer anchorlab wrote: install that "
                "version, for example by pip install --upgrade anchorlab"
            ) from error
        complaint = invalid(f"the manifest {folder / MANIFEST}", error)
        raise AnchorlabError(f"{complaint}; {_remedy(folder)}") from error


def _check_asked(model: nn.Module, manifest: Manifest, folder: Path) -> None:
    """Raises AnchorlabError for a language model that would be asked otherwise than when its folder was made."""
    if asked_of(model) != manifest.verbalizer:
        raise AnchorlabError(
            f"the {CONFIG} for {shortened(str(folder))} has another prompt or other label words than its {MANIFEST}, "
            f"because one of them was changed: {_remedy(folder)}"
        )


def _check_names(model: nn.Module, manifest: Manifest, folder: Path) -> None:
    """Raises AnchorlabError for a configuration that calls the outputs otherwise than the manifest.

    Both are written in the order of the outputs, and the manifest's is the one that is read. Names that say nothing, as
    LABEL_0, and names that only count contradict none.
    """
    names, classes = class_names(model), manifest.task.classes
    if names is None:
        return
    try:
        order = match_classes([names], [classes], model="the configuration", others="the manifest")
    except AnchorlabError:
        order = []
    if order != list(range(len(names))):
        raise AnchorlabError(
            f"the {CONFIG} for {shortened(str(folder))} names the classes {some(names, _NAMED)}, but its {MANIFEST} "
            f"{some(classes, _NAMED)}, in the order of the outputs: copy the folder again, or, if {MANIFEST} is right, "
            "write its names into id2label and label2id"
        )


def _exchanged(file: Path) -> AnchorlabError:
    return AnchorlabError(
        f"{file} holds other weights than {MANIFEST} beside it names, because it is damaged or was exchanged: "
        f"{_remedy(file.parent)}"
    )


def load_like(folder: str | Path, model: nn.Module | None) -> Artifact:
    """Opens a model folder that was made from ``model``, of which it gets a copy if that is a module of your own."""
    folder = user_path(folder)
    return load_model(folder, into=copy.deepcopy(model) if model is not None and is_own_module(folder) else None)


def open_model(
    folder: str | Path, *, module: ModuleMaker | None = None, base: str | Path | None = None
) -> Artifact | nn.Module:
    """A model folder with its manifest, or the classifier of one that has none.

    Args:
        folder: made by ``anchorlab`` or transformers, or an ONNX file.
        module: makes the module of a folder that was saved from one of somebody's own; others need none.
        base: the base model of an adapter, as in ``load_model``; other folders need none.

    Raises:
        AnchorlabError: as ``load_model``, but for a missing manifest.
    """
    folder = user_path(folder)
    if (file := onnx_file(folder)) is not None:
        return (
            _load_onnx(file) if file.name == ONNX and (file.parent / MANIFEST).exists() else open_classifier(str(file))
        )
    check_is_folder(folder)
    if (folder / MANIFEST).exists():
        return load_model(folder, into=needed_module(folder, module), base=base)
    return open_classifier(str(folder), base=None if base is None else str(base))


def _remedy(folder: Path) -> str:
    return f"copy it again, or remove it, by {removal(folder)}, and make the model again"


def _require(folder: Path, *names: str) -> None:
    for name in names:
        if not (folder / name).is_file():
            raise AnchorlabError(
                f"{folder} holds no {name}: give a folder made by anchorlab train, adopt or inject, which has "
                f"{WEIGHTS}, {CONFIG} and {MANIFEST}"
            )
