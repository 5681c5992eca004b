"""What a verdict cannot mean: a reference at chance, few queries, updates that change nothing, a candidate between."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.scoring.audit import Measured, audit_of
from anchorlab.scoring.audit_result import AuditedAnswers, UpdateSetting


def cautions(candidate: float, short: float, long: float, count: int = 400, right: float = 0.9) -> str:
    """Those of an audit by probabilities in which values scatter around these means."""
    draw = np.random.default_rng(0)

    def around(mean: float):
        return {"probabilities": mean * draw.uniform(0.9, 1.1, size=count)}

    values = [around(candidate), *(around(mean) for mean in [short] * 20 + [long] * 19)]
    labels = draw.integers(4, size=count)
    answered = np.where(draw.random(count) < right, labels, (labels + 1) % 4)
    answers = AuditedAnswers(answered, answered, None, None, labels, ("a", "b", "c", "d"))
    settings = (UpdateSetting("short", 20), UpdateSetting("long", 19))
    found = audit_of(Measured(values, settings, answers), judged="probabilities", level=0.05, seed=0)
    return " ".join(found.cautions)


def test_a_usual_audit_has_none():
    assert cautions(2.0, 1.0, 1.5) == ""


def test_a_candidate_between_two_settings_is_warned_of():
    assert "between them, so that the verdict hangs on which are ordinary" in cautions(1.0, 0.5, 2.0)


def test_a_reference_at_chance_is_warned_of():
    assert "the reference is at chance" in cautions(2.0, 1.0, 1.5, right=0.25)


def test_updates_that_change_nothing_are_warned_of():
    assert "no benign update changes anything in probabilities" in cautions(1.0, 0.0, 0.0)


@pytest.mark.parametrize("unit", [1.0, 1e-4, 1e4])
@pytest.mark.parametrize(("count", "warned"), [(3, True), (400, False)])
def test_few_queries_are_warned_of_with_what_could_have_been_seen(count, warned, unit):
    draw = np.random.default_rng(1)
    values = [{"probabilities": draw.exponential(unit, size=count)} for _ in range(40)]
    labels = np.arange(count) % 2
    answers = AuditedAnswers(labels, labels, None, None, None, ("a", "b"))
    measured = Measured(values, (UpdateSetting("given", 39),), answers)
    found = audit_of(measured, judged="probabilities", level=0.05, seed=0)
    assert any("queries are too few for much power" in sentence for sentence in found.cautions) == warned
    assert any(f"With {count} queries and these updates, a difference is noticed" in one for one in found.sentences)


@pytest.mark.parametrize(("updates", "given"), [(19, False), (39, True)])
def test_where_a_test_of_one_access_takes_more_updates_no_queries_are_blamed(updates: int, given: bool) -> None:
    """The joint test takes 19 updates at the level of .05, and a two-sided one of a single access 39."""
    draw = np.random.default_rng(1)
    values = [{"probabilities": draw.exponential(1.0, size=400)} for _ in range(1 + updates)]
    answered = np.arange(400) % 2
    answers = AuditedAnswers(answered, answered, None, None, None, ("a", "b"))
    measured = Measured(values, (UpdateSetting("given", updates),), answers)
    found = audit_of(measured, judged="joint", level=0.05, seed=0)
    assert found.cautions == ()
    assert any("queries and these updates, a difference is noticed" in one for one in found.sentences) == given
    assert any("takes 39 benign updates, and with 19 it finds nothing" in one for one in found.sentences) != given
