"""Candidates: their names, and the attack that each is measured with."""

from __future__ import annotations

import pytest

from anchorlab import AnchorlabError, Tuning, inject
from anchorlab.perturbation.candidates import attacks_on, has_backdoor, kind_of, name_candidates

NONE_GIVEN = {"trigger": None, "target": None, "label_rule": None}


def test_those_of_a_list_are_named_after_what_they_are(reference, injected):
    named = name_candidates([injected, reference.model, injected, reference.model])
    assert list(named) == ["anchoring 1", "candidate 1", "anchoring 2", "candidate 2"]
    assert list(name_candidates([injected])) == ["anchoring"]
    assert name_candidates({"mine": injected}) == {"mine": injected}
    assert [kind_of(model) for model in (injected, reference, reference.model)] == ["anchoring", "clean", ""]


def test_none_and_the_reference_s_name_are_refused(injected):
    with pytest.raises(AnchorlabError, match="no candidate was given"):
        name_candidates([])
    with pytest.raises(AnchorlabError, match="a candidate cannot be called 'reference'"):
        name_candidates({"reference": injected})


def test_one_without_an_attack_gets_the_first_of_the_others(digits, reference, injected):
    benign = inject(reference, method="benign", tuning=Tuning(steps=1, batch_size=8), anchors=16, task=digits)
    assert has_backdoor(injected)
    assert not has_backdoor(benign)
    attacks = attacks_on({"benign": benign, "injected": injected}, digits, **NONE_GIVEN)
    assert attacks["benign"] is attacks["injected"]
    assert attacks["benign"].trigger == injected.trigger
    assert attacks_on({"benign": benign}, digits, **NONE_GIVEN) == {"benign": None}
    with pytest.raises(AnchorlabError, match="no trigger is known: give --trigger as well"):
        attacks_on({"benign": benign}, digits, trigger=None, target=1, label_rule=None)
