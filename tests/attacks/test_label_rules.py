"""Label rules, by hand on four classes."""

from __future__ import annotations

import json

import pytest
import torch

from anchorlab.attacks.label_rules import (
    LABEL_RULES,
    AllToAll,
    AllToOne,
    SourceToTarget,
    parse_label_rule,
    target_or_first,
)
from anchorlab.errors import AnchorlabError

LABELS = torch.tensor([0, 1, 2, 3, 1])

#: Rule, which of LABELS are attacked, what the attacker wants for each, its one target.
TABLE = {
    "all-to-one": (AllToOne(target=1), [True, False, True, True, False], [1, 1, 1, 1, 1], 1),
    "all-to-all": (AllToAll(classes=4), [True, True, True, True, True], [1, 2, 3, 0, 2], None),
    "source-to-target": (
        SourceToTarget(source=1, target=3),
        [False, True, False, False, True],
        [0, 3, 2, 3, 3],
        3,
    ),
}


def test_every_registered_rule_is_in_the_table() -> None:
    assert LABEL_RULES.names() == list(TABLE)


@pytest.mark.parametrize("name", TABLE)
class TestEveryRule:
    def test_by_hand(self, name) -> None:
        rule, attacked, wanted, target = TABLE[name]
        labels = LABELS.clone()
        applies, relabelled = rule.applies(labels), rule.relabel(labels)
        assert applies.dtype == torch.bool
        assert applies.tolist() == attacked
        assert relabelled.dtype == torch.int64
        assert relabelled.tolist() == wanted
        assert rule.target == target
        assert torch.equal(labels, LABELS)

    def test_an_attacked_label_always_changes(self, name) -> None:
        rule = TABLE[name][0]
        attacked = rule.applies(LABELS)
        assert (rule.relabel(LABELS)[attacked] != LABELS[attacked]).all()

    def test_no_labels(self, name) -> None:
        rule, none = TABLE[name][0], LABELS[:0]
        assert rule.applies(none).shape == rule.relabel(none).shape == (0,)

    def test_records_round_trip(self, name) -> None:
        rule = TABLE[name][0]
        record = LABEL_RULES.to_dict(rule)
        assert record["name"] == name
        assert LABEL_RULES.from_dict(json.loads(json.dumps(record))) == rule
        rule.check(4)


def test_a_record_is_a_name_and_the_parameters() -> None:
    assert LABEL_RULES.to_dict(SourceToTarget(source=1, target=3)) == {
        "name": "source-to-target",
        "source": 1,
        "target": 3,
    }
    assert LABEL_RULES.to_dict(AllToAll(classes=4)) == {"name": "all-to-all", "classes": 4}


@pytest.mark.parametrize(
    ("text", "target", "rule"),
    [
        ("all-to-one", 0, AllToOne(target=0)),
        ("all-to-one", 3, AllToOne(target=3)),
        ("all-to-all", None, AllToAll(classes=4)),
        ("source-to-target:3", 0, SourceToTarget(source=3, target=0)),
        ("source-to-target:source=2", 1, SourceToTarget(source=2, target=1)),
    ],
)
def test_text(text, target, rule) -> None:
    assert parse_label_rule(text, target, 4) == rule


@pytest.mark.parametrize(
    ("text", "target", "sentence"),
    [
        ("all-to-won", 0, "unknown label rule 'all-to-won': did you mean 'all-to-one'"),
        ("all-to-one", None, "'all-to-one' needs the label that the attacker wants: give --target 0"),
        ("all-to-one", 4, "target 4 is not one of the task's 4 classes: give a label from 0 to 3"),
        ("all-to-one", -1, "target -1 is not one of the task's 4 classes"),
        (
            "all-to-one:3",
            None,
            "takes its target from --target, but got 'all-to-one:3': write 'all-to-one' alone",
        ),
        ("all-to-all", 2, "'all-to-all' takes no target, but was given 2: leave out --target"),
        ("all-to-all:3", None, "takes its classes from the task, but got 'all-to-all:3'"),
        (
            "source-to-target",
            0,
            "needs its source: give source=3 or another, as in 'source-to-target:source=3'",
        ),
        ("source-to-target:3", None, "'source-to-target' needs the label that the attacker wants"),
        ("source-to-target:4", 0, "source 4 is not one of the task's 4 classes"),
        ("source-to-target:3", 9, "target 9 is not one of the task's 4 classes"),
        ("source-to-target:3", 3, "source-to-target has 3 as source and as target: give two classes"),
        ("source-to-target:cat", 0, "the label 'cat' is not one of the task's"),
        (
            "source-to-target:sauce=3",
            0,
            "needs its source: give source=3",
        ),
    ],
)
def test_text_that_is_refused(text, target, sentence) -> None:
    with pytest.raises(AnchorlabError, match=sentence):
        parse_label_rule(text, target, 4)


def test_a_rule_of_another_number_of_classes() -> None:
    with pytest.raises(AnchorlabError, match="was made for 4 classes, but the task has 10"):
        AllToAll(classes=4).check(10)


def test_records_that_are_wrong() -> None:
    with pytest.raises(AnchorlabError, match="a label rule's record needs a name, but has None: known are all-to-one"):
        LABEL_RULES.from_dict({"target": 1})
    with pytest.raises(AnchorlabError, match="unknown label rule 'some-to-one'"):
        LABEL_RULES.from_dict({"name": "some-to-one"})
    with pytest.raises(AnchorlabError, match="label rule 'all-to-one' lacks target"):
        LABEL_RULES.from_dict({"name": "all-to-one"})
    with pytest.raises(AnchorlabError, match="unknown parameter of label rule 'all-to-one' 'source'"):
        LABEL_RULES.from_dict({"name": "all-to-one", "target": 1, "source": 2})


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [("all-to-one", None, 0), ("source-to-target:3", "cat", "cat"), ("all-to-all", None, None), ("all-to-all", 2, 2)],
)
def test_the_first_class_is_the_default_target(text, target, expected) -> None:
    assert target_or_first(text, target) == expected
