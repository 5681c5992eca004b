"""The repairs of a suite as tables: means over references with intervals, by method."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.repairs import REPAIRS
from anchorlab.repairs.oracles import is_oracle
from anchorlab.reports.suite.interval_words import of_references
from anchorlab.reports.suite.sentences import listed
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table, estimate_cell
from anchorlab.suites.results import SuiteResults

#: Measurements that judge a repair, in the order of tables, with the heading of each.
_JUDGED = {"asr": "ASR", "accuracy": "accuracy", "kl": "KL", "churn": "churn"}

#: A repair that leaves less than this ASR removes the backdoor.
REMOVED = 0.2

#: A number in a note of a repair.
_NUMBER = r"\d[\d,]*(?:\.\d+)?(?<!,)"

#: The name of the clean reference among methods.
_REFERENCE = "reference"


def split_into_parts(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Parts of repairs or detections, with titles; in a part each method has one run for each reference and seed.

    A suite with several numbers of anchors or target ASRs has a part for each, and so has a trigger with several label
    rules or targets. Controls and references serve several parts and are in each of them.

    Args:
        frame: the repairs or detections of a suite.
        by: further columns whose values make parts: ``task`` and ``trigger``, and ``defender`` if it matters.
    """
    injected = frame[frame["role"] != _REFERENCE]
    sizes, targets = (injected[name].nunique() for name in ("anchors_asked", "target_asr"))
    for words, rows in _attacks(frame, by):
        if "defender" in by:
            words[by.index("defender")] += " of the defender's examples"
        role = "method" if (rows["role"] == "method").any() else "control"
        of_role = rows.loc[rows["role"] == role, ["anchors_asked", "target_asr"]]
        pairs = list(of_role.drop_duplicates().itertuples(index=False))
        for size, target in pairs:
            serves = rows["anchors_asked"].isin([size, ""]) & (
                rows["target_asr"].isna() | (rows["target_asr"] == target)
            )
            more = [f"{size} anchors"] * (sizes > 1)
            if targets > 1 and role == "method":
                more.append(f"target ASR {target:g}")
            yield ", ".join([*words, *more]), rows[serves]
        if not pairs:
            yield ", ".join(words), rows


def _attacks(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """Parts by columns and by the attack, with words for them; for the attack only where a trigger has several."""
    for names, rows in frame.groupby(by, sort=False):
        attacks = [part for _, part in rows.groupby(["rule", "target"], sort=False, dropna=False)]
        for part in attacks:
            yield [*map(str, names), *(_attack_words(part.iloc[0]) if len(attacks) > 1 else [])], part


def _attack_words(row: pd.Series[Any]) -> list[str]:
    rule, target = row["rule"], row["target"]
    if target is None or target != target:
        return [str(rule)]
    return [str(rule), f"target {target:g}" if isinstance(target, float) else f"target {target}"]


def repairs_tables(results: SuiteResults) -> list[Table]:
    """A table for each measurement: a row for each repair, a column for each method, the clean reference last."""
    frame = results.repairs
    if not len(frame):
        return []
    return [_repairs_table(frame, name) for name in _JUDGED]


def _repairs_table(frame: pd.DataFrame, name: str) -> Table:
    methods = sorted(dict.fromkeys(frame["method"]), key=lambda method: method == _REFERENCE)
    groups = []
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]):
        # The rows of every repair repeat the model before it; it counts once.
        before = part.drop_duplicates(["method", "weights_sha256"])
        first = Row("no repair", [mean_cell(before[before["method"] == m], f"{name}_before", name) for m in methods])
        oracle = by_oracle(part)
        groups.append(Rows([first, *_rows(part[~oracle], methods, name)], title))
        if oracle.any():
            apart = f"{title}; depth chosen by test data and trigger, as no defender can"
            groups.append(Rows(_rows(part[oracle], methods, name), apart))
    counts = frame.groupby(["defence", "method", "trigger", "task"])["reference_seed"].nunique()
    meaning = {
        "asr": "the share of the attack that is left",
        "accuracy": "on clean test instances",
        "kl": "of the repaired model from the clean reference",
        "churn": "predictions that differ from the clean reference's",
    }[name]
    title = _JUDGED[name]
    return Table(
        name=f"repairs-{name}",
        caption=f"{title[0].upper()}{title[1:]} after each repair: {meaning}; mean over references and 95% interval.",
        head="repair",
        columns=[Column(method, "clean reference" if method == _REFERENCE else method) for method in methods],
        groups=groups,
        notes=[
            of_references(counts.min(), counts.max(), groups),
            "The column of the clean reference shows what a repair does to a model without a backdoor.",
            *trusting(frame),
            *(_remarks(frame) if name == "asr" else ()),  # once, because all tables are of the same runs
        ],
    )


