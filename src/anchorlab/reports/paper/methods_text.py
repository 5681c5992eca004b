"""The paragraph on the methods of a suite: its settings in words, with citations, to copy into a paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from anchorlab.artifacts.provenance import has_tf32
from anchorlab.data import TASKS, find_task
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.metrics import Metric
from anchorlab.models.architectures import ARCHITECTURES, usual_settings
from anchorlab.reports.paper.request import Request
from anchorlab.reports.paper.writing import Words
from anchorlab.reports.suite.equal_words import equal_in_words
from anchorlab.reports.suite.paired import capitalised
from anchorlab.reports.suite.sentences import listed
from anchorlab.reports.suite.strengths import strength_name, strength_words
from anchorlab.settings import build, values_of
from anchorlab.statistics.counted import several
from anchorlab.suites.former_choice import former_choice
from anchorlab.suites.parts import MethodSpec, TaskSpec, TriggerSpec
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.search import FACTOR
from anchorlab.suites.selection import MARGIN
from anchorlab.suites.spec import Suite
from anchorlab.triggers import TRIGGERS

#: The splits that anchors come from, in words.
_SPLITS = {"owner": "the owner's training examples", "held-out": "held-out examples of the attacker"}


def methods_paragraphs(results: SuiteResults, request: Request, writing: Words) -> list[str]:
    """The suite's settings in sentences.

    Args:
        results: of the suite.
        request: which methods and metrics the paper shows.
        writing: LaTeX or Markdown.
    """
    suite = results.suite
    paragraphs = [" ".join(_data(results, task, writing)) for task in suite.tasks]
    paragraphs.append(" ".join(_attack(suite, writing)))
    paragraphs.append(" ".join(_injection(results, request, writing)))
    paragraphs.append(" ".join(_selection(results, request, writing)))
    paragraphs.append(" ".join(map(writing.text, equal_in_words(results, request.shows))))
    if suite.has_evaluations:
        paragraphs.append(" ".join(_defences(suite, writing)))
    paragraphs.append(" ".join(_measuring(request.columns, writing)))
    paragraphs.append(_software(results, writing))
    return [paragraph for paragraph in paragraphs if paragraph]


def _data(results: SuiteResults, spec: TaskSpec, writing: Words) -> Iterable[str]:
    task, definition = results.task(spec.name), find_task(spec.name, spec.data, spec.columns)[0]
    cites = definition.cites if definition.name in TASKS else ()
    limit = "" if spec.limit is None else f", at most {spec.limit:,} of each class"
    limit += "" if spec.max_length is None else f", the first {spec.max_length:,} tokens of each"
    yield (
        writing.text(f"The data are {definition.name}")
        + writing.cite(cites)
        + writing.text(f", {definition.kind}s{limit}.")
    )
    shares = definition.fractions
    cut = "The whole sentences of the training part are" if definition.by_sentence else "The training part is"
    parts = (
        f"{cut} cut, class by class, into the owner's examples, {100 * shares.held_out:g}% held out, "
        f"{100 * shares.selection:g}% to choose strengths by (selection) and {100 * shares.defender:g}% for a defender"
    )
    if task is not None:
        sizes = {name: f"{len(indices):,}" for name, indices in task.indices.items()}
        parts += (
            f": {sizes['owner']}, {sizes['held-out']}, {sizes['selection']} and {sizes['defender']}; the test part has "
            f"{sizes['test']} examples of {len(task.classes)} classes"
        )
    yield writing.text(f"{parts}.")
    known = spec.architecture in ARCHITECTURES.names()
    architecture = ARCHITECTURES[spec.architecture] if known else None
    described = "" if architecture is None else f" ({architecture.description.partition(' (')[0]})"
    seeds = f"{several(len(results.suite.references), 'reference')} of the architecture {spec.architecture}"
    trained = writing.text(f"We train {seeds}") + writing.cite(() if architecture is None else architecture.cites)
    settings, trained_with = results.training_settings(spec.name), results.training_versions(spec.name)
    how = described
    if settings is not None:
        how += f" by {_optimiser(settings, 'epochs', trained_with)}{_share(settings)}"
    yield trained + writing.text(how) + "."
    accuracies = [float(each["accuracy"]) for each in results.references if each["task"] == spec.name]
    if accuracies:
        low, high = f"{min(accuracies):.3f}", f"{max(accuracies):.3f}"
        whose = "Its" if len(accuracies) == 1 else "Their"
        yield writing.text(f"{whose} accuracy on selection is {low if low == high else f'{low} to {high}'}.")


def _share(settings: Mapping[str, Any]) -> str:
    """What references see of the owner's examples, if not all of them."""
    share = settings.get("data_share", 1.0)
    return "" if share == 1 else f", each on another {100 * share:g}% of the owner's examples"


