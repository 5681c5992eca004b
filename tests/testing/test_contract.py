"""Rules are tried one by one: kept, broken with a sentence, or not tried with the reason."""

from __future__ import annotations

import pytest

from anchorlab import AnchorlabError
from anchorlab.testing import Contract, Finding
from anchorlab.testing.contract import BrokenError, NotTriedError, Rule, judge, require


def rule(name: str, error: Exception | None = None, *, needed: bool = False) -> Rule[object]:
    def check(_: object) -> None:
        if error is not None:
            raise error

    return Rule(name, check, needed)


def test_each_rule_has_a_finding() -> None:
    rules = [rule("a"), rule("b", BrokenError("mend it")), rule("c", NotTriedError("it has none"))]
    assert judge(rules, None, where="on texts: ") == [
        Finding("on texts: a", "kept"),
        Finding("on texts: b", "broken", "mend it"),
        Finding("on texts: c", "not tried", "it has none"),
    ]


def test_what_code_of_others_raises_names_the_place() -> None:
    (found,) = judge([rule("a", TypeError("dict / int"))], None)
    assert found.outcome == "broken"
    assert found.sentence.startswith("it raised TypeError: dict / int in test_contract.py, line ")


def test_after_a_needed_rule_the_others_make_no_sense() -> None:
    first, second = judge([rule("runs", BrokenError("no"), needed=True), rule("b", BrokenError("no"))], None)
    assert (first.outcome, second.outcome) == ("broken", "not tried")
    assert second.sentence == "because it does not do this: runs"


def test_a_refusal_of_the_test_model_is_no_fault() -> None:
    refuses = AnchorlabError("needs a convolution")
    first, second = judge([rule("runs", refuses, needed=True), rule("b")], None)
    assert (first.outcome, first.sentence) == ("not tried", "it refuses: needs a convolution")
    assert second.outcome == "not tried"
    assert judge([rule("b", refuses)], None)[0].outcome == "broken"


def test_a_broken_contract_fails_a_test_with_all_its_sentences() -> None:
    Contract("repair", "a", (Finding("x", "kept"), Finding("y", "not tried", "why"))).assert_kept()
    with pytest.raises(AssertionError, match="the repair a breaks its contract\n- x: mend it\n- y: and this"):
        Contract("repair", "a", (Finding("x", "broken", "mend it"), Finding("y", "broken", "and this"))).assert_kept()


def test_require_says_the_sentence() -> None:
    require(True, "nothing")
    with pytest.raises(BrokenError, match="mend it"):
        require([], "mend it")
