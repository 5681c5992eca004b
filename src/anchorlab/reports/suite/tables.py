"""The tables of a report: results, further measurements, differences, strengths, costs, classes, failures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from anchorlab.consistency.runs import Difference
from anchorlab.errors import AnchorlabError
from anchorlab.metrics import METRICS, Metric
from anchorlab.reports.measures import further_metrics, main_metrics
from anchorlab.reports.suite.equal_table import equal_table
from anchorlab.reports.suite.interval_words import intervals_in_words
from anchorlab.reports.suite.strengths import strength_words
from anchorlab.reports.suite.summary import Condition, Entry, Group, reasons, summarise
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.numbers import defined, fraction, p_value, significant, span
from anchorlab.statistics.references import ENOUGH_FOR_P
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table, estimate_cell, number, to_markdown_table
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.success import below_target

#: Classes that the table by class shows; its CSV file has all.
CLASSES_SHOWN = 12


def results_table(condition: Condition, measures: Sequence[Metric] | None = None, *, name: str = "results") -> Table:
    """Mean and 95% interval of measurements, methods by number of anchors, then controls and the noise floor.

    Args:
        condition: the setting and target.
        measures: a column each; the main table's if None.
        name: begins the names of its files.
    """
    measures = main_metrics() if measures is None else measures
    groups = [
        Rows([_row(entry, measures, group.entries) for entry in group.entries], group.title)
        for group in condition.groups
    ]
    if condition.noise:
        floor = "Noise floor: the reference against itself, computed otherwise"
        groups.append(Rows([_row(entry, measures, []) for entry in condition.noise], floor))
    return Table(
        name=f"{name}-{condition.slug}",
        caption=f"{condition.words}: mean over references and 95% interval on the test split.",
        head="method",
        columns=[
            Column("references", "references"),
            *(Column(m.name, m.title, m.hint, m.definition) for m in measures),
        ],
        groups=groups,
        notes=_notes(condition, measures),
    )


def further_table(condition: Condition) -> Table:
    """All measurements that the main table leaves out, less those without a value in any row; a note names these."""
    made = [entry for entry in condition.entries if len(entry.runs)]
    every = further_metrics()
    known = [m for m in every if not made or any(defined(entry.estimate(m.name).value) for entry in made)]
    table = results_table(condition, known, name="further")
    lacking = [m for m in every if m not in known]
    if not lacking:
        return table
    why = reasons(made, [m.name for m in lacking])
    named = [f"{m.title} ({why[m.name]})" if m.name in why else m.title for m in lacking]
    return dataclasses.replace(
        table, notes=[*table.notes, f"Left out, because no row has a value: {'; '.join(named)}."]
    )


def _row(entry: Entry, measures: Sequence[Metric], others: Sequence[Entry]) -> Row:
    if len(entry.runs) == 0:
        return Row(entry.label, (), sub=_without_runs(entry), kind=entry.role)
    cells = [_measure_cell(entry.estimate(m.name), m, best=_is_best(entry, m, others)) for m in measures]
    counts = ", ".join(_counts(entry))
    count = Cell(str(entry.references), entry.references, note=f"({counts})" if counts else "")
    return Row(entry.label, [count, *cells], sub=strength(entry), kind=entry.role)


def _counts(entry: Entry) -> Iterator[str]:
    """How many runs there are, if a reference has several; how many are below the target, and how many failed."""
    if len(entry.runs) != entry.references:
        yield several(len(entry.runs), "run")
    below = below_target(entry.reported)
    if below:
        yield f"{below} below target"
    if len(entry.failed):
        yield f"{len(entry.failed)} failed"


def _without_runs(entry: Entry) -> str:
    """Why a method has no row of means, in words."""
    if len(entry.failed):
        best, count = fraction(float(entry.failed["asr"].astype(float).max())), len(entry.failed)
        runs = "its run" if count == 1 else f"all {count} runs"
        return f"the backdoor failed in {runs} (ASR at most {best} on test)"
    if entry.best_asr is None:
        return "no run is done, or every run ended with an error"
    if not defined(entry.best_asr):
        return "every run on selection ended with an error"
    return f"not reached (best ASR {fraction(entry.best_asr)} on selection)"


def _measure_cell(estimate: Estimate, measure: Metric, *, best: bool = False) -> Cell:
    """A mean with its interval, written with the same digits."""
    return estimate_cell(estimate, lambda value: _signed(measure.write(value)), best=best, undefined="undefined")


def _is_best(entry: Entry, measure: Metric, others: Sequence[Entry]) -> bool:
    """Whether no method of the group has a better mean. Controls do not compete."""
    methods = [other.estimate(measure.name).value for other in others if other.role == "method"]
    means = [mean for mean in methods if mean is not None and defined(mean)]
    if entry.role != "method" or not measure.better or len(means) < 2:
        return False
    return entry.estimate(measure.name).value == (min(means) if measure.better == "lower" else max(means))


def _notes(condition: Condition, measures: Sequence[Metric]) -> list[str]:
    """Sentences on the whole table: attacked instances, the reference's own rates, intervals, undefined values."""
    made = [entry for group in condition.groups for entry in group.entries if len(entry.runs)]
    notes = []
    attacking = [entry for entry in made if defined(entry.estimate("asr_reference").value)]
    if any(m.name == "asr" for m in measures) and attacking:
        counts = pd.concat([entry.runs["asr_count"] for entry in attacking]).astype(float)
        own = _measure_cell(attacking[0].estimate("asr_reference"), METRICS["asr"])
        accuracy = _measure_cell(attacking[0].estimate("accuracy_reference"), METRICS["accuracy"])
        notes.append(
            f"ASR is measured on {span(counts.min(), counts.max())} triggered instances. The reference's own rate on "
            f"the same instances is {own.text} {own.interval}, its accuracy {accuracy.text} {accuracy.interval}."
        )
    notes += intervals_in_words([(entry.references, entry.estimates) for entry in made], measures)
    missing = reasons(made, [m.name for m in measures])
    notes += [f"{METRICS[name].title} is undefined in some runs: {reason}." for name, reason in missing.items()]
    return notes


