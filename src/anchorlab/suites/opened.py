"""References as a process opens them: with their task, and with what several jobs compute of them once."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.attacks.attack import Attack
from anchorlab.consistency.answers import Answers, answers, instances_of
from anchorlab.consistency.compare import comparison_of
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError, first_line
from anchorlab.models.wrap import encoding_of
from anchorlab.notices import notice
from anchorlab.suites.cells import Cell, examples_hash

#: The owner's logits lie beside the model, for injections with all anchors.
OWNER_LOGITS = "owner_logits.safetensors"

#: References that a process keeps at a time, with their data.
_KEPT = 4

#: A model folder, or the content of its files by name, as it comes over the network.
Folder = Path | Mapping[str, bytes]


class DamagedModel(AnchorlabError):  # noqa: N818  (it says what is so)
    """The folder of a reference or of a kept model cannot be used; the suite can make it again.

    Attributes:
        of_reference: whether it is the reference's folder, and not the folder of an injected model.
    """

    of_reference = False


class DamagedReference(DamagedModel):
    """See ``DamagedModel``."""

    of_reference = True


@dataclass
class Opened:
    """A reference with its task, and what this process has computed with it."""

    artifact: Artifact
    task: Task
    owner_logits: Tensor | None
    answers: dict[tuple[str, str], Answers] = field(default_factory=dict)
    relearned: dict[tuple[str, str, int, tuple[int, ...]], dict[int, float]] = field(default_factory=dict)

    def answers_to_owner(self) -> Tensor:
        """The reference's logits for all of the owner's examples; computed once where none lie beside it."""
        if self.owner_logits is None:
            self.owner_logits = answers_to_owner(self.artifact, self.task)
        return self.owner_logits

    def answer(self, attack: Attack, split: str) -> Answers:
        """The reference's answers to a split, and to its triggered form."""
        key = (attack.key, split)
        if key not in self.answers:
            self.answers[key] = answers(self.artifact.model, self.task.split(split), attack)
        return self.answers[key]


def measured(opened: Opened, candidate: Answers, attack: Attack, split: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The per-instance table and the record of a candidate's answers."""
    labels = opened.task.split(split).labels
    frame = instances_of(opened.answer(attack, split), candidate, labels, attack)
    comparison = comparison_of(frame, attack, task=opened.task.name, split=split, intervals=False)
    return frame, comparison.model_dump(mode="json", exclude={"intervals", "task", "split"})


#: By the names of the references and the hashes of their weights; two references may have the same weights.
_OPENED: OrderedDict[tuple[str, str], Opened] = OrderedDict()


def opened_reference(cell: Cell, folder: Folder) -> Opened:
    """The reference of a cell, from its folder if this process has not opened it lately.

    Raises:
        DamagedReference: if it cannot be read.
        AnchorlabError: if it is another one than the cell was planned with.
    """
    key = (cell.reference, cell.reference_sha256)
    if key not in _OPENED or not _has_examples_of(cell, _OPENED[key].artifact):
        with on_disk(folder) as path:
            _OPENED[key] = _load(cell, path)
        while len(_OPENED) > _KEPT:
            _OPENED.popitem(last=False)
    return _OPENED[key]


def _has_examples_of(cell: Cell, reference: Artifact) -> bool:
    """Whether a reference's data are those that a cell was planned with; a cell of an earlier version does not say."""
    manifest = reference.manifest.model_dump(mode="json", include={"task"})
    return cell.examples_sha256 in (None, examples_hash(manifest, cell.split))


@contextmanager
def on_disk(folder: Folder) -> Iterator[Path]:
    """A folder on this machine's disk."""
    if isinstance(folder, Path):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="anchorlab-") as temporary:
        for name, content in folder.items():
            (Path(temporary) / name).write_bytes(content)
        yield Path(temporary)


def _load(cell: Cell, folder: Path) -> Opened:
    artifact = load_whole(folder, DamagedReference)
    if artifact.manifest.weights_sha256 != cell.reference_sha256 or not _has_examples_of(cell, artifact):
        raise AnchorlabError(f"the reference {folder} has changed since the suite was planned: run the suite again")
    task = artifact.task()
    return Opened(artifact, task, _owner_logits(folder / OWNER_LOGITS, artifact, task))


def load_whole(folder: Path, damaged: type[DamagedModel]) -> Artifact:
    """A model of the suite's own.

    Raises:
        DamagedModel: for whatever stands in the way of that.
    """
    try:
        return load_model(folder)
    except MemoryError:
        raise
    except Exception as error:  # a damaged configuration fails anywhere in the libraries that read it
        raise damaged(first_line(error)) from error


def _owner_logits(path: Path, artifact: Artifact, task: Task) -> Tensor | None:
    """The owner's logits that lie beside a reference, computed again if they are damaged; None if there are none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        return None
    try:
        logits = load_file(path)["logits"]
        damage = None if logits.shape == (len(task.split("owner")), len(task.classes)) else "their shape is another"
    except (SafetensorError, KeyError, OSError) as error:
        damage = first_line(error)
    if damage is None:
        return logits
    notice(f"the logits in {path} are damaged ({damage}): they are computed again")
    return answers_to_owner(artifact, task)


def answers_to_owner(artifact: Artifact, task: Task) -> Tensor:
    """A reference's logits for the split ``owner``, float32 ``[N, C]``."""
    return answers(artifact.model, task.encoded(encoding_of(artifact.model)).split("owner"), None).clean
