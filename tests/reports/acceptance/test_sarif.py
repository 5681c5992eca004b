"""SARIF: a result a broken gate, all checks in the properties, and of a form stricter than the standard's schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from anchorlab.reports.acceptance.record import Acceptance, Check
from anchorlab.reports.acceptance.sarif import sarif_text, uri_of
from tests.hostile import HOSTILE
from tests.reports.acceptance.made_up import FAILED, RECORDS, acceptance


def thing(**properties: Any) -> dict[str, Any]:
    """The schema of an object that has these properties, all of them and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def things(schema: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": least}


WORDS = {"type": "string", "minLength": 1}
MESSAGE = thing(text=WORDS)
ENTRY = {"type": "object", "required": ["name", "outcome", "sentence", "value", "interval"]}
RULE = thing(
    id=WORDS,
    shortDescription=MESSAGE,
    fullDescription=MESSAGE,
    help=MESSAGE,
    defaultConfiguration=thing(level={"const": "error"}),
)
LOCATION = thing(
    physicalLocation=thing(
        artifactLocation=thing(uri={"type": "string", "pattern": r"^[A-Za-z0-9%._~:/+-]+$"}),
        region=thing(startLine={"const": 1}),
    )
)
RESULT = thing(
    ruleId=WORDS,
    ruleIndex={"type": "integer", "minimum": 0},
    kind={"const": "fail"},
    level={"const": "error"},
    message=MESSAGE,
    locations=things(LOCATION, 1),
    partialFingerprints={"type": "object", "additionalProperties": WORDS},
    properties=ENTRY,
)
NOTIFICATION = thing(level={"enum": ["error", "warning"]}, message=MESSAGE)
RUN = thing(
    tool=thing(driver=thing(name={"const": "anchorlab"}, version=WORDS, rules=things(RULE))),
    automationDetails=thing(id=WORDS),
    columnKind={"const": "unicodeCodePoints"},
    invocations=things(
        thing(
            executionSuccessful={"type": "boolean"},
            exitCode={"type": "integer"},
            toolExecutionNotifications=things(NOTIFICATION),
        ),
        1,
    ),
    results=things(RESULT),
    properties={"type": "object", "required": ["checks"], "properties": {"checks": things(ENTRY, 1)}},
)
#: The part of sarif-schema-2.1.0.json that we write. The whole schema took these logs too, when this was written.
LOG = thing(**{"$schema": WORDS, "version": {"const": "2.1.0"}, "runs": things(RUN, 1)})


def run_of(record: Acceptance) -> Any:
    log = json.loads(sarif_text(record))
    jsonschema.validate(log, LOG)
    (run,) = log["runs"]
    return run


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_every_record_is_of_the_form(record: Acceptance) -> None:
    run = run_of(record)
    assert [entry["name"] for entry in run["properties"]["checks"]] == [check.name for check in record.checks]
    assert len(run["results"]) == record.count("failed")
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] == (record.count("error") == 0)
    assert invocation["exitCode"] == record.code


def test_the_identity_of_an_alert_does_not_hang_on_the_bound() -> None:
    """An alert stays the same alert when somebody changes the number."""
    (first,) = run_of(acceptance(FAILED))["results"]
    (second,) = run_of(acceptance(Check("gate/kl.upper", "kl.upper > 0.05", "failed", "broken")))["results"]
    assert first["partialFingerprints"] == second["partialFingerprints"]
    assert first["ruleId"] == second["ruleId"]


def test_a_gate_that_is_given_twice_has_one_rule() -> None:
    run = run_of(acceptance(FAILED, FAILED))
    assert len(run["tool"]["driver"]["rules"]) == 1
    assert [result["ruleIndex"] for result in run["results"]] == [0, 0]


def test_cautions_and_refusals_are_notifications() -> None:
    assert [note["level"] for note in run_of(RECORDS["broken"])["invocations"][0]["toolExecutionNotifications"]] == [
        "warning"
    ]
    (note,) = run_of(RECORDS["refused"])["invocations"][0]["toolExecutionNotifications"]
    assert note == {"level": "error", "message": {"text": "there is no folder b: give one"}}


@pytest.mark.parametrize("text", [*HOSTILE, "\x00\x0b", "\ud800"])
def test_any_text_is_taken(text: str) -> None:
    record = acceptance(Check(f"gate/{text}", text, "failed", text, text), cautions=[text], candidate=Path("x" + text))
    sarif_text(record).encode()
    run_of(record)


def test_numbers_that_json_lacks_are_null() -> None:
    (result,) = run_of(acceptance(Check("g", "n", "failed", "s", "", float("inf"), (0.0, float("nan")))))["results"]
    assert (result["properties"]["value"], result["properties"]["interval"]) == (None, [0.0, None])


def test_an_alert_points_at_the_manifest_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "models" / "new one"
    model.mkdir(parents=True)

    def uri(candidate: Path) -> str:
        (result,) = run_of(acceptance(FAILED, candidate=candidate))["results"]
        return result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]

    assert uri(Path("models/new one")) == "models/new%20one"
    (model / "config.json").touch()
    assert uri(Path("models/new one")) == uri(model) == "models/new%20one/config.json"
    (model / "anchorlab.json").touch()
    assert uri(model) == "models/new%20one/anchorlab.json"
    assert uri_of(Path("../elsewhere")).startswith("file:///")


def test_the_help_of_a_rule_says_what_decides_the_exit_code() -> None:
    verdict = Check("verdict", "the difference is an ordinary one", "failed", "Unusual: p = 0.05.")
    driver = json.loads(sarif_text(acceptance(FAILED, verdict)))["runs"][0]["tool"]["driver"]
    bound, of_verdict = (rule["help"]["text"] for rule in driver["rules"])
    assert "The bound stands in --fail-if" in bound
    assert "--fail-if unusual alone" in of_verdict