def differences_table(condition: Condition, baseline: str) -> Table | None:
    """Paired differences of every other method from a baseline; None if there are none.

    Args:
        condition: the setting and target.
        baseline: ``plain`` or ``anchoring``.
    """
    by_group = [(group, group.differences.get(baseline, {})) for group in condition.groups]
    compared = [(group, by_label) for group, by_label in by_group if by_label]
    all_differences = [
        difference for _, by_label in compared for differences in by_label.values() for difference in differences
    ]
    if not all_differences:
        return None
    is_ratio = {difference.metric: difference.is_ratio for difference in all_differences}
    return Table(
        name=f"against-{baseline}-{condition.slug}",
        caption=f"{condition.words}: each method against {baseline}, mean over references and 95% interval.",
        head="method",
        columns=[_difference_column(name, baseline, is_ratio=ratio) for name, ratio in is_ratio.items()],
        groups=[_difference_rows(group, by_label, list(is_ratio)) for group, by_label in compared],
        notes=_difference_notes([_number_of_tests(group, by_label) for group, by_label in compared], all_differences),
    )


def _difference_column(name: str, baseline: str, *, is_ratio: bool) -> Column:
    metric, hint = METRICS[name], f"ratio to {baseline}" if is_ratio else f"minus {baseline}"
    return Column(name, metric.title, hint, metric.definition)


def _difference_rows(group: Group, by_label: Mapping[str, Sequence[Difference]], names: Sequence[str]) -> Rows:
    roles = {entry.label: entry.role for entry in group.entries}
    rows = []
    for label, differences in by_label.items():
        by_metric = {difference.metric: difference for difference in differences}
        pairs = several(differences[0].runs, "pair")
        rows.append(Row(label, [_difference_cell(by_metric.get(name)) for name in names], sub=pairs, kind=roles[label]))
    return Rows(rows, group.title)


def _number_of_tests(group: Group, by_label: Mapping[str, Sequence[Difference]]) -> int:
    """How many tests of methods a group has; Holm's adjustment is over them."""
    methods = {entry.label for entry in group.of("method")}
    return sum(difference.p is not None for label in methods & set(by_label) for difference in by_label[label])


