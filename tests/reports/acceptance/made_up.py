"""A record of each outcome, and strict readings of what is made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from anchorlab.reports.acceptance.record import Acceptance, Check, no_gate, refusal
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table

PASSED = Check(
    "gate/churn", "churn > 0.02", "passed", "the gate 'churn > 0.02' holds: churn is 0.01", "Share.", 0.01, (0.0, 0.02)
)
FAILED = Check(
    "gate/kl.upper",
    "kl.upper > 0.01",
    "failed",
    "the gate 'kl.upper > 0.01' is broken: kl.upper is 0.2",
    "Mean KL.",
    0.15,
    (0.1, 0.2),
)
UNJUDGED = Check("gate/asr", "asr > 0.1", "error", "the gate 'asr > 0.1' cannot be judged, because asr is undefined")
VERDICT = Check("verdict", "the difference is an ordinary one", "failed", "Unusual: it moved MORE.", "", 0.05)
ROWS = Rows([Row("kl", [Cell("1")])])
TABLE = Table("t", "b against a\n500 instances", "measurement", (Column("v", "value"),), (ROWS,))


def acceptance(*checks: Check, **others: object) -> Acceptance:
    """A record of these checks."""
    record = Acceptance("compare", Path("a"), Path("b"), "0.1.0", checks, seconds=1.5)
    return replace(record, **others)  # type: ignore[arg-type]


#: One of each kind that a command makes.
RECORDS = {
    "accepted": acceptance(PASSED, sentences=["The candidate answers alike."], table=TABLE),
    "broken": acceptance(PASSED, FAILED, cautions=["fewer than 50 attacked examples"], code=1, files=[Path("c.html")]),
    "unjudged": acceptance(UNJUDGED, PASSED, code=2),
    "refused": acceptance(refusal("compare", "there is no folder b: give one"), code=2),
    "without a gate": acceptance(no_gate("compare")),
    "a verdict without a gate": acceptance(VERDICT, command="audit"),
    "a verdict beside a gate": acceptance(VERDICT, PASSED, command="audit"),
}