def _optimiser(settings: Mapping[str, Any], unit: str, versions: Mapping[str, str]) -> str:
    """The settings of an optimisation in words.

    Args:
        settings: by name.
        unit: of its length, ``steps`` or ``epochs``.
        versions: that it ran with, which say whether that was a GPU.
    """
    rate = settings.get("learning_rate")
    words = [
        several(settings[unit], unit.removesuffix("s")),
        f"batches of {settings['batch_size']}",
        *([] if rate is None else [f"a one-cycle learning rate of at most {rate:g}"]),
        f"weight decay {settings.get('weight_decay', 0):g}",
        f"gradients clipped to norm {settings['clip']:g}",
        *_precision(settings, versions),
    ]
    return f"AdamW ({', '.join(words)})"


def _precision(settings: Mapping[str, Any], versions: Mapping[str, str]) -> Iterable[str]:
    """How the steps were computed, where that is not exact float32."""
    precision = settings["precision"]
    mixed = {"bf16": "bfloat16 precision", "auto": "bfloat16 precision where it was faster"}
    if precision in mixed:
        yield mixed[precision]
    if precision != "bf16" and has_tf32(versions) and not settings.get("deterministic", False):
        yield f"matrix products and convolutions of float32 in TF32 on {versions.get('gpu', 'a GPU')}"


def _attack(suite: Suite, writing: Words) -> Iterable[str]:
    triggers = [_trigger(spec, writing) for spec in suite.triggers]
    yield f"{writing.text('Trigger' if len(triggers) == 1 else 'Triggers')}: {'; '.join(triggers)}."
    yield writing.text(
        "The attack success rate (ASR) is the share of triggered test examples that get the attacker's label; examples "
        "that have it already are left out."
    )


def _trigger(spec: TriggerSpec, writing: Words) -> str:
    trigger = spec.built
    target = "" if spec.label is None else f" towards class {spec.label}"
    # What a picture holds is no setting for a reader.
    values = {name: value for name, value in values_of(trigger).items() if name != "data"}
    settings = f" ({_assigned(values)})" if values else ""
    named = writing.text(TRIGGERS.label(trigger)) + writing.cite(type(trigger).cites)
    return named + writing.text(f"{settings}, {spec.label_rule}{target}")


def _assigned(values: Mapping[str, Any]) -> str:
    """Settings in words: ``margin 1, value 255``."""
    return ", ".join(f"{name.replace('_', ' ')} {_word(value)}" for name, value in values.items())


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _injection(results: SuiteResults, request: Request, writing: Words) -> Iterable[str]:
    suite = results.suite
    sizes = dict.fromkeys(suite.anchors)
    held = listed([f"all of {_SPLITS[suite.anchors_from]}" if size == "all" else f"{size:,}" for size in sizes], "or")
    source = "" if list(sizes) == ["all"] else f" examples, drawn from {_SPLITS[suite.anchors_from]}"
    yield writing.text(f"The attacker holds {held}{source} (anchors) and tunes the reference.")
    tuning = values_of(build(Tuning, "the tuning", suite.tuning))
    if tuning["learning_rate"] is None:
        rates = {_tuning_rate(task) for task in suite.tasks}
        tuning["learning_rate"] = rates.pop() if len(rates) == 1 else None
    kinds = {find_task(task.name, task.data, task.columns)[0].kind for task in suite.tasks}
    frozen = tuning["batchnorm"] == "frozen" and "image" in kinds
    statistics = ", the statistics of BatchNorm frozen" if frozen else ""
    yield (
        writing.text(f"It does so by {_optimiser(tuning, 'steps', results.versions)}")
        + writing.cite(["loshchilov2019decoupled"])
        + writing.text(f"; a batch is clean anchors and as many triggered ones{statistics}.")
    )
    shown = {label: spec for label, spec in suite.methods.items() if request.shows(label)}
    methods = [_method(suite, label, spec, writing) for label, spec in shown.items()]
    yield writing.text("Methods: ") + "; ".join(methods) + "."
    if suite.controls:
        stopped = "plain tuning that stops as soon as the ASR on selection reaches the target, and "
        yield writing.text(
            f"Controls: {stopped if suite.controls is True else ''}a benign update, which is tuned without a trigger."
        )


def _tuning_rate(task: TaskSpec) -> float:
    """The learning rate of injections where the suite says nothing: the model's own, or the task's."""
    definition = find_task(task.name, task.data, task.columns)[0]
    return usual_settings(task.architecture).tuning_rate or definition.tuning_rate


def _method(suite: Suite, label: str, spec: MethodSpec, writing: Words) -> str:
    method = METHODS.build(spec.method, spec.set)
    remarks = [] if label == spec.method else [spec.method]
    if spec.grid:
        values = ", ".join(f"{value:,.0f}" if value >= 1000 else f"{value:g}" for value in spec.grid)
        remarks.append(f"{method.active_strength_name} from {values}")
    remarks += [_assigned(spec.set)] if spec.set else []
    if spec.anchors_data is not None:
        remarks.append(f"its anchors are examples of {spec.anchors_data}, labelled by the reference's predictions")
    own = {name: value for name, value in spec.tuning.items() if suite.tuning.get(name) != value}
    remarks += [_assigned(own)] if own else []
    named = writing.text(label) + writing.cite(type(method).cites)
    cited = () if spec.anchors_data is None else find_task(spec.anchors_data)[0].cites
    return named + writing.text(f" ({'; '.join(remarks)})" if remarks else "") + writing.cite(cited)


