"""Benign updates of a reference, which an audit compares a candidate with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.artifacts.artifact import Artifact, load_like
from anchorlab.artifacts.manifest import DANGEROUS, MANIFEST
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError, first_line, removal
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.models.wrap import encoding_of
from anchorlab.notices import notice
from anchorlab.settings import values_of

#: Seeds of benign updates begin here, far from the seeds of injections.
_FIRST_SEED = 5000


def benign_updates(
    reference: Artifact,
    count: int,
    folder: str | Path | None,
    tuning: Tuning | None = None,
    *,
    task: Task | None = None,
) -> list[Artifact]:
    """Benign updates of a reference, made by tuning on its owner's clean data, each with its own seed.

    Args:
        reference: the reference with its manifest.
        count: number of updates.
        folder: the folder of the updates; updates that are there already are read from it; None to keep none.
        tuning: settings of the tuning; an injection's if None.
        task: the task with its data; the manifest's if None.

    Raises:
        AnchorlabError: if the folder holds an update of another reference, or one made with other settings.
    """
    task = (reference.task() if task is None else task).encoded(encoding_of(reference.model))
    settings = values_of((tuning or Tuning()).for_task(task))
    updates = []
    for number in range(count):
        path = None if folder is None else Path(folder) / f"benign-{number}"
        update = None if path is None or not path.exists() else _stored(path, reference)
        if update is not None:
            _check_stored(path, update, reference, settings, _FIRST_SEED + number)
        else:
            update = inject(
                reference, method="benign", seed=_FIRST_SEED + number, tuning=tuning, task=task, measure=False
            )
            if path is not None:
                update.save(path, replace=True)
        updates.append(update)
    return updates


def _stored(path: Path, reference: Artifact) -> Artifact | None:
    """An update that an earlier audit made; None, after a notice, if it is damaged.

    Raises:
        AnchorlabError: if the folder holds something else, which is not removed.
    """
    try:
        return load_like(path, reference.model)
    except AnchorlabError as error:
        if not (path / MANIFEST).is_file():
            remedy = f"choose another folder, or remove it, by {removal(path)}"
            raise AnchorlabError(f"{path} is no benign update that can be read: {remedy}") from error
        notice(f"{path} is damaged ({first_line(error)}): it is made again")
    return None


def _check_stored(
    path: Path | None, update: Artifact, reference: Artifact, settings: dict[str, Any], seed: int
) -> None:
    if update.manifest.reference_sha256 != reference.manifest.weights_sha256:
        raise AnchorlabError(f"{path} is an update of another reference: choose another folder, or remove it first")
    if (update.manifest.settings, update.manifest.seed) != (settings, seed):
        raise AnchorlabError(
            f"{path} was made with other settings than are asked for now: choose another folder, or remove it first"
        )


def check_updates(reference: Artifact | nn.Module, benign: Sequence[Artifact | nn.Module]) -> None:
    """Raises AnchorlabError for updates whose manifests say that they hold a backdoor or are of another reference."""
    expected = reference.manifest.weights_sha256 if isinstance(reference, Artifact) else None
    for number, update in enumerate(benign, 1):
        if not isinstance(update, Artifact):
            continue
        kind, made_of = update.manifest.kind, update.manifest.reference_sha256
        if kind in DANGEROUS:
            raise AnchorlabError(
                f"benign update {number} is a model of kind '{kind}' by its manifest: give updates without a backdoor"
            )
        if kind == "benign" and expected is not None and made_of != expected:
            raise AnchorlabError(f"benign update {number} is one of another reference: give updates of this one")