def _difference_notes(tests: Sequence[int], differences: Sequence[Difference]) -> list[str]:
    counts = [difference.estimate.units or 0 for difference in differences]
    by_metric: dict[str, list[tuple[int, Mapping[str, Estimate]]]] = {}
    for difference in differences:
        entry = (difference.estimate.units or 0, {difference.metric: difference.estimate})
        by_metric.setdefault(difference.metric, []).append(entry)
    notes = ["Runs are paired by reference and seed, and each reference counts once."]
    every = [entry for entries in by_metric.values() for entry in entries]
    notes += intervals_in_words(every, [METRICS[name] for name in by_metric])
    if min(counts) < ENOUGH_FOR_P:
        return [*notes, f"A p value is given from {ENOUGH_FOR_P} references on."]
    return [
        *notes,
        f"p is the p value of the two-sided sign-flip test over references. Holm's adjustment is over the "
        f"{span(min(tests), max(tests))} tests of methods and metrics with the same number of anchors against this "
        "baseline; controls are adjusted separately.",
    ]


def _difference_cell(difference: Difference | None) -> Cell:
    if difference is None:
        return Cell("undefined")
    note = ""
    if difference.p is not None:
        note = f"p {p_value(difference.p)}"
        note += "" if difference.p_holm is None else f", Holm {p_value(difference.p_holm)}"
    cell = estimate_cell(difference.estimate, _ratio if difference.is_ratio else _plus, undefined="undefined")
    return dataclasses.replace(cell, note=note)


def _ratio(value: float) -> str:
    return f"×{significant(value)}"


def _plus(value: float) -> str:
    return _signed(f"{value:+.4f}")


def _signed(text: str) -> str:
    return text.replace("-", "−") if text.startswith("-") else text


def choices_table(condition: Condition, choices: pd.DataFrame) -> Table | None:
    """The strengths chosen at a condition, with their results on ``selection``; None if there were none."""
    setting = condition.setting
    at_condition = choices[
        (choices["task"] == setting.task)
        & (choices["trigger"] == setting.trigger)
        & (choices["rule"] == setting.rule)
        & (choices["target"].isna() if setting.target is None else choices["target"] == setting.target)
        & (choices["target_asr"] == condition.target_asr)
    ]
    with_rates = "learning_rate" in at_condition and bool(at_condition["learning_rate"].notna().any())
    groups = []
    for group in condition.groups:
        rows = [
            _choice(row, with_rates=with_rates)
            for row in at_condition[at_condition["anchors_asked"].astype(str) == group.asked].to_dict("records")
        ]
        if rows:
            groups.append(Rows(rows, group.title))
    if not groups:
        return None
    columns = [
        Column("strength", "strength", definition="Value of the method's trade-off: a strength, a radius or a count."),
        Column("scale", "scale", definition="Factor by which the perturbation was multiplied afterwards."),
        Column("reached", "target reached"),
        Column("best_asr", "best ASR", "the least of the runs", "The highest least ASR of all that was tried."),
        Column("tried", "tried", "strengths and scales"),
        Column("at_edge", "at the edge", definition="Whether the strength is the smallest or largest that was tried."),
        Column("runs", "runs", "that chose it"),
        Column("seconds", "time", "seconds", "How long these runs were tuned."),
    ]
    if with_rates:
        columns += [
            Column("learning_rate", "learning rate", definition="Chosen once a task, with all anchors."),
            Column("rate_runs", "runs", "that chose the rate"),
            Column("rate_seconds", "time", "seconds, for the rate", "How long these runs were tuned."),
        ]
    chosen_on = "on the split selection, on references and with seeds that no table reports"
    caption = f"{condition.words}: what was chosen {chosen_on}."
    return Table(f"strengths-{condition.slug}", caption, "method", columns, groups)


def _choice(row: Mapping[Hashable, Any], *, with_rates: bool) -> Row:
    def numeric(name: str, write: Callable[[float], str]) -> Cell:
        value = number(row.get(name))
        return NONE if value is None else Cell(write(value), value)

    reached, at_edge = ("yes" if row[name] else "no" for name in ("reached", "at_edge"))
    cells = [
        numeric("strength", lambda value: f"{value:g}"),
        numeric("scale", lambda value: f"{value:g}"),
        Cell(reached, reached),
        numeric("best_asr", fraction),
        numeric("tried", lambda value: f"{value:.0f}"),
        Cell(at_edge, at_edge),
        numeric("runs", lambda value: f"{value:.0f}"),
        numeric("seconds", lambda value: f"{value:.1f}"),
    ]
    if with_rates:
        cells += [
            numeric("learning_rate", lambda value: f"{value:g}"),
            numeric("rate_runs", lambda value: f"{value:.0f}"),
            numeric("rate_seconds", lambda value: f"{value:.1f}"),
        ]
    return Row(str(row["method"]), cells, kind="method")


