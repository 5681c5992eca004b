"""Benign updates of a reference, which an audit compares a candidate with.

An ordinary update trains the model further, on clean data of its task. How long a vendor trains is not known to an
auditor, and an audit hangs on it, so that there are two lengths by default: a short update sees the owner's examples
once, a long one as often as the task's own training does, at most for as many steps as an injection takes by default.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from anchorlab.artifacts.adopt import adopt
from anchorlab.artifacts.artifact import Artifact, load_like
from anchorlab.artifacts.manifest import DANGEROUS, MANIFEST
from anchorlab.artifacts.resolve import module_of
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError, first_line, removal
from anchorlab.files import user_path
from anchorlab.injection.inject import run_injection
from anchorlab.injection.plan import plan_injection
from anchorlab.injection.tuning import Tuning
from anchorlab.models.wrap import encoding_of
from anchorlab.notices import notice
from anchorlab.progress import Listener, Status, listening, no_bars, status_bar
from anchorlab.scoring.audit_result import UpdateSetting
from anchorlab.settings import values_of
from anchorlab.tokens.same_weights import weights_digest

#: Seeds of benign updates begin here, far from the seeds of injections; each setting has this many.
FIRST_SEED, SEEDS = 5_000, 100_000

#: Fewest steps of an update, so that it is one on few examples too.
_FEWEST_STEPS = 10


@dataclass(frozen=True)
class PlannedUpdates:
    """Updates to make with one setting.

    Attributes:
        name: of the setting, which begins the names of their folders.
        count: how many.
        tuning: of each.
        first_seed: the seed of the first one.
    """

    name: str
    count: int
    tuning: Tuning
    first_seed: int

    def setting(self) -> UpdateSetting:
        """How they come to be, for the result."""
        return UpdateSetting(self.name, self.count, values_of(self.tuning))


def ordinary_tunings(task: Task, *, learning_rate: float | None = None) -> list[Tuning]:
    """How an ordinary update of a model of this task is tuned: a short one, and a long one.

    Args:
        task: the task with its data.
        learning_rate: the peak learning rate; None for the task's default.
    """
    longest, examples = Tuning().steps, len(task.split("owner"))
    batch = 2 * Tuning().batch_size  # both halves of a step are clean
    short, long = (
        min(longest, max(_FEWEST_STEPS, math.ceil(passes * examples / batch)))
        for passes in (1, max(3, task.definition.epochs))
    )
    return [Tuning(steps=steps, learning_rate=learning_rate) for steps in (short, max(long, 3 * short))]


def plan_updates(task: Task, count: int, tunings: Sequence[Tuning], *, model: str = "") -> list[PlannedUpdates]:
    """Shares out a number of updates among settings, evenly; earlier ones get what is left over.

    Args:
        task: the task with its data.
        count: number of updates.
        tunings: a setting each, at least one.
        model: the name of the reference's architecture, which may bring defaults along.

    Raises:
        AnchorlabError: if there is no setting.
    """
    if not tunings:
        raise AnchorlabError("no settings of benign updates are given: give one Tuning or more, or leave tuning out")
    tunings = [tuning.for_task(task, model) for tuning in tunings]
    names = setting_names([tuning.steps for tuning in tunings])
    planned = []
    for place, (name, tuning, share) in enumerate(zip(names, tunings, shares(count, len(tunings)), strict=True)):
        planned.append(PlannedUpdates(name, share, tuning, FIRST_SEED + place * SEEDS))
    return [one for one in planned if one.count]


def setting_names(steps: Sequence[int]) -> list[str]:
    """The names of settings by their numbers of steps."""
    if len(steps) == 1:
        return ["benign"]
    if len(steps) > 2:
        return [f"setting-{number}" for number in range(1, len(steps) + 1)]
    return ["short", "long"] if steps[0] < steps[1] else ["first", "second"]


def shares(count: int, settings: int) -> list[int]:
    """How many of a number of updates each setting gets: as many as the others, earlier ones what is left over."""
    return [count // settings + (place < count % settings) for place in range(settings)]


def benign_updates(
    reference: Artifact, planned: Sequence[PlannedUpdates], folder: str | Path | None, *, task: Task
) -> Iterator[Artifact]:
    """Benign updates of a reference, each made by tuning on its owner's clean data when it is asked for.

    An update is written when the next one is asked for, so that one which its reader refuses leaves no file.

    Args:
        reference: the reference with its manifest, see ``as_reference``.
        planned: what to make; each update has a seed of its own.
        folder: the folder of the updates; updates that are there already are read from it; None to keep none.
        task: the task with its data.

    Raises:
        AnchorlabError: if the folder holds an update of another reference, or one made with other settings.
    """
    task = task.encoded(encoding_of(reference.model))
    wanted = [(of, number) for of in planned for number in range(of.count)]
    with status_bar("audit") as show:
        for place, (of, number) in enumerate(wanted, 1):
            path = None if folder is None else user_path(folder) / f"{of.name}-{number}"
            with no_bars(), listening(_progress(show, place, len(wanted))):
                stored = None if path is None else _stored(path, reference, of, of.first_seed + number, task)
                update = stored or _made(reference, of, of.first_seed + number, task)
            yield update
            if path is not None and stored is None:
                update.save(path, replace=True)


def _progress(show: Status, place: int, total: int) -> Listener:
    """Shows how far an update is as a part of all updates."""

    def hear(title: str, done: int, steps: int, figures: Mapping[str, float]) -> None:
        del title  # of the bar that is not shown
        loss = f", loss {figures['loss']:.3g}" if "loss" in figures else ""
        show(place - 1 + done / steps, total, f"benign update {place} of {total}{loss}")

    return hear


def _made(reference: Artifact, planned: PlannedUpdates, seed: int, task: Task) -> Artifact:
    plan = plan_injection(reference, method="benign", seed=seed, tuning=planned.tuning, task=task, measure=False)
    return run_injection(plan)


def as_reference(model: Artifact | nn.Module, task: Task) -> Artifact:
    """The reference that updates are made of: the model itself, or adopted if it has no manifest for the task.

    Args:
        model: the auditor's trusted model.
        task: the task with the auditor's data.
    """
    if isinstance(model, Artifact):
        record = model.manifest.task
        if record.name == task.name and record.splits == task.hashes():
            return model
    adopted = adopt(module_of(model), task, seed=task.seed)
    if isinstance(model, Artifact):
        # Where its weights come from stays true.
        manifest = adopted.manifest.model_copy(update={"architecture": model.manifest.architecture})
        return replace(adopted, manifest=manifest)
    return adopted


def _stored(path: Path, reference: Artifact, planned: PlannedUpdates, seed: int, task: Task) -> Artifact | None:
    """An update that an earlier audit made; None if there is none, or, after a notice, if it is damaged.

    Raises:
        AnchorlabError: if the folder holds something else, which is not removed, or another update.
    """
    if not path.exists():
        return None
    try:
        update = load_like(path, reference.model)
    except AnchorlabError as error:
        if not (path / MANIFEST).is_file():
            remedy = f"choose another folder, or remove it, by {removal(path)}"
            raise AnchorlabError(f"{path} is no benign update that can be read: {remedy}") from error
        notice(f"{path} is damaged ({first_line(error)}): it is made again")
        return None
    _check_stored(path, update, reference, planned, seed, task)
    return update


def _check_stored(
    path: Path, update: Artifact, reference: Artifact, planned: PlannedUpdates, seed: int, task: Task
) -> None:
    if update.manifest.reference_sha256 != reference.manifest.weights_sha256:
        raise AnchorlabError(f"{path} is an update of another reference: choose another folder, or remove it first")
    settings = (values_of(planned.tuning), seed, task.hashes())
    if (update.manifest.settings, update.manifest.seed, update.manifest.task.splits) != settings:
        raise AnchorlabError(
            f"{path} was made with other settings or data than are asked for now: choose another folder, or remove it "
            "first"
        )


def check_update(reference: Artifact | nn.Module, update: Artifact | nn.Module, number: int) -> None:
    """Raises AnchorlabError for an update whose manifest says that it holds a backdoor or is of another reference."""
    if not isinstance(update, Artifact):
        return
    kind, made_of = update.manifest.kind, update.manifest.reference_sha256
    if kind in DANGEROUS:
        raise AnchorlabError(
            f"benign update {number} is a model of kind '{kind}' by its manifest: give updates without a backdoor"
        )
    expected = reference.manifest.weights_sha256 if isinstance(reference, Artifact) else None
    if kind == "benign" and expected is not None and made_of != expected:
        raise AnchorlabError(f"benign update {number} is one of another reference: give updates of this one")


class DistinctUpdates:
    """Refuses updates with the weights of the reference, of the candidate, or of another update."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._updates: set[str] = set()

    def add(self, net: nn.Module, name: str, *, update: bool = True) -> None:
        """Takes a model; raises AnchorlabError, which names both, if an update's weights are another model's too.

        Args:
            net: the model.
            name: what it is called.
            update: whether it is a benign update, and not the reference or the candidate, which may be equal.
        """
        digest = weights_digest(net)
        first = self._seen.setdefault(digest, name)
        if first != name and (update or digest in self._updates):
            raise AnchorlabError(
                f"{name} has the same weights as {first}, and a copy is no ordinary update of its own: leave it out of "
                "the benign updates, or give another"
            )
        if update:
            self._updates.add(digest)


def update_name(updates: Sequence[object], number: int) -> str:
    """What a benign update that was given is called: its number from 1, and its folder where it has one."""
    folder = getattr(updates, "folders", updates)[number - 1]
    return f"benign update {number}" + (f" ({folder})" if isinstance(folder, str | Path) else "")
