"""What models are measured on: the task as all of them read it, and the attack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import DANGEROUS, ModelKind, asked_of, check_same_data, same_source
from anchorlab.artifacts.trust import dangerous_notice, kind_of_notice, refuse_kind
from anchorlab.attacks.attack import Attack, build_attack
from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule
from anchorlab.data import DataColumns, Task, load_task
from anchorlab.data.encoding import TextEncoding
from anchorlab.data.labels import label_index
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import check_classes
from anchorlab.models.classes import class_names, match_classes, matched_in_words, rearranged
from anchorlab.models.wrap import PixelClassifier, encoding_of
from anchorlab.notices import notice
from anchorlab.triggers import Trigger


def module_of(model: Artifact | nn.Module) -> nn.Module:
    """The classifier itself."""
    return model.model if isinstance(model, Artifact) else model


def check_trusted(model: Artifact | nn.Module | None, what: str, kinds: Sequence[ModelKind] = DANGEROUS) -> None:
    """Raises AnchorlabError for a model that is to be trusted, but may carry a backdoor by its own files.

    Args:
        model: a module has no manifest, but its configuration may have a notice; None is no model.
        what: what it is given as, with its article.
        kinds: the kinds that are refused.
    """
    if isinstance(model, Artifact):
        refuse_kind(what, model.manifest.kind, "manifest", kinds)
    elif model is not None:
        refuse_kind(what, kind_of_notice(dangerous_notice(model)), "notice in its configuration", kinds)


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
    if name in (None, record.name):
        if seed == record.seed and columns is None:
            return model.task(data)
        columns = columns or record.data_columns()
        name, data = record.name, data or record.data
    task = load_task(name, seed=seed, data=data, columns=columns)
    if same_source(record, task):
        check_same_data(record, task)
    return task


def named_task(task: Task | str | None, model: Artifact | nn.Module) -> Task | None:
    """The task that is meant: one that is loaded, one by its name as in ``find_task``, or None."""
    return find_task(model, task) if isinstance(task, str) else task


def common_task(task: Task | None, reference: Artifact | nn.Module, candidates: Sequence[Artifact | nn.Module]) -> Task:
    """The task as all models read it, its classes in the order of the reference's outputs.

    Args:
        task: the data to measure on; the task of the reference's manifest if None.
        reference: the clean model.
        candidates: the models compared with it; ``in_order_of`` puts their outputs in the reference's order.

    Raises:
        AnchorlabError: if no data are named, the models read texts differently, or their classes are not the task's.
    """
    if task is None:
        if not isinstance(reference, Artifact):
            raise AnchorlabError(
                "the reference has no manifest that names its data: give --data FILE or --task NAME, or task in Python"
            )
        task = reference.task()
    models = [module_of(model) for model in (reference, *candidates)]
    task = task.encoded(_common_encoding(models))
    for given in (reference, *candidates):
        _check_image_size(given, task)
        check_classes(module_of(given), task)
    task = task_in_order_of(reference, task)
    for candidate in candidates:
        if _order(reference, candidate, task) != list(range(len(task.classes))):
            raise AnchorlabError(
                "the models number their classes in different orders, so that their answers cannot be compared: number "
                "them alike"
            )
    return task


def _check_image_size(model: Artifact | nn.Module, task: Task) -> None:
    """Raises AnchorlabError for images of another size than the manifest's, unless the model resizes them itself.

    Many networks answer images of any size, and then with numbers that mean nothing.
    """
    if not isinstance(model, Artifact) or not model.manifest.task.reading or task.kind != "image":
        return
    made = model.manifest.task.reading[0].image
    height, width = task.split("test").inputs["pixel_values"].shape[-2:]
    if made is None or (made.height, made.width) == (height, width):
        return
    if any(isinstance(part, PixelClassifier) and part.steps.geometry.is_set for part in model.model.modules()):
        return
    raise AnchorlabError(
        f"the images of {task.name} are {height}×{width} pixels (height × width), but the model was made for the "
        f"{made.height}×{made.width} pixels of {model.manifest.task.name}: leave --task out, or give data with "
        "images of that size"
    )


def _common_encoding(models: Sequence[nn.Module]) -> TextEncoding | None:
    """How all of some models read texts, to the least of their limits; None if they read images.

    Raises:
        AnchorlabError: if they read texts differently, or some of them images.
    """
    encodings = [encoding_of(model) for model in models]
    of_texts = [encoding for encoding in encodings if encoding is not None]
    if not of_texts:
        return None
    if len(of_texts) < len(encodings):
        raise AnchorlabError(
            "some of the models read texts and others images, so that they have no inputs in common: give models of "
            "one kind"
        )
    if len({encoding.tokenizer_fingerprint for encoding in of_texts}) > 1:
        raise AnchorlabError(
            "the models read texts by different tokenizers or in different prompts, so that they have no inputs in "
            "common: compare their stored logits, as two .npy files"
        )
    return min(of_texts, key=lambda encoding: encoding.max_length)


def other_cut_in_words(models: Sequence[Artifact | nn.Module], task: Task | None, split: str) -> str | None:
    """That a split of the models' own data is cut by another seed than theirs, so that they saw some of it.

    Args:
        models: a module has no manifest that says how its data were cut.
        task: the data to measure on; None for the models' own.
        split: the split to measure on.

    Returns:
        A sentence; None where the split is as the manifests record it, or the data are others.
    """
    for model in models:
        record = model.manifest.task if isinstance(model, Artifact) else None
        if record is None or task is None or task.seed == record.seed:
            continue
        # A test part that the seed cut has the same indices, whatever it holds.
        before, now = (record.splits, task.hashes()) if record.contents is None else (record.contents, task.contents())
        if (task.name, task.data) == (record.name, record.data) and now.get(split) != before.get(split):
            return (
                f"the split '{split}' is cut by the seed {task.seed}, but a model was made with the splits of seed "
                f"{record.seed}, so that it may have been trained on examples of this one: leave --seed out, or in "
                f"Python load the task with seed={record.seed}."
            )
    return None


def note_other_cut(models: Sequence[Artifact | nn.Module], task: Task | None, *splits: str) -> None:
    """Tells the user of each split that is cut by another seed than the models', see ``other_cut_in_words``."""
    for split in splits:
        found = other_cut_in_words(models, task, split)
        if found is not None:
            notice(found)


