"""``anchorlab compare --samples``: two runs' per-sample logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab.cli.answer import Answer
from anchorlab.cli.gates import Judging
from anchorlab.errors import AnchorlabError
from anchorlab.statistics.counted import several

if TYPE_CHECKING:
    from anchorlab.consistency.gate import Bound
    from anchorlab.reports.acceptance.record import Check
    from anchorlab.samples.result import SampleComparison


def compare_logs(
    reference: Path,
    candidate: Path,
    metrics: Sequence[str] | None,
    judging: Judging,
    *,
    instances: Path | None,
    out: Path | None,
    every: bool,
    for_models: Mapping[str, Any],
) -> Answer:
    """Compares the logs, judges the bounds in each row, and writes what is wanted.

    Args:
        reference: the reference's logs.
        candidate: the candidate's logs.
        metrics: the metrics to compare; all if None.
        judging: the bounds, and what is found of them.
        instances: a parquet file for each document's scores.
        out: a folder for the page.
        every: whether all columns are shown.
        for_models: options that were given and are for models alone, by their flags.
    """
    from anchorlab.reports.samples import check_samples_folder, write_samples
    from anchorlab.samples.compare import compare_samples
    from anchorlab.samples.measurements import MEASUREMENTS
    from anchorlab.samples.table import samples_table
    from anchorlab.samples.words import words_of_samples

    for flag in for_models:
        raise AnchorlabError(f"--{flag} is for models, and logs are compared as they are: leave it out")
    if out is not None:
        check_samples_folder(out)
    bounds = judging.bounds(list(MEASUREMENTS))
    found = compare_samples(reference, candidate, metrics=metrics, save_instances=instances)
    if out is not None:
        write_samples(found, reference.resolve().name, candidate.resolve().name, out)
    judging.checks += [check for bound in bounds for check in _checks(bound, found)]
    judging.answer = Answer(
        sentences=(*_judged(bounds, judging.checks), *words_of_samples(found)),
        table=samples_table(found, f"{candidate} against {reference}", everything=every),
        cautions=tuple(found.cautions),
        wrote=out,
        values=found.to_dict(),
        code=judging.code,
    )
    return judging.answer


def _judged(bounds: Sequence[Bound], checks: Sequence[Check]) -> list[str]:
    """A sentence on each broken bound in each row, and one on each bound that holds everywhere."""
    broken = [check.sentence for check in checks if check.outcome == "failed"]
    holds = []
    for bound in bounds:
        own = [check for check in checks if check.name.startswith(f"fail if {bound} in ")]
        if all(check.outcome == "passed" for check in own):
            holds.append(f"the gate '{bound}' holds in {several(len(own), 'row')}")
    return broken + holds


def _checks(bound: Bound, found: SampleComparison) -> list[Check]:
    """A bound, judged in each row that has its measurement; in all rows where none has."""
    from anchorlab.consistency.gate import Measured
    from anchorlab.reports.acceptance.gates import gate_check
    from anchorlab.samples.measurements import MEASUREMENTS
    from anchorlab.samples.result import values_of

    rows = [row for row in found.rows if values_of(row)[bound.name] is not None] or found.rows
    checks = []
    for row in rows:
        intervals = {} if row.interval is None else {"difference": row.interval}
        why = dict.fromkeys(MEASUREMENTS, f"{row.name} has no scores, or not of this kind")
        check = gate_check(bound, Measured(values_of(row), intervals, why), MEASUREMENTS)
        sentence = check.sentence if check.outcome == "error" else f"{check.sentence} in {row.name}"
        checks.append(
            replace(check, rule=f"{check.rule}/{row.name}", name=f"{check.name} in {row.name}", sentence=sentence)
        )
    return checks
