"""The end of ``anchorlab audit``: it runs the detectors that apply, and writes the record and the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from anchorlab.cli.options import defender_count

if TYPE_CHECKING:
    from torch import nn

    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.data import Task
    from anchorlab.reports.audit.record import AuditRecord
    from anchorlab.scoring.audit_result import Audit


def write_page(
    result: Audit,
    models: tuple[Artifact | nn.Module, Artifact | nn.Module] | None,
    names: tuple[str, str],
    *,
    task: Task | None,
    split: str,
    detectors: bool,
    defender_data: str | None,
    seed: int,
    out: Path,
) -> AuditRecord:
    """Writes the record and the page of an audit into its folder.

    The page is written before the detectors run, and again after them, because they may take long.

    Args:
        result: the audit.
        models: the reference and the candidate; None for stored answers.
        names: of the reference and the candidate.
        task: the data; the reference's manifest's if None.
        split: the split of the queries.
        detectors: whether the detectors that apply are run.
        defender_data: number of clean examples that they have, or all; None for the usual number, or all of fewer.
        seed: of their draws.
        out: the folder.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    from anchorlab.artifacts.resolve import common_task
    from anchorlab.reports.audit.write import audit_record, audited_model, write_audit
    from anchorlab.scoring.audit_detectors import NotTested, run_detectors, untestable

    answers = result.answers
    logits_there = any(access.access == "logits" for access in result.accesses)
    untested = list(
        untestable(
            stored=models is None,
            labels_alone=answers.reference is None,
            probabilities_alone=answers.reference is not None and not logits_there,
        )
    )
    data = None if models is None else common_task(task, models[0], [])
    both = (None, None) if models is None else models
    record = audit_record(
        result,
        audited_model(names[0], both[0]),
        audited_model(names[1], both[1]),
        task=None if data is None else data.name,
        split=None if data is None else split,
        not_tested=[*untested, NotTested("detectors", "they were left out by --no-detectors")]
        if models is not None and not detectors
        else untested,
    )
    write_audit(record, out)
    if models is None or data is None or not detectors or answers.queries is None:
        return record
    found, failed = run_detectors(
        *models,
        task=data,
        queries=answers.queries,
        queries_from=split,
        defender_data=defender_count(defender_data, data),
        seed=seed,
    )
    record = audit_record(
        result,
        record.reference,
        record.candidate,
        task=record.task,
        split=record.split,
        detectors=found,
        not_tested=[*untested, *failed],
    )
    write_audit(record, out)
    return record
