"""Runs one job of a suite, in any process; returns the result and writes nothing.

A process loads or computes once what its jobs share: a reference, its data and its answers.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.artifacts.deployed import deployed
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.provenance import RunMeter, versions_of_run, weights_hash
from anchorlab.attacks.attack import Attack, build_attack
from anchorlab.consistency.answers import Answers, answers, instances_of
from anchorlab.consistency.compare import comparison_of
from anchorlab.consistency.instances import instances_to_bytes
from anchorlab.data import DataColumns, Task, load_task
from anchorlab.errors import AnchorlabError, first_line
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.models.accelerator import find_device
from anchorlab.models.device import mixed_precision
from anchorlab.models.weights import interpolate
from anchorlab.models.wrap import encoding_of
from anchorlab.notices import notice
from anchorlab.progress import no_bars
from anchorlab.repairs.oracles import build_repair, is_oracle
from anchorlab.repairs.repair import repair
from anchorlab.scoring.relearning import Relearning, relearn
from anchorlab.scoring.repairs import choose_on_test
from anchorlab.settings import build
from anchorlab.suites.cells import (
    Cell,
    DeploymentCell,
    EvaluationCell,
    InjectionCell,
    Measured,
    NoiseCell,
    ReferenceJob,
    RepairCell,
)
from anchorlab.suites.detections import detect
from anchorlab.suites.walk import walked
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.reference import Training, train
from anchorlab.triggers import TRIGGERS

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
class _Opened:
    """A reference with its task, and what this process has computed with it."""

    artifact: Artifact
    task: Task
    owner_logits: Tensor | None
    answers: dict[tuple[str, str], Answers] = field(default_factory=dict)
    relearned: dict[tuple[str, str, int, tuple[int, ...]], dict[int, float]] = field(default_factory=dict)

    def answer(self, attack: Attack, split: str) -> Answers:
        key = (repr(attack), split)
        if key not in self.answers:
            self.answers[key] = answers(self.artifact.model, self.task.split(split), attack)
        return self.answers[key]


def train_reference(job: ReferenceJob, checkpoint: Path | None) -> dict[str, bytes]:
    """Trains a reference; returns the files of its folder, the owner's logits among them."""
    from safetensors.torch import save

    with no_bars():
        columns = None if job.columns is None else DataColumns(**job.columns)
        task = load_task(
            job.task, seed=job.seed, data=job.data, limit=job.limit, columns=columns, max_length=job.max_length
        )
        artifact = train(
            task,
            model=job.model,
            seed=job.seed,
            training=build(Training, "the training", job.training),
            checkpoint=None if checkpoint is None else Checkpoint(checkpoint),
        )
        owner = _answers_to_owner(artifact, task)
    return {**_files(artifact), OWNER_LOGITS: save({"logits": owner})}


def measure_cell(
    cell: InjectionCell | NoiseCell, reference: Folder, checkpoint: Path | None, keep_model: bool
) -> Measured:
    """Runs an injection, or the noise floor.

    Args:
        cell: the cell to run.
        reference: the folder of its reference.
        checkpoint: the file that an injection writes its state to and continues from.
        keep_model: whether to return the injected model.

    Raises:
        AnchorlabError: if the cell cannot run, because its loss diverges, for example.
    """
    with no_bars():
        opened = _open(cell, reference)
        attack = build_attack(opened.task, TRIGGERS.from_dict(cell.trigger), cell.rule, cell.target)
        if isinstance(cell, NoiseCell):
            return _noise(cell, opened, attack)
        return _injection(cell, opened, attack, checkpoint, keep_model)


def measure_evaluation(cell: EvaluationCell, reference: Folder, model: Folder | None) -> Measured:
    """Repairs or judges a model.

    Args:
        cell: the cell to run.
        reference: the reference's folder.
        model: folder of the injected model; None where the cell is about the reference itself.

    Raises:
        AnchorlabError: if the cell cannot run, or the repair or detector refuses the model.
    """
    with no_bars():
        opened = _open(cell, reference)
        candidate = _load_candidate(cell, opened, model)
        if isinstance(cell, RepairCell):
            row, table = _repair(cell, opened, candidate), None
        elif isinstance(cell, DeploymentCell):
            row, table = _deployed(cell, opened, candidate), None
        else:
            candidate = _in_form(candidate, cell.form, opened.task)
            row, table = detect(cell, candidate, opened.task)
    weights = {"scale": cell.scale, "weights_sha256": candidate.manifest.weights_sha256}
    return Measured([{**weights, **row}], table, None, versions_of_run())


