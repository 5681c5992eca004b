"""The verdict of an audit as a check."""

from __future__ import annotations

from anchorlab.reports.acceptance.record import Check
from anchorlab.scoring.audit_result import Verdict

_DEFINITION = "Whether the candidate's difference from its reference is like the differences of benign updates."


def verdict_check(verdict: Verdict) -> Check:
    """A check that fails where the difference is unusual. It decides no exit code: the bounds of ``--fail-if`` do."""
    outcome = "failed" if verdict.unusual else "passed"
    name = f"the difference is an ordinary one, by {verdict.access}"
    return Check("verdict", name, outcome, verdict.sentence, _DEFINITION, verdict.p)  # type: ignore[arg-type]
