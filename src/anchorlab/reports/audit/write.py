"""Writes an audit into a folder: its record, its page, the changed queries and the power curve as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.provenance import versions, weights_hash
from anchorlab.files import write_atomically, write_json
from anchorlab.reports.audit.answers import agreement_of, changed_queries
from anchorlab.reports.audit.page import has_power, write_audit_page
from anchorlab.reports.audit.power import draw_power_curves
from anchorlab.reports.audit.record import (
    AuditedModel,
    AuditRecord,
    DetectorRecord,
    QueryRecord,
    UntestedRecord,
)
from anchorlab.reports.audit.stored import RECORD
from anchorlab.scoring.audit_detectors import DetectorResult, NotTested
from anchorlab.scoring.audit_result import Audit
from anchorlab.statistics.comma_separated import frame_csv


def audited_model(name: str, model: Artifact | nn.Module | None) -> AuditedModel:
    """What a record says of a model; None stands for stored answers."""
    if model is None:
        return AuditedModel(name=name)
    if isinstance(model, Artifact):
        manifest = model.manifest
        return AuditedModel(
            name=name,
            kind=manifest.kind,
            architecture=manifest.architecture,
            weights_sha256=manifest.weights_sha256,
        )
    return AuditedModel(name=name, weights_sha256=weights_hash(model))


def audit_record(
    audit: Audit,
    reference: AuditedModel,
    candidate: AuditedModel,
    *,
    task: str | None = None,
    split: str | None = None,
    detectors: Sequence[DetectorResult] = (),
    not_tested: Sequence[NotTested] = (),
) -> AuditRecord:
    """The record of an audit, from which its page is made.

    Args:
        audit: of the candidate.
        reference: the trusted model.
        candidate: the model that was audited.
        task: name of the data; None for stored answers.
        split: the split of the queries; None for stored answers.
        detectors: what detectors found.
        not_tested: what was not tested, and why.
    """
    further: dict[str, Any] = {
        "version": versions()["anchorlab"],
        "reference": reference,
        "candidate": candidate,
        "task": task,
        "split": split,
        "agreement": agreement_of(audit.answers),
        "changed": changed_queries(audit.answers),
        "detectors": [DetectorRecord(**vars(result)) for result in detectors],
        "not_tested": [UntestedRecord(**vars(one)) for one in not_tested],
    }
    return AuditRecord.model_validate({**audit.to_dict(), **further})


def write_audit(record: AuditRecord, out: Path) -> Path:
    """Writes ``audit.json``, the page, the changed queries (``changed.csv``) and the power curve (CSV, PNG, SVG).

    There is no power curve where the updates are too few for a test of one access alone.

    Args:
        record: of the audit, see ``audit_record``.
        out: the folder.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    write_json(out / RECORD, record.model_dump(mode="json"))
    if record.changed:
        write_atomically(out / "changed.csv", frame_csv(changed_frame(record.changed)))
    if has_power(record):
        power = pd.concat(
            pd.DataFrame(access.power.model_dump()).assign(access=access.access, level=access.level)
            for access in record.accesses
        )
        write_atomically(out / "power.csv", frame_csv(power))
        draw_power_curves({record.candidate.name: power}, out / "power")
    return write_audit_page(record, out)


def changed_frame(changed: Sequence[QueryRecord]) -> pd.DataFrame:
    """The changed queries as a table, without pictures."""
    rows = [
        {
            **query.model_dump(include={"row", "label", "reference", "candidate", "moved", "text"}),
            **{
                f"{model}_probability": next(
                    (getattr(one, model) for one in query.probabilities if one.name == getattr(query, model)), None
                )
                for model in ("reference", "candidate")
            },
        }
        for query in changed
    ]
    return pd.DataFrame(rows)
