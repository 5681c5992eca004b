"""The schema of suite files: names and bounds of what there is, and never stricter than the check."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab import AnchorlabError
from anchorlab.methods import METHODS, Method
from anchorlab.settings import STRICT
from anchorlab.suites.reading import load_suite, parse_suite
from anchorlab.suites.schema import schema, text_pattern
from anchorlab.suites.smoke import smoke_form
from anchorlab.suites.source import builtin_suites, suite_text
from anchorlab.suites.yaml_text import parse_yaml
from tests.registering import registered
from tests.suites.inline import TINY
from tests.sweep.kinds import KEYS, VALUES, suite_with

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parent.parent.parent
HEAD = "name: mine\ntitle: Mine\n"
TASKS = HEAD + "tasks: [digits]\n"
WHOLE = TASKS + "methods: {plain: }\n"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Spring(Method):
    """Holds the weights by springs."""

    strength_name = "stiffness"

    stiffness: float = Field(default=1.5, gt=0, description="how stiff they are")


def validator(*, installed: bool = True) -> Any:
    return jsonschema.Draft202012Validator(json.loads(schema(installed=installed)))


@pytest.fixture(scope="module")
def shipped() -> Any:
    return validator(installed=False)


def accepted(checked_by: Any, text: str) -> bool:
    return bool(checked_by.is_valid(parse_yaml(text, "the suite")[1]))


@pytest.mark.parametrize("name", builtin_suites())
def test_the_built_in_suites_are_accepted(shipped: Any, name: str) -> None:
    shipped.validate(yaml.safe_load(suite_text(name)[0]))
    shipped.validate(yaml.safe_load(load_suite(name).to_yaml()))
    shipped.validate(yaml.safe_load(smoke_form(load_suite(name)).to_yaml()))


def test_stored_suites_and_the_docs_are_accepted(shipped: Any) -> None:
    shipped.validate(yaml.safe_load(TINY))
    shipped.validate(yaml.safe_load((Path(__file__).parent / "stored" / "suite.yaml").read_text()))
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [block for page in pages for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S)]
    suites = [text for text in found if re.search("^methods:", text, re.M)]
    assert suites
    for text in suites:
        whole = yaml.safe_load(text)
        shipped.validate({"name": "a", "title": "A", "tasks": ["digits"]} | whole)


MISTAKES = {
    "a parameter of the tuning": WHOLE + "tuning: {step: 3}",
    "a value of the tuning": WHOLE + "tuning: {steps: 0}",
    "a choice of the tuning": WHOLE + "tuning: {batchnorm: thawed}",
    "a method's name": TASKS + "methods: {anchoringg: [1, 2]}",
    "a method's name in the long form": TASKS + "methods: {mine: {method: anchoringg}}",
    "a label without a method": TASKS + "methods: {mine: {grid: [1, 2]}}",
    "a parameter of a method": TASKS + "methods: {anchoring: {set: {centered: true}}}",
    "a parameter of a method with a label": TASKS + "methods: {mine: {method: l2, set: {centred: true}}}",
    "a value of a method": TASKS + "methods: {surgery: {set: {count: 0}}}",
    "a grid of one": TASKS + "methods: {anchoring: [1]}",
    "a grid without a strength": TASKS + "methods: {plain: [1, 2]}",
    "a grid without a strength in the long form": TASKS + "methods: {mine: {method: plain, grid: [1, 2]}}",
    "a negative grid": TASKS + "methods: {anchoring: [-1, 1]}",
    "a rate in percent": WHOLE + "target_asr: 95",
    "a rate of nothing": WHOLE + "target_asr: [0]",
    "negative anchors": WHOLE + "anchors: -3",
    "no anchors": WHOLE + "anchors: [0]",
    "a word for anchors": WHOLE + "anchors: some",
    "anchors twice": WHOLE + "anchors: [3, 3]",
    "a repair's name": WHOLE + "repairs: [naad]",
    "a repair's name alone": WHOLE + "repairs: naad",
    "a repair's label": WHOLE + "repairs: {gentle: {set: {epochs: 3}}}",
    "a repair's parameter": WHOLE + "repairs: {nad: {set: {stage: 3}}}",
    "a former key": WHOLE + "defences: [naad]",
    "a former key of a repair": WHOLE + "repairs: {ft: {defence: nad, set: {step: 3}}}",
    "a detector's name": WHOLE + "detectors: [strips]",
    "a detector's parameter": WHOLE + "detectors: {strip: {set: {blend: 3}}}",
    "a label rule": WHOLE + "triggers: [{trigger: square, label_rule: all-to-won}]",
    "a trigger": WHOLE + "triggers: [squares]",
    "a trigger's parameter": WHOLE + "triggers: ['square:sized=3']",
    "a negative target": WHOLE + "triggers: [{trigger: square, target: -1}]",
    "a task": HEAD + "tasks: [digitz]\nmethods: {plain: }",
    "a task in the long form": HEAD + "tasks: [{name: digitz}]\nmethods: {plain: }",
    "a model": HEAD + "tasks: [{name: digits, model: resnet-huge}]\nmethods: {plain: }",
    "a parameter of the training": HEAD + "tasks: [{name: digits, training: {epoch: 3}}]\nmethods: {plain: }",
    "a value of the training": HEAD + "tasks: [{name: digits, training: {epochs: 0}}]\nmethods: {plain: }",
    "a key": WHOLE + "sede: 3",
    "a seed": WHOLE + "seeds: [-1]",
    "no seeds": WHOLE + "seeds: 0",
    "a seed that chooses": WHOLE + "selection: {seeds: [-5]}",
    "a scale": WHOLE + "scales: [11]",
    "a switch for a number": WHOLE + "target_asr: true",
    "a switch among numbers": WHOLE + "anchors: [3, true]",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_by_the_schema_and_by_the_check(shipped: Any, mistake: str) -> None:
    assert not accepted(shipped, MISTAKES[mistake])
    with pytest.raises(AnchorlabError):
        parse_suite(MISTAKES[mistake])


RIGHT = {
    "a number as text": WHOLE + "tuning: {learning_rate: 1e-3}",
    "own data": HEAD + "tasks: [{name: photos, columns: {image: image}}]\nmethods: {plain: }",
    "a model of the hub": HEAD + "tasks: [{name: digits, model: some/model}]\nmethods: {plain: }",
    "a label of its own": TASKS + "methods: {anchoring: {method: surgery, grid: [10, 100], set: {select: random}}}",
    "triggers with parameters": WHOLE + "triggers: ['square:size=4,margin=0', 'square:4', 'word:cf', five-pixel]",
    "a rule with a source": WHOLE + "triggers: [{trigger: square, label_rule: 'source-to-target:3', target: 5}]",
    "an oracle": WHOLE + "repairs: {best: {repair: oracle-anp, set: {steps: 3}}, oracle-fine-pruning: }",
    "one of each": WHOLE + "repairs: nad\ndetectors: strip\nanchors: 3\ntarget_asr: 1\nseeds: 2\ndefender: all",
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_is_accepted_by_both(shipped: Any, case: str) -> None:
    parse_suite(RIGHT[case])
    shipped.validate(yaml.safe_load(RIGHT[case]))


@pytest.mark.parametrize("key", KEYS)
def test_what_the_check_accepts_the_schema_accepts(shipped: Any, key: str) -> None:
    for value in VALUES:
        text = suite_with(key, value)
        try:
            parse_suite(text)
        except AnchorlabError:
            continue
        assert accepted(shipped, text), value


def test_the_schema_of_an_installation_has_the_names_of_other_packages() -> None:
    text = TASKS + "methods: {spring: [1, 2], mine: {method: spring, set: {stiffness: 3}}}"
    with registered(METHODS, spring=Spring):
        parse_suite(text)
        assert accepted(validator(), text)
        assert not accepted(validator(), text.replace("stiffness: 3", "stiffness: 0"))
        assert not accepted(validator(installed=False), text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("square", True),
        ("square:4", True),
        ("square:size=4,margin=0", True),
        ("square:4,margin=0", True),
        ("square:4,5", True),
        ("square:side=4", False),
        ("square:size=4,side=2", False),
        ("squares", False),
    ],
)
def test_one_line_of_text_names_a_member_and_its_parameters(text: str, fits: bool) -> None:
    assert bool(re.fullmatch(text_pattern("square", ["size", "margin"]), text)) == fits