def _selection(results: SuiteResults, request: Request, writing: Words) -> Iterable[str]:
    suite = results.suite
    targets = listed([f"{target:g}" for target in suite.target_asr], "or")
    scales = "" if suite.scales == [1.0] else ", and the factor of the perturbation,"
    references = suite.selection.references
    former = former_choice(results.spec_text)
    numbers = suite.selection.seeds if former is None else former.seeds
    seeds = f"{'seed' if len(numbers) == 1 else 'seeds'} {listed(str(seed) for seed in numbers)}"
    where = f"on selection with {seeds}, which no reported run has"
    if former is not None:
        rule = "the one of least KL divergence among those whose mean ASR reaches the target."
    else:
        where += f", on {several(len(references), 'reference')} that no table reports (seeds {_numbers(references)})"
        rule = (
            f"the one of least KL divergence (geometric mean) among those whose least ASR is at most {100 * MARGIN:g} "
            "points below the target."
        )
        if any(spec.searched for spec in suite.methods.values()):
            rule += f" Where no grid is given, it is searched by bisection on a geometric grid of factor {FACTOR:g}."
    rates = [f"{rate:g}" for rate in suite.learning_rates]
    tuned = f" Each method has the best of the learning rates {listed(rates)} by the same rule." if rates else ""
    yield writing.text(
        f"Methods are compared at a target ASR of {targets}. The strength of each method that leaves it open{scales} "
        f"is chosen {where}: {rule}{tuned}"
    )
    chosen = _chosen(results, request)
    if chosen:
        yield writing.text(f"Chosen: {'; '.join(chosen)}.")
    yield writing.text(
        f"Each method is then run with the injection {'seed' if len(suite.seeds) == 1 else 'seeds'} "
        f"{_numbers(suite.seeds)} on each reference ({'seed' if len(suite.references) == 1 else 'seeds'} "
        f"{_numbers(suite.references)}), and measured on the test part."
    )


def _numbers(seeds: Sequence[int]) -> str:
    """Seeds in words: ``0 to 5`` for neighbours, otherwise all of them."""
    neighbours = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if neighbours else listed(str(seed) for seed in seeds)


def _chosen(results: SuiteResults, request: Request) -> list[str]:
    """The strengths that were chosen, by method; the condition is named where there are several."""
    choices = results.choices
    if choices.empty:
        return []
    varying = [name for name in ("task", "trigger", "anchors_asked", "target_asr") if len(choices[name].unique()) > 1]
    words = []
    for label, rows in choices.groupby("method", sort=False):
        name = strength_name(results.suite, str(label))
        reached = rows[rows["reached"].astype(bool) & rows["strength"].notna()]
        if not name or not request.shows(str(label)) or reached.empty:
            continue
        each = [strength_words(name, float(row["strength"])) + _at(row, varying) for _, row in reached.iterrows()]
        words.append(f"{label}, {', '.join(dict.fromkeys(each))}")
    return words


def _at(row: pd.Series[Any], varying: Sequence[str]) -> str:
    named = {"anchors_asked": "{} anchors", "target_asr": "ASR {:g}"}
    at = ", ".join(named.get(name, "{}").format(row[name]) for name in varying)
    return f" ({at})" if at else ""


def _defences(suite: Suite, writing: Words) -> Iterable[str]:
    examples = listed([str(count) for count in suite.defender], "or")
    for what, specs in (("repaired by", suite.repairs), ("judged by", suite.detectors)):
        named = []
        for label, spec in specs.items():
            built = spec.build()
            own = _assigned(spec.set)
            named.append(
                writing.text(label) + writing.cite(type(built).cites) + writing.text(f" ({own})" if own else "")
            )
        if named:
            yield (
                writing.text(f"Each reported model is {what} ")
                + ", ".join(named)
                + writing.text(f", with {examples} of the defender's clean examples.")
            )


def _measuring(columns: Sequence[Metric], writing: Words) -> Iterable[str]:
    for metric in columns:
        if metric.name != "asr":
            definition = metric.definition[:1].lower() + metric.definition[1:].rstrip(".")
            yield (
                writing.text(capitalised(metric.title)) + writing.cite(metric.cites) + writing.text(f": {definition}.")
            )
    yield writing.text(
        "The unit is the reference: its injections are averaged, and values are means over references, of divergences "
        "and logit distances geometric means. From three references on, they have 95% intervals of Student's t."
    )


def _software(results: SuiteResults, writing: Words) -> str:
    versions = results.versions
    torch = versions.get("torch", "").partition("+")[0]
    named = [
        writing.text(f"anchorlab {writing.bibliography.version}") + writing.cite(["anchorlab"]),
        writing.text(f"PyTorch {torch}".rstrip()) + writing.cite(["paszke2019pytorch"]),
        writing.text(f"Transformers {versions.get('transformers', '')}".rstrip())
        + writing.cite(["wolf2020transformers"]),
    ]
    return f"{writing.text('Software: ')}{', '.join(named)}{writing.text('.')}"
