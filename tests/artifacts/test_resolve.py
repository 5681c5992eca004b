"""What models are measured on: the manifest's attack, or another."""

from __future__ import annotations

import pytest

from anchorlab import AnchorlabError
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToAll, AllToOne, SourceToTarget
from anchorlab.triggers import FivePixel, Square


@pytest.mark.parametrize(
    ("override", "trigger", "rule"),
    [
        ({}, FivePixel(), AllToOne(target=0)),
        ({"target": 3}, FivePixel(), AllToOne(target=3)),
        ({"trigger": "square:size=2"}, Square(size=2), AllToOne(target=0)),
        ({"trigger": Square(size=3), "target": 5}, Square(size=3), AllToOne(target=5)),
        ({"label_rule": "all-to-all"}, FivePixel(), AllToAll(classes=10)),
        ({"label_rule": "source-to-target:1", "target": 2}, FivePixel(), SourceToTarget(source=1, target=2)),
        ({"label_rule": SourceToTarget(source=1, target=2)}, FivePixel(), SourceToTarget(source=1, target=2)),
    ],
    ids=str,
)
def test_each_part_of_the_manifests_attack_may_be_overridden(digits, injected, override, trigger, rule):
    assert attack_of(injected, digits, **override) == Attack(trigger, rule)


def test_a_candidate_without_manifest_of_an_attack_needs_a_whole_one(digits, reference):
    assert attack_of(reference, digits) is None
    given = attack_of(reference, digits, trigger="five-pixel", target=4)
    assert given == Attack(FivePixel(), AllToOne(target=4))
    with pytest.raises(AnchorlabError, match="no trigger is known: give --trigger"):
        attack_of(reference, digits, target=4)
    with pytest.raises(AnchorlabError, match="needs the label that the attacker wants: give --target"):
        attack_of(reference, digits, trigger="five-pixel")
    with pytest.raises(AnchorlabError, match="target 10 is not one of"):
        attack_of(reference, digits, trigger="five-pixel", target=10)


def test_a_target_alone_keeps_the_manifests_rule(digits, injected):
    rule = {"name": "source-to-target", "source": 3, "target": 0}
    manifest = injected.manifest.model_copy(update={"label_rule": rule})
    assert attack_of(Artifact(injected.model, manifest), digits, target=7) == Attack(
        FivePixel(), SourceToTarget(source=3, target=7)
    )
