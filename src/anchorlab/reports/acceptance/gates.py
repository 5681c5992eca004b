"""Bounds on measurements as checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from anchorlab.consistency.gate import Bound, Measured
from anchorlab.errors import AnchorlabError
from anchorlab.metrics import METRICS
from anchorlab.reports.acceptance.record import Check

#: What an audit measures besides metrics.
_OF_AUDITS = {
    "unusual": "1 where the candidate's difference is unlike the benign updates' at the level of the test, else 0.",
    "p": "The p-value of the verdict.",
    "p_joint": "The p-value of all kinds of access at once.",
    **{f"p_{access}": f"The p-value from {access}." for access in ("labels", "probabilities", "logits")},
}


def gate_check(bound: Bound, measured: Measured, definitions: Mapping[str, str] | None = None) -> Check:
    """A bound, judged; one that cannot be judged is an error and says why.

    Args:
        bound: the bound.
        measured: what was measured.
        definitions: measurement to its definition; those of metrics and audits if None.
    """
    rule, name = f"gate/{bound.what}", f"fail if {bound}"
    if definitions is None:
        definitions = {name: METRICS[name].definition for name in METRICS} | _OF_AUDITS
    definition = definitions.get(bound.name, "")
    try:
        judgement = bound.judge(measured)
    except AnchorlabError as error:
        return Check(rule, name, "error", str(error), definition)
    outcome = "failed" if judgement.is_broken else "passed"
    value, interval = measured.values[bound.name], measured.intervals.get(bound.name)
    return Check(rule, name, outcome, judgement.sentence, definition, value, interval)  # type: ignore[arg-type]


def gate_checks(
    bounds: Iterable[Bound], measured: Measured, definitions: Mapping[str, str] | None = None
) -> list[Check]:
    """A check for each bound, in their order; see ``gate_check``."""
    return [gate_check(bound, measured, definitions) for bound in bounds]
