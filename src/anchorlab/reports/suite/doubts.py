"""What a suite did not reach, and what its numbers cannot mean, each with its likeliest cure: sentences."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from typing import Any

import pandas as pd

from anchorlab.consistency.cautions import chance_level, few_attacked, near_chance, trigger_alone
from anchorlab.reports.suite.accusations import lost_path_doubts
from anchorlab.reports.suite.paired import capitalised
from anchorlab.reports.suite.parts import Part, parts_of
from anchorlab.reports.suite.repairs import mean_by_reference
from anchorlab.reports.suite.sentences import listed
from anchorlab.reports.suite.strengths import strength_name, strength_words
from anchorlab.statistics.counted import several
from anchorlab.statistics.numbers import defined
from anchorlab.statistics.references import ENOUGH_REFERENCES
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.smoke import is_smoke_form
from anchorlab.suites.spec import Suite
from anchorlab.suites.success import TOLERANCE


def none_reached(results: SuiteResults) -> bool:
    """Whether strengths were chosen, and no method reached any target anywhere.

    A method with nothing to choose is not tried on ``selection``: it reached a target if a reported run did, up to
    ``TOLERANCE``, and while none is there nobody knows.
    """
    parts = [part for part in parts_of(results) if len(part.choices)]
    return bool(parts) and not any(_reached(part) for part in parts)


def _reached(part: Part) -> bool:
    reached = part.choices[part.choices["reached"].astype(bool)]
    chosen_by_trial = reached["tried"].fillna(0) > 0
    if chosen_by_trial.any():
        return True
    runs = [part.methods.get(str(label), part.runs.iloc[:0]) for label in reached["method"]]
    return any(len(of_label) == 0 or len(part.working(of_label)) > 0 for of_label in runs)


def doubts(results: SuiteResults) -> tuple[str, ...]:
    """What was not reached, what failed, and what the numbers cannot mean; the gravest first.

    Args:
        results: of the suite, finished or not.
    """
    parts = parts_of(results)
    sentences: list[str] = []
    for part in parts:
        missed = _not_reached(part, results)
        sentences += [part.say(sentence) for sentence in (*missed, *_below_target(part), *_of_the_trigger(part))]
    smoke = ("every cell of this smoke form is tiny, so that its figures mean nothing.",)
    first = smoke if is_smoke_form(results.title) else ()
    runs = (*_at_chance(results), *lost_path_doubts(results), *sentences)
    every = (*first, *runs, *_failed(results), *_pending(results), *_few_references(results))
    return tuple(capitalised(sentence) for sentence in every)


def _with_grids(selection: pd.DataFrame) -> set[str]:
    """The methods of which several strengths were tried."""
    if not len(selection):
        return set()
    tried = selection.groupby("method")["strength"].nunique()
    return {str(label) for label in tried[tried > 1].index}


def _not_reached(part: Part, results: SuiteResults) -> Iterator[str]:
    """Methods without a strength that reaches the target on ``selection``: how near they came, and the cure."""
    with_grids = _with_grids(results.selection)
    missed = part.missed.assign(at_edge=part.missed["at_edge"].astype(bool) & part.missed["method"].isin(with_grids))
    rows = missed.to_dict("records")
    if not rows:
        return
    every = len(rows) == len(part.choices) and len(rows) > 1
    names = listed(str(row["method"]) for row in rows)
    who = f"none of {len(rows)} methods reached" if every else f"{names} did not reach"
    best = listed(_best(row, results.suite) for row in rows)
    yield f"{who} an ASR of {part.target_asr:g} on selection; the best was {best}. {_cure(missed)}"


def _best(row: dict[Hashable, Any], suite: Suite) -> str:
    """The nearest that a method came, and where."""
    if not defined(row["best_asr"]):
        return f"{row['method']} none, because every run that would choose its strength failed"
    name = strength_name(suite, str(row["method"])) or "strength"
    strength = f" at {strength_words(name, row['strength'])}" if defined(row["strength"]) else ""
    edge = ", which is the edge of its grid" if row["at_edge"] and strength else ""
    return f"{row['method']} {row['best_asr']:.2f}{strength}{edge}"


def _cure(missed: pd.DataFrame) -> str:
    """What most likely helps: more training, or other strengths where the best one is the last that was tried."""
    at_edge = missed[missed["at_edge"] & missed["strength"].notna()]
    more = "raise steps or learning_rate under tuning"
    if not len(at_edge):
        return f"The likeliest cure: {more}."
    return (
        f"The likeliest cure: {more}; or let the grid of {listed(map(str, at_edge['method']))} go further beyond that "
        "strength."
    )


def _below_target(part: Part) -> Iterator[str]:
    """Methods of which a reported run lies under the target on ``test``, and those whose backdoor failed."""
    failed, below = {}, {}
    for label, runs in part.methods.items():
        asr = runs["asr"].astype(float)
        worst = (asr < part.target_asr - TOLERANCE) | asr.isna()
        if worst.any():
            failed[label] = (
                f"{label} in {int(worst.sum())} of {several(len(runs), 'run')} (ASR down to {asr.min():.2f})"
            )
        elif (mean := mean_by_reference(runs, "asr")) < part.target_asr:
            below[label] = f"{label} {mean:.3f}"
    if failed:
        yield (
            f"the backdoor failed on test, more than {100 * TOLERANCE:.0f} points under the target of "
            f"{part.target_asr:g}: {listed(failed.values())}. These runs are no evidence of consistency, and the "
            "findings leave them out; raise the number of selection seeds, or steps under tuning."
        )
    if below:
        yield (
            f"the mean ASR on test lies under the {part.target_asr:g} asked for: {listed(below.values())}. A lower ASR "
            "makes it easier to change little."
        )


def _of_the_trigger(part: Part) -> Iterator[str]:
    """That the trigger works on the reference too, or that few examples are attacked."""
    runs = pd.concat([part.runs.iloc[:0], *(part.working(runs) for runs in part.methods.values())])
    if not len(runs) or not {"asr_count", "asr_reference"} <= set(runs):
        return
    measured = runs[["asr", "asr_reference", "asr_count"]].dropna().astype(float)
    if not len(measured):
        return
    count = int(measured["asr_count"].min())
    highest = measured["asr_reference"].max()
    alone = trigger_alone(measured["asr"].mean(), highest, count) if count else None
    yield from filter(None, (alone, few_attacked(count)))


def _at_chance(results: SuiteResults) -> Iterator[str]:
    """References that have learnt nothing, the worst of each task."""
    runs = results.results
    if not len(runs) or not {"accuracy_reference", "by_class", "count"} <= set(runs):
        return
    for task, rows in runs.groupby("task", sort=False):
        once = rows.drop_duplicates("reference_seed").sort_values("accuracy_reference")
        sentences = [_chance_of(row, str(task)) for row in once.to_dict("records")]
        found = [sentence for sentence in sentences if sentence is not None]
        if found:
            others = f" So are {len(found) - 1} more of its {len(sentences)} references." if len(found) > 1 else ""
            yield found[0] + others


def _chance_of(row: dict[Hashable, Any], task: str) -> str | None:
    counts = [int(rates["count"]) for rates in json.loads(str(row["by_class"]) or "{}").values()]
    if not counts:
        return None
    return near_chance(
        float(row["accuracy_reference"]),
        int(row["count"]),
        chance_level(counts),
        who=f"reference {row['reference_seed']} of {task}",
        cure="raise epochs or learning_rate under training",
    )


def _failed(results: SuiteResults) -> Iterator[str]:
    if len(results.failed):
        first = results.failed.iloc[0]
        yield (
            f"{several(len(results.failed), 'run')} failed, the first: {first['what']}: {first['error']}. "
            "'--retry-failed' runs what failed again."
        )


def _pending(results: SuiteResults) -> Iterator[str]:
    if results.pending:
        verb = "is" if results.pending == 1 else "are"
        yield f"{several(results.pending, 'run')} {verb} not done yet: the numbers may change."


def _few_references(results: SuiteResults) -> Iterator[str]:
    """That one or two references say nothing of others."""
    runs = results.results
    if not len(runs) or "reference_seed" not in runs:
        return
    counts = runs.groupby("task")["reference_seed"].nunique()
    if counts.min() < ENOUGH_REFERENCES:
        yield (
            f"The runs of a task are on {several(int(counts.min()), 'reference')}: no interval between references can "
            f"be given, and other references may give another order. An interval takes three: list more under "
            "'references'."
        )