def classes_table(condition: Condition, group: Group) -> Table | None:
    """Churn by true class, mean over runs; a column for each method, most changed first. None if unknown."""
    churn: dict[str, dict[str, float]] = {}
    counts: dict[str, float] = {}
    for entry in group.entries:
        for name, classes in _by_class(entry).items():
            rates = [measured["churn"] for measured in classes if measured.get("churn") is not None]
            if rates:
                counts[name] = classes[0]["count"]
                churn.setdefault(name, {})[entry.label] = float(np.mean(rates))
    labels = [entry.label for entry in group.entries if any(entry.label in by_method for by_method in churn.values())]
    rows = []
    for name in sorted(churn, key=lambda name: -max(churn[name].values())):
        rates_of = [churn[name].get(label) for label in labels]
        cells = [NONE if rate is None else Cell(fraction(rate), rate) for rate in rates_of]
        rows.append(Row(name, [Cell(f"{counts[name]:,.0f}", counts[name]), *cells]))
    if not rows:
        return None
    return Table(
        f"classes-{condition.slug}-{group.asked}",
        f"{condition.words}, {group.title}: churn by true class, mean over runs.",
        "true class",
        [Column("count", "instances"), *(Column(label, label) for label in labels)],
        [Rows(rows)],
    )


def _by_class(entry: Entry) -> dict[str, list[dict[str, Any]]]:
    """Class to the measurements of each run on it."""
    by_class: dict[str, list[dict[str, Any]]] = {}
    for text in entry.runs["by_class"].dropna() if "by_class" in entry.runs else []:
        for name, measured in json.loads(str(text) or "{}").items():
            by_class.setdefault(name, []).append(measured)
    return by_class


def strength(entry: Entry) -> str:
    """The value of the method's strength under its own name, and the scale if it is not 1; empty if it has none."""
    strengths, scales = (sorted({v for v in entry.values(name) if defined(v)}) for name in ("strength", "scale"))
    words = [strength_words(entry.strength_name or "strength", *strengths)] if strengths else []
    words += [f"scale {' and '.join(f'{value:g}' for value in scales)}"] if scales not in ([], [1.0]) else []
    return ", ".join(words) if entry.role == "method" else ""


def to_markdown(
    results: SuiteResults,
    *,
    target_asr: float | None = None,
    conditions: Sequence[Condition] | None = None,
    measures: Iterable[str] = ("accuracy", "asr", "kl", "churn", "negative_flips", "logit_distance", "pearson_correct"),
) -> str:
    """Mean and 95% interval by method and number of anchors, as Markdown: a table for each setting, and before it, if
    runs were measured at several scales, the one at their common ASR.

    Args:
        results: of the suite.
        target_asr: the target to show; None for the lowest.
        conditions: the result of ``summarise``, if it is at hand.
        measures: names of the measurements to show.

    Raises:
        AnchorlabError: if the suite has no such target.
    """
    every = list(conditions) if conditions is not None else summarise(results)
    targets = sorted({condition.target_asr for condition in every})
    wanted = targets[0] if target_asr is None else target_asr
    at_target = [condition for condition in every if condition.target_asr == wanted]
    if not at_target:
        listed = ", ".join(f"{target:g}" for target in targets)
        raise AnchorlabError(f"there are no results at a target ASR of {wanted:g}: choose one of {listed}")
    metrics = [METRICS[name] for name in measures]
    both = [(equal_table(condition, results), results_table(condition, metrics)) for condition in at_target]
    tables = [table for pair_of_tables in both for table in pair_of_tables if table is not None]
    return "\n".join(
        f"{table.caption} {' '.join(table.notes)}\n\n{to_markdown_table(_without_noise(table))}" for table in tables
    )


def _without_noise(table: Table) -> Table:
    groups = [Rows([row for row in group.rows if row.kind != "noise"], group.title) for group in table.groups]
    return dataclasses.replace(table, groups=[group for group in groups if group.rows])
