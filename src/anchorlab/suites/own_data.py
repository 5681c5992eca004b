"""Whether the data and networks of a suite can serve it, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from torch import nn

from anchorlab.artifacts.manifest import TaskRecord, check_same_data
from anchorlab.attacks.label_rules import parse_label_rule
from anchorlab.data.task import OR_ALL, Task
from anchorlab.defender.defence import Defence
from anchorlab.defender.device import check_fits_task, check_layers, reads_some_models
from anchorlab.errors import AnchorlabError, first_line, printable
from anchorlab.injection.lora import Lora, check_method, with_adapter
from anchorlab.methods import METHODS
from anchorlab.models.architectures import build_model
from anchorlab.notices import notice
from anchorlab.suites.parts import TaskSpec, TriggerSpec
from anchorlab.suites.plan import make_plan, reference_job
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store


def check_data(suite: Suite, store: Store, *, here: bool = True) -> None:
    """Refuses a suite that its data or networks cannot serve, before hours are spent on it.

    It opens the user's own data, what a defender takes examples from, and, while a reference is to be trained, what a
    label of the attack is named for and what a number of anchors is drawn from. Data of a known task may be missing,
    because the runs that need them say so, and all others go on. While a reference is to be trained, its network is
    built, untrained, where a repair or a detector cannot read every network, or an adapter is tuned.

    Args:
        suite: the suite to run.
        store: the store of its folder; nothing is written. A suite of which everything is done needs no data.
        here: whether the runs read the data on this machine; nodes of a cluster may have what is missing here.

    Raises:
        AnchorlabError: if own data cannot be read, are others than the ones that references in the folder were trained
            on, the split of a task that anchors or the defender's examples are drawn from is smaller than a number
            that the suite asks for, no task has the labels of an attack, or a repair or a detector cannot read a
            network, or needs more classes or more clean examples, or an adapter fits no network.
    """
    largest = _largest(suite.defender) if suite.has_evaluations else 0
    to_train = any(_is_to_train(spec, suite, store) for spec in suite.tasks)
    anchors = _largest(suite.anchors) if to_train and _draws_from_its_tasks(suite) else 0
    named = any(entry.target not in (None, 0) or ":" in entry.label_rule for entry in suite.triggers)
    named = named and here and to_train
    if to_train:
        _check_methods(suite)
    defences = _defences(suite) if here and to_train else {}
    _check_counts(defences, suite)
    choosy = {label: each for label, each in defences.items() if reads_some_models(each) or each.min_classes > 2}
    adapters = _adapters(suite) if here and to_train else []
    opened = []
    for spec in suite.tasks:
        if spec.columns is None and not (largest or anchors or named or choosy or adapters):
            continue
        trained = _trained(spec, suite, store) if spec.columns is not None else None
        try:
            task = spec.load(seed=suite.references[0] if trained is None else trained.seed)
        except AnchorlabError:
            if spec.columns is not None and here and _has_work(suite, store):
                raise
            continue
        opened.append(task)
        if trained is not None and here:
            _check_unchanged(spec, trained, task, suite, store)
        if largest:
            task.check_count("defender", largest, "clean examples for the defender", hint=OR_ALL)
        if anchors:
            task.check_count(suite.anchors_from, anchors, "anchors", hint=OR_ALL)
    if len(opened) == len(suite.tasks):
        if named:
            for entry in suite.triggers:
                _check_labels(entry, opened)
        if choosy or adapters:
            _check_networks(choosy, adapters, suite, opened)


def _defences(suite: Suite) -> dict[str, Defence]:
    """The repairs and detectors of a suite by label."""
    repairs = {label: spec.build() for label, spec in suite.repairs.items()}
    return {**repairs, **{label: spec.build() for label, spec in suite.detectors.items()}}


def _check_counts(defences: Mapping[str, Defence], suite: Suite) -> None:
    """Refuses repairs and detectors that need more clean examples than the suite gives the defender somewhere."""
    fewest = min((count for count in suite.defender if count != "all"), default=None)
    for label, defence in defences.items():
        if fewest is not None and fewest < defence.min_examples:
            raise AnchorlabError(
                f"{label} needs {defence.min_examples} clean examples, but the suite gives the defender {fewest}: "
                f"write {defence.min_examples} or more under 'defender', or leave {label} out"
            )


def _check_methods(suite: Suite) -> None:
    """Refuses methods that do not go with the adapter that they are to tune."""
    for label, method in suite.methods.items():
        if suite.tuning_of(method).lora is not None:
            check_method(METHODS.build(method.method, method.set), label)


def _adapters(suite: Suite) -> list[Lora]:
    """The adapters that a suite tunes, each once."""
    tuned = (suite.tuning_of(method).adapter for method in suite.methods.values())
    return list(dict.fromkeys(adapter for adapter in tuned if adapter is not None))


def _check_networks(defences: Mapping[str, Defence], adapters: Sequence[Lora], suite: Suite, tasks: list[Task]) -> None:
    """Refuses repairs and detectors that fit no task, or no network, and adapters that fit no network.

    Of several tasks or networks one fails alone.
    """
    largest = max(tasks, key=lambda task: len(task.classes))
    for label, defence in defences.items():
        if defence.min_classes > len(largest.classes):
            check_fits_task(defence, largest, label)
    try:
        models = [build_model(spec.architecture, task, seed=0) for spec, task in zip(suite.tasks, tasks, strict=True)]
    except AnchorlabError:  # a network that is to be fetched, for example: the reference says so
        return
    for defence in defences.values():
        _refuse_if_all(list(zip(models, tasks, strict=True)), partial(_check_layers, defence))
    for adapter in adapters:
        _refuse_if_all(models, partial(with_adapter, lora=adapter, seed=0))


def _check_layers(defence: Defence, network: tuple[nn.Module, Task]) -> None:
    try:
        check_layers(defence, network[0], task=network[1])
    except AnchorlabError:
        raise
    except Exception as error:  # a network of somebody else's that does not fit the data fails anywhere
        what = "has the layers that the suite's repairs and detectors need"
        notice(f"whether the network {what} was not found out, because it fails ({first_line(error)})")


def _refuse_if_all(each: Sequence[Any], check: Callable[[Any], object]) -> None:
    """Raises the first refusal if all are refused; of several one fails alone."""
    refusals = []
    for one in each:
        try:
            check(one)
        except AnchorlabError as error:
            refusals.append(error)
    if len(refusals) == len(each):
        raise refusals[0]


def _largest(counts: Sequence[int | Literal["all"]]) -> int:
    """The largest number of examples that is asked for; 0 where all are."""
    return max((count for count in counts if count != "all"), default=0)


def _draws_from_its_tasks(suite: Suite) -> bool:
    """Whether anchors are examples of the suite's own tasks, and not all of other data."""
    return bool(suite.controls) or any(method.anchors_data is None for method in suite.methods.values())