def _load_candidate(cell: EvaluationCell, opened: _Opened, folder: Folder | None) -> Artifact:
    """The model that a cell repairs or judges, as it was reported."""
    if cell.model is None:
        return opened.artifact
    if folder is None:
        raise AnchorlabError(
            f"the injected model of {cell.of} is gone from the suite's folder: run the suite again with "
            "--retry-failed, and it is made again"
        )
    with _on_disk(folder) as path:
        injected = _load_whole(path, DamagedModel)
    if cell.scale == 1:
        return injected
    model = interpolate(opened.artifact.model.cpu(), injected.model, cell.scale)
    manifest = injected.manifest.model_copy(update={"weights_sha256": weights_hash(model)})
    return replace(injected, model=model, manifest=manifest)


def _repair(cell: RepairCell, opened: _Opened, candidate: Artifact) -> dict[str, Any]:
    """The repaired model against the clean reference, under the attack of the candidate."""
    needs_trusted = build_repair(cell.defence, cell.parameters).needs_trusted
    attack = build_attack(opened.task, TRIGGERS.from_dict(cell.trigger), cell.rule, cell.target)
    choose_depth = None
    if is_oracle(cell.defence):
        choose_depth = choose_on_test(
            candidate, task=opened.task, trigger=attack.trigger, label_rule=attack.label_rule, seed=cell.seed
        )
    repaired = repair(
        candidate,
        cell.defence,
        parameters=cell.parameters,
        defender_data=cell.defender,
        task=opened.task,
        trusted=opened.artifact if needs_trusted else None,
        choose_depth=choose_depth,
        seed=cell.seed,
    )
    _, row = _measure(opened, answers(repaired.model, opened.task.split(cell.split), attack), attack, cell.split)
    manifest = repaired.manifest
    assert manifest.defender is not None
    cost = {"seconds": manifest.seconds, "peak_bytes": manifest.peak_bytes, "grown_bytes": manifest.grown_bytes}
    said = {} if manifest.note is None else {"note": manifest.note}
    return {
        "defender_count": manifest.defender.count,
        **cost,
        **row,
        **_relearned(cell, opened, repaired, attack),
        **said,
    }


def _relearned(cell: RepairCell, opened: _Opened, repaired: Artifact, attack: Attack) -> dict[str, Any]:
    """The ASR of the repaired model, and of its reference, after a little tuning on a few triggered examples."""
    if not cell.relearn:
        return {}
    settings = Relearning(counts=cell.relearn)
    given: dict[str, Any] = {"task": opened.task, "trigger": attack.trigger, "label_rule": attack.label_rule}
    given |= {"seed": cell.seed, "split": cell.split}
    key = (repr(attack), cell.split, cell.seed, cell.relearn)
    if key not in opened.relearned:
        opened.relearned[key] = relearn(opened.artifact, settings, **given)
    found = {f"asr_relearned_{count}": asr for count, asr in relearn(repaired, settings, **given).items()}
    return found | {f"asr_relearned_{count}_reference": asr for count, asr in opened.relearned[key].items()}


def _in_form(model: Artifact, form: str | None, task: Task) -> Artifact:
    """A model as it is deployed; ranges of int8 are measured on the same images for all models of a task."""
    made = model if form is None else deployed(model, form, task=task)
    assert isinstance(made, Artifact)
    return made


def _deployed(cell: DeploymentCell, opened: _Opened, candidate: Artifact) -> dict[str, Any]:
    """A deployed model against the reference in the same form, and against its own float twin."""
    meter = RunMeter(find_device())
    attack = build_attack(opened.task, TRIGGERS.from_dict(cell.trigger), cell.rule, cell.target)
    split = opened.task.split(cell.split)
    made = answers(_in_form(candidate, cell.form, opened.task).model, split, attack)

    def against(first: Answers) -> dict[str, Any]:
        frame = instances_of(first, made, split.labels, attack)
        comparison = comparison_of(frame, attack, task=opened.task.name, split=cell.split, intervals=False)
        return comparison.model_dump(mode="json", exclude={"intervals", "task", "split"})

    key = (repr(attack), f"{cell.split} in {cell.form}")
    if key not in opened.answers:
        opened.answers[key] = answers(_in_form(opened.artifact, cell.form, opened.task).model, split, attack)
    twin = against(answers(candidate.model, split, attack))
    own = {f"{name}_twin": twin[f"{name}_reference"] for name in ("accuracy", "asr")}
    own |= {f"{name}_twin": twin[name] for name in ("kl", "churn")}
    return {**asdict(meter.cost()), **against(opened.answers[key]), **own}


