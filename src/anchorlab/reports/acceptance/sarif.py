"""The checks as SARIF 2.1.0, which code scanning reads.

Only what is broken is a result, because viewers make an alert of every result. All checks, the broken ones too, stand
in the run's properties. Cautions, and refusals of a command, are notifications of its invocation.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

from anchorlab.errors import printable
from anchorlab.reports.acceptance.record import Acceptance, Check

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

#: What helps with a bound, and with the verdict of an audit.
_HELP = {
    True: "The bound stands in --fail-if of the command.",
    False: "The page of the audit says what it rests on. It decides the exit code with --fail-if unusual alone.",
}

#: Files of a model folder that an alert can point at, the most telling first.
_TELLING = ("anchorlab.json", "config.json")


def sarif_text(acceptance: Acceptance) -> str:
    """The log of one run, as JSON."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(acceptance)]}
    return json.dumps(log, indent=2, allow_nan=False) + "\n"


def _run(acceptance: Acceptance) -> dict[str, Any]:
    rules = list({printable(check.rule): _rule(check) for check in acceptance.checks if check.rule != "run"}.values())
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    where = _location(acceptance.candidate)
    failed = [check for check in acceptance.checks if check.outcome == "failed"]
    return {
        "tool": {"driver": {"name": "anchorlab", "version": acceptance.version, "rules": rules}},
        "automationDetails": {"id": f"anchorlab/{acceptance.command}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(acceptance)],
        "results": [_result(check, numbers[printable(check.rule)], where) for check in failed],
        "properties": {
            "reference": printable(acceptance.reference),
            "candidate": printable(acceptance.candidate),
            "checks": [_entry(check) for check in acceptance.checks],
            "sentences": [printable(sentence) for sentence in acceptance.sentences],
            "files": [printable(file) for file in acceptance.files],
        },
    }


def _rule(check: Check) -> dict[str, Any]:
    what = printable(check.definition or check.rule)
    return {
        "id": printable(check.rule),
        "shortDescription": {"text": what},
        "fullDescription": {"text": what},
        "help": {"text": f"{_HELP[check.is_bound]} See docs/acceptance.md of anchorlab."},
        "defaultConfiguration": {"level": "error"},
    }


def _result(check: Check, number: int, where: dict[str, Any]) -> dict[str, Any]:
    return {
        "ruleId": printable(check.rule),
        "ruleIndex": number,
        "kind": "fail",
        "level": "error",
        "message": {"text": printable(check.sentence)},
        "locations": [where],
        "partialFingerprints": {"check/v1": printable(check.rule)},
        "properties": _entry(check),
    }


def _entry(check: Check) -> dict[str, Any]:
    return {
        "name": printable(check.name),
        "outcome": check.outcome,
        "sentence": printable(check.sentence),
        "value": _finite(check.value),
        "interval": None if check.interval is None else [_finite(end) for end in check.interval],
    }


def _finite(value: float | None) -> float | None:
    """The number, or None where JSON has none for it."""
    return value if value is not None and math.isfinite(value) else None


def _invocation(acceptance: Acceptance) -> dict[str, Any]:
    errors = [check for check in acceptance.checks if check.outcome == "error"]
    notes = [
        *({"level": "error", "message": {"text": printable(check.sentence)}} for check in errors),
        *({"level": "warning", "message": {"text": printable(caution)}} for caution in acceptance.cautions),
    ]
    return {
        "executionSuccessful": not errors,
        "exitCode": acceptance.code,
        "toolExecutionNotifications": notes,
    }


def _location(candidate: Path) -> dict[str, Any]:
    file = next((candidate / name for name in _TELLING if _is_file(candidate / name)), candidate)
    return {"physicalLocation": {"artifactLocation": {"uri": uri_of(file)}, "region": {"startLine": 1}}}


def _is_file(path: Path) -> bool:
    """Whether a file lies there; no path of a refused command is too odd to ask."""
    try:
        return path.is_file()
    except OSError:
        return False


def uri_of(path: Path) -> str:
    """The URI of a file: relative to the current folder where it lies below it, as code scanning wants it.

    Args:
        path: relative or absolute.
    """
    absolute = path.absolute()
    if ".." not in path.parts and absolute.is_relative_to(Path.cwd()):
        return _quoted(absolute.relative_to(Path.cwd()))
    return f"file://{_quoted(absolute)}"


def _quoted(path: Path) -> str:
    return quote(path.as_posix(), errors="surrogatepass")