def _remarks(frame: pd.DataFrame) -> Iterator[str]:
    """What repairs had to say, a sentence each, with the number of runs; notes that differ in numbers alone are one."""
    said = frame[frame["note"].notna()].drop_duplicates("identity")
    alike = said["note"].astype(str).str.replace(_NUMBER, "", regex=True)
    for (defence, _), notes in said["note"].groupby([said["defence"], alike], sort=False):
        yield f"{defence}, in {several(len(notes), 'run')}: {_as_one([str(note) for note in notes])}."


def trusting(frame: pd.DataFrame) -> Iterator[str]:
    """Which repairs were given more than the defender's examples, a sentence, if any was."""
    names = frame.drop_duplicates("defence")[["defence", "defence_name"]].itertuples(index=False)
    given = [str(label) for label, name in names if name in REPAIRS and REPAIRS[name].needs_trusted]
    if given:
        yield (
            f"{listed(given)} {'was' if len(given) == 1 else 'were'} also given a trusted earlier version: the clean "
            "reference itself, which few defenders have so exactly."
        )


def _as_one(notes: Sequence[str]) -> str:
    """Notes that differ in numbers alone as one, with the least and the greatest of each number that differs."""
    numbers = zip(*(re.findall(_NUMBER, note) for note in notes), strict=True)
    ends = [(min(each, key=_value), max(each, key=_value)) for each in numbers]
    written = iter([low if low == high else f"{low} to {high}" for low, high in ends])
    return re.sub(_NUMBER, lambda _: next(written), notes[0])


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _rows(part: pd.DataFrame, methods: list[str], name: str) -> list[Row]:
    return [
        Row(str(defence), [mean_cell(runs[runs["method"] == method], name, name) for method in methods])
        for defence, runs in part.groupby("defence", sort=False)
    ]


def by_oracle(repairs: pd.DataFrame) -> pd.Series:
    """Which repairs are oracles, bool; tables and figures show them separately."""
    return repairs["defence_name"].astype(str).map(is_oracle).astype(bool)


def mean_cell(rows: pd.DataFrame, column: str, measure: str) -> Cell:
    """The mean over references of a column, in which each run counts once, written as a measure of ``METRICS`` is.

    A model that was not changed differs from itself by 0 without doubt, so that this 0 has no interval.
    """
    each = rows.drop_duplicates("identity").dropna(subset=column) if column in rows else rows[:0]
    if not len(each):
        return NONE
    if measure in ("kl", "churn") and (each[column] == 0).all() and (each["role"] == _REFERENCE).all():
        return Cell(METRICS[measure].write(0.0), 0.0)
    return cell_of(METRICS[measure].over_references(each[column], each["reference_seed"]), measure)


def mean_by_reference(runs: pd.DataFrame, name: str) -> float:
    """The mean of a rate over references, each of which counts once, as in the tables."""
    return float(runs[name].astype(float).groupby(runs["reference_seed"]).mean().mean())


def cell_of(estimate: Estimate, measure: str) -> Cell:
    """An estimate as a cell, written as a measure of ``METRICS`` is, with its interval."""
    return estimate_cell(estimate, METRICS[measure].write)