def _check_labels(entry: TriggerSpec, tasks: list[Task]) -> None:
    """Refuses labels that none of the tasks has; of several tasks one that lacks them fails alone."""
    _refuse_if_all(tasks, lambda task: parse_label_rule(entry.label_rule, entry.label, len(task.classes), task.classes))


def _is_to_train(spec: TaskSpec, suite: Suite, store: Store) -> bool:
    return any(store.manifest(reference_job(spec, seed)) is None for seed in suite.references)


def _trained(spec: TaskSpec, suite: Suite, store: Store) -> TaskRecord | None:
    """What the first trained reference of a task records of its data; None while none is trained.

    One reference tells of all, because none is trained beside it on other data.
    """
    seeds = dict.fromkeys([*suite.references, *suite.selection.references])
    manifests = (store.manifest(reference_job(spec, seed)) for seed in seeds)
    manifest = next((manifest for manifest in manifests if manifest is not None), None)
    return None if manifest is None else TaskRecord.model_validate(manifest["task"])


def _check_unchanged(spec: TaskSpec, trained: TaskRecord, task: Task, suite: Suite, store: Store) -> None:
    """Refuses data that changed, whose runs would be pooled with those of the former ones under one name."""
    try:
        check_same_data(trained, task)
    except AnchorlabError as error:
        if not _has_work(suite, store):
            return
        raise AnchorlabError(
            f"the data {printable(spec.name)} are others than the ones that the references in {store.folder} were "
            "trained on, and one suite cannot hold runs of both: restore the data, or run the suite in another folder"
        ) from error


def _has_work(suite: Suite, store: Store) -> bool:
    plan = make_plan(suite, store)
    return plan.undecided > 0 or not all(plan.finished(job, store) for _, job in plan.jobs())
