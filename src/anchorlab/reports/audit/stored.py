"""Reads the record of an audit back from its folder, in today's form or in the former one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json
from anchorlab.reports.audit.record import FORMAT, AuditRecord
from anchorlab.reports.foreign import refuse_foreign
from anchorlab.scoring.audit_ranks import joint_p, lower_p, two_sided_p, upper_p
from anchorlab.scoring.audit_result import NO_PROOF
from anchorlab.settings import invalid

#: The file that tells a folder of an audit of a classifier, and that of an audit of a language model.
RECORD, OF_LANGUAGE_MODELS = "audit.json", "token-audit.json"

_REMEDY = "run anchorlab audit again with --out"


def read_audit(folder: Path) -> AuditRecord:
    """The record of the audit in a folder.

    Audits that were written before there were two-sided tests are read as such: their values are the same, and their
    p-values are computed again.

    Raises:
        AnchorlabError: if the file is damaged, or of a newer version.
    """
    path = folder / RECORD
    values = read_json(path, _REMEDY)
    form = values.get("format", 1)
    if form not in (1, FORMAT):
        raise AnchorlabError(f"{path} is of a version that is not known here (format {form!r}): update anchorlab")
    try:
        return AuditRecord.model_validate(_two_sided(values, folder.resolve().name) if form == 1 else values)
    except ValidationError as error:
        raise AnchorlabError(f"{invalid(f'the audit {path}', error)}; {_REMEDY}") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise AnchorlabError(f"{path} is damaged ({error!r}): {_REMEDY}") from error


def check_audit_folder(folder: Path) -> None:
    """Refuses a folder whose files no audit of a classifier wrote, before they are replaced.

    Raises:
        AnchorlabError: if its record is none that is known here, it holds a page without a record, or an audit of a
            language model.
    """
    if (folder / OF_LANGUAGE_MODELS).exists():
        raise AnchorlabError(
            f"{folder} holds an audit of a language model, which 'anchorlab audit --texts' wrote, and this one is of a "
            "classifier: choose another folder"
        )
    refuse_foreign(folder / RECORD, "anchorlab audit", lambda: read_audit(folder), ["index.html"])


def _two_sided(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The record of a one-sided audit with two-sided p-values, judged by its richest access."""
    accesses = []
    for former in values["accesses"]:
        value, null = former["statistic"][0], former["null"]
        p = two_sided_p(value, null)
        accesses.append(
            {
                **former,
                "null_settings": ["given"] * len(null),
                "p": p,
                "p_more": upper_p(value, null),
                "p_less": lower_p(value, null),
                "p_by_setting": {"given": p},
            }
        )
    last = accesses[-1]
    table = np.array([[access["statistic"][0], *access["null"]] for access in accesses]).T
    direction = "more" if last["p_more"] <= last["p_less"] else "less"
    level = max(0.05, min(1.0, 2 / (1 + len(last["null"]))))
    unusual = last["p"] <= level
    words = f"{'Unusual' if unusual else 'Not unusual'}: p = {last['p']:.3g} from {last['access']}, two-sided"
    verdict = {
        "value": f"unusual: {direction}" if unusual else "not unusual",
        "unusual": unusual,
        "direction": direction if unusual else None,
        "access": last["access"],
        "p": last["p"],
        "level": level,
        "sentence": f"{words}, at the level of {level:.3g}.",
    }
    return {
        **values,
        "format": FORMAT,
        "version": "0.1",
        "reference": {"name": "the reference"},
        "candidate": {"name": name},
        "verdict": verdict,
        "update_settings": [{"name": "given", "count": values["updates"]}],
        "accesses": accesses,
        "joint": {"p": joint_p(table), "access": last["access"], "direction": direction},
        "sentences": [verdict["sentence"], NO_PROOF],
        "cautions": [
            "This audit was written before tests were two-sided. Its values are unchanged, and its power curve is "
            "still one-sided."
        ],
    }
