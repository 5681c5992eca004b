"""What models are measured on: the task as all of them read it, and the attack."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.attacks.attack import Attack, build_attack
from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule
from anchorlab.data import DataColumns, Task, load_task
from anchorlab.data.labels import label_index
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import check_classes
from anchorlab.models.wrap import encoding_of
from anchorlab.triggers import Trigger


def module_of(model: Artifact | nn.Module) -> nn.Module:
    """The classifier itself."""
    return model.model if isinstance(model, Artifact) else model


def find_task(
    model: Artifact | nn.Module,
    name: str | None,
    *,
    seed: int | None = None,
    data: str | None = None,
    columns: DataColumns | None = None,
) -> Task | None:
    """The task that is named, or else the model's own; None if there is neither.

    Args:
        model: whose manifest names its own task; a module has no manifest.
        name: of the task, as ``load_task`` reads it.
        seed: that divides the data into splits; None for the seed of the model's own task.
        data: where the data are, if not in the usual place.
        columns: what is where in the user's own data; None for the columns of the model's own task.

    Raises:
        AnchorlabError: if the task cannot be loaded.
    """
    if not isinstance(model, Artifact):
        return None if name is None else load_task(name, seed=seed or 0, data=data, columns=columns)
    record = model.manifest.task
    seed = record.seed if seed is None else seed
    if name not in (None, record.name):
        return load_task(name, seed=seed, data=data, columns=columns)
    if seed == record.seed and columns is None:
        return model.task(data)
    if columns is None and record.columns is not None:
        columns = DataColumns(**record.columns)
    return load_task(record.name, seed=seed, data=data or record.data, columns=columns)


def common_task(task: Task | None, reference: Artifact | nn.Module, candidates: Sequence[Artifact | nn.Module]) -> Task:
    """The task as all models read it.

    Args:
        task: the data to measure on; the task of the reference's manifest if None.
        reference: the clean model.
        candidates: the models compared with it.

    Raises:
        AnchorlabError: if no data are named, the models read texts differently, or their classes are not the task's.
    """
    if task is None:
        if not isinstance(reference, Artifact):
            raise AnchorlabError("the reference has no manifest that names its data: give --task, or task in Python")
        task = reference.task()
    models = [module_of(model) for model in (reference, *candidates)]
    encoding = encoding_of(models[0])
    if len({encoding_of(model) is None for model in models}) > 1:
        raise AnchorlabError(
            "some of the models read texts and others images, so that they have no inputs in common: give models of "
            "one kind"
        )
    if any(encoding_of(model) != encoding for model in models):
        raise AnchorlabError(
            "the models read texts by different tokenizers, so that they have no inputs in common: compare their "
            "stored logits, as two .npy files"
        )
    task = task.encoded(encoding)
    for model in models:
        check_classes(model, task)
    return task


def attack_of(
    candidate: Artifact | nn.Module | None,
    task: Task,
    *,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
) -> Attack | None:
    """The attack to measure: the manifest's, each part of which an argument overrides; None if there is none.

    A target alone changes the manifest's label rule to that target.

    Args:
        candidate: the model whose manifest names an attack; a module has no manifest.
        task: the data.
        trigger: instead of the manifest's, a trigger or one as text.
        target: instead of the manifest's, the label that the attacker wants, by number or name.
        label_rule: instead of the manifest's, a label rule or one as text.

    Raises:
        AnchorlabError: if the parts do not make a whole, or do not fit the task.
    """
    artifact = candidate if isinstance(candidate, Artifact) else None
    trigger = trigger or (artifact.trigger if artifact else None)
    if trigger is None:
        if target is not None or label_rule is not None:
            raise AnchorlabError(
                "a target or label rule was given, but no trigger is known: give --trigger as well, "
                "because the candidate has no manifest that names one"
            )
        return None
    own_rule = artifact.label_rule if artifact else None
    if label_rule is not None or own_rule is None:
        return build_attack(task, trigger, label_rule or "all-to-one", target)
    if target is not None:
        own_rule = LABEL_RULES.from_dict(LABEL_RULES.to_dict(own_rule) | {"target": label_index(target, task.classes)})
    return build_attack(task, trigger, own_rule, None)


def check_selection(task: Task) -> None:
    """Raises AnchorlabError for a task without a selection split, on which every manifest measures."""
    if len(task.split("selection")) == 0:
        raise AnchorlabError(f"the data of {task.name} are too few to cut a selection split: give more")