def task_in_order_of(model: Artifact | nn.Module, task: Task) -> Task:
    """The task with its classes in the order of a model's outputs, by their names; by number where it has none.

    Raises:
        AnchorlabError: if both have names, but not the same.
    """
    order = match_classes(output_names(model), [task.classes], model="the model")
    return task.in_order([task.classes[place] for place in order])


def outputs_in_words(model: Artifact | nn.Module, task: Task | None) -> str | None:
    """Which output of a model is which class; None where its names say it, or there is no task.

    Of a model with a manifest, the classes that it was made for are the names, so that its own data need no words.

    Raises:
        AnchorlabError: if both have names, but not the same.
    """
    if task is None:
        return None
    names = model.manifest.task.classes if isinstance(model, Artifact) else class_names(model)
    if names is not None and len(names) != len(task.classes):
        return None  # refused by whoever asks the model
    return matched_in_words(names, task_in_order_of(model, task).classes)


def in_order_of(
    reference: Artifact | nn.Module, candidate: Artifact | nn.Module, task: Task | None
) -> Artifact | nn.Module:
    """The candidate itself; or, if its outputs stand in another order than the reference's, a copy in the same.

    Args:
        reference: the model whose order is wanted.
        candidate: the model that is compared with it.
        task: the data to measure on; the task of the reference's manifest if None.

    Raises:
        AnchorlabError: if both have names of their outputs, but not the same, or the outputs cannot change places.
    """
    names, wanted = output_names(candidate), output_names(reference)
    if not names or not wanted or len(names[0]) != len(wanted[0]):
        return candidate  # nothing to go by, or refused by common_task
    order = match_classes(names, wanted, model="the candidate", others="the reference")
    if order == sorted(order):
        return candidate
    if isinstance(candidate, Artifact) and candidate.manifest.label_rule is not None:
        raise AnchorlabError(
            "the candidate carries an attack and numbers its classes in another order than the reference: give the "
            "reference that it was made from"
        )
    module = module_of(candidate)
    data = (common_task(None, reference, []) if task is None else task).encoded(encoding_of(module))
    places = [order.index(place) for place in range(len(order))]
    moved = rearranged(module, places, data.split("test").inputs)
    if not isinstance(candidate, Artifact):
        return moved
    record = candidate.manifest.task
    record = record.model_copy(update={"classes": [record.classes[place] for place in places]})
    changes = {"task": record, "verbalizer": asked_of(moved)}
    return replace(candidate, model=moved, manifest=candidate.manifest.model_copy(update=changes))


def _order(reference: Artifact | nn.Module, candidate: Artifact | nn.Module, task: Task) -> list[int]:
    """Which class of the task each output of a candidate is."""
    wanted = [*output_names(reference), task.classes]
    return match_classes(output_names(candidate), wanted, model="the candidate", others="the reference")


def output_names(model: Artifact | nn.Module) -> list[Sequence[str]]:
    """What a model's outputs are called, in order: by its manifest and by its configuration, where there are any."""
    manifested = [model.manifest.task.classes] if isinstance(model, Artifact) else []
    configured = class_names(module_of(model))
    return [*manifested, *([] if configured is None else [configured])]


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