def _injection(
    cell: InjectionCell, opened: _Opened, attack: Attack, checkpoint: Path | None, keep_model: bool
) -> Measured:
    injected = inject(
        opened.artifact,
        method=cell.method,
        parameters=cell.parameters,
        trigger=attack.trigger,
        label_rule=attack.label_rule,
        anchors=cell.anchors,
        anchors_from=cell.anchors_from,
        anchors_data=cell.anchors_data,
        seed=cell.seed,
        tuning=build(Tuning, "the tuning", cell.tuning),
        task=opened.task,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint),
        # Only with all anchors: a run with few computes their logits faster than it reads all.
        reference_logits=opened.owner_logits if _has_owner(cell) else None,
        measure=keep_model,
    )
    injected = whole(injected)  # scales, repairs and analyses are of weights
    manifest = injected.manifest
    assert manifest.anchors is not None
    cost = {
        "anchors": manifest.anchors.count,
        "steps": manifest.steps,
        "seconds": manifest.seconds,
        "peak_bytes": manifest.peak_bytes,
    }

    def measured(scale: float) -> tuple[pd.DataFrame, dict[str, Any]]:
        model = injected.model if scale == 1 else interpolate(opened.artifact.model.cpu(), injected.model.cpu(), scale)
        frame, row = _measure(opened, answers(model, opened.task.split(cell.split), attack), attack, cell.split)
        return frame, {"scale": scale, **cost, **row}

    rows, frame = [], None
    for scale in cell.scales:
        frame, row = measured(scale)
        rows.append(row)
    if cell.walk is not None:
        rows += walked(cell.walk, rows[0], lambda scale: measured(scale)[1])
    return Measured(
        rows=rows,
        instances=instances_to_bytes(frame) if len(cell.scales) == 1 and frame is not None else None,
        model=_files(injected) if keep_model else None,
        versions=versions_of_run(),
    )


def _has_owner(cell: InjectionCell) -> bool:
    """Whether the anchors are all of the split owner."""
    return cell.anchors is None and cell.anchors_from == "owner" and cell.anchors_data is None


def _noise(cell: NoiseCell, opened: _Opened, attack: Attack) -> Measured:
    examples = opened.task.split(cell.split)
    with mixed_precision(cell.precision, find_device()):
        second = answers(opened.artifact.model, examples, attack, batch_size=cell.batch_size)
    frame, row = _measure(opened, second, attack, cell.split)
    no_cost = {"anchors": 0, "steps": 0, "seconds": 0.0, "peak_bytes": 0}
    return Measured([{"scale": 1.0, **no_cost, **row}], instances_to_bytes(frame), None, versions_of_run())


def _measure(opened: _Opened, candidate: Answers, attack: Attack, split: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The per-instance table and the record of a candidate's answers."""
    labels = opened.task.split(split).labels
    frame = instances_of(opened.answer(attack, split), candidate, labels, attack)
    comparison = comparison_of(frame, attack, task=opened.task.name, split=split, intervals=False)
    return frame, comparison.model_dump(mode="json", exclude={"intervals", "task", "split"})


_OPENED: OrderedDict[str, _Opened] = OrderedDict()


def _open(cell: Cell, folder: Folder) -> _Opened:
    if cell.reference_sha256 not in _OPENED:
        with _on_disk(folder) as path:
            _OPENED[cell.reference_sha256] = _load(cell, path)
        while len(_OPENED) > _KEPT:
            _OPENED.popitem(last=False)
    return _OPENED[cell.reference_sha256]


@contextmanager
def _on_disk(folder: Folder) -> Iterator[Path]:
    """A folder on this machine's disk."""
    if isinstance(folder, Path):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="anchorlab-") as temporary:
        for name, content in folder.items():
            (Path(temporary) / name).write_bytes(content)
        yield Path(temporary)


def _load(cell: Cell, folder: Path) -> _Opened:
    artifact = _load_whole(folder, DamagedReference)
    if artifact.manifest.weights_sha256 != cell.reference_sha256:
        raise AnchorlabError(f"the reference {folder} has changed since the suite was planned: run the suite again")
    task = artifact.task()
    return _Opened(artifact, task, _owner_logits(folder / OWNER_LOGITS, artifact, task))


def _load_whole(folder: Path, damaged: type[DamagedModel]) -> Artifact:
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
    return _answers_to_owner(artifact, task)


def _answers_to_owner(artifact: Artifact, task: Task) -> Tensor:
    return answers(artifact.model, task.encoded(encoding_of(artifact.model)).split("owner"), None).clean


def _files(artifact: Artifact) -> dict[str, bytes]:
    """The files of the model folder that an artifact would be saved as."""
    with tempfile.TemporaryDirectory(prefix="anchorlab-") as temporary:
        folder = artifact.save(Path(temporary) / "model")
        return {path.name: path.read_bytes() for path in folder.iterdir()}
