"""Bounds become checks: held, broken, or not to be judged."""

from __future__ import annotations

from anchorlab.consistency.gate import Measured, parse_bound
from anchorlab.reports.acceptance.gates import gate_checks

MEASURED = Measured({"kl": 0.2, "churn": 0.01, "asr": None}, {"kl": (0.1, 0.3)}, {"asr": "no trigger is known"})


def test_each_bound_is_a_check() -> None:
    texts = ["kl.upper > 0.25", "churn > 0.02", "asr > 0.1", "churn.upper > 0.1"]
    broken, held, undefined, without = gate_checks([parse_bound(text) for text in texts], MEASURED)
    assert (broken.outcome, broken.rule, broken.name) == ("failed", "gate/kl.upper", "fail if kl.upper > 0.25")
    assert (broken.value, broken.interval) == (0.2, (0.1, 0.3))
    assert broken.sentence == "the gate 'kl.upper > 0.25' is broken: kl.upper is 0.3"
    assert broken.definition
    assert (held.outcome, held.sentence) == ("passed", "the gate 'churn > 0.02' holds: churn is 0.01")
    assert (undefined.outcome, without.outcome) == ("error", "error")
    assert undefined.sentence.endswith("because asr is undefined: no trigger is known")


def test_other_measurements_have_names_of_their_own() -> None:
    (check,) = gate_checks([parse_bound("p < 0.05", ["p"])], Measured({"p": 0.01}))
    assert (check.outcome, check.definition, check.interval) == ("failed", "The p-value of the verdict.", None)
