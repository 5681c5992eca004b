"""Suite files: what they may say, in short and in long, and what is refused, with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from anchorlab import AnchorlabError
from anchorlab.suites.reading import load_suite, parse_suite
from anchorlab.suites.repeated import refuse_repeated
from anchorlab.suites.runner import run_suite
from anchorlab.suites.schema import schema
from anchorlab.suites.smoke import smoke_form
from anchorlab.suites.source import builtin_suites
from anchorlab.suites.spec import Suite
from tests.refusals import refused
from tests.suites.inline import Inline, tiny

HEAD = "name: mine\ntitle: Mine\ntasks: [digits]\n"


def test_what_is_written_is_read_again_as_the_same() -> None:
    for name in builtin_suites():
        suite = load_suite(name)
        assert parse_suite(suite.to_yaml()) == suite
        assert parse_suite(smoke_form(suite).to_yaml()) == smoke_form(suite)


FORMER = "triggers: [{trigger: square, rule: all-to-all}]\ndefences: {ft: {defence: fine-tuning}, nad: }\n"
PRESENT = "triggers: [{trigger: square, label_rule: all-to-all}]\nrepairs: {ft: {repair: fine-tuning}, nad: }\n"


def test_former_keys_are_read_and_present_ones_written() -> None:
    suite = parse_suite(HEAD + "methods: {plain: }\n" + FORMER)
    assert suite == parse_suite(HEAD + "methods: {plain: }\n" + PRESENT)
    assert list(suite.repairs) == ["ft", "nad"]
    written = suite.to_yaml()
    assert "label_rule: all-to-all" in written
    assert "defence" not in written
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(schema()))
    for keys in (FORMER, PRESENT):
        validator.validate(yaml.safe_load(HEAD + "methods: {plain: }\n" + keys))


def test_other_places_of_data_are_for_tasks_of_the_suite() -> None:
    suite = load_suite("paper-images").with_data({"cifar10": "here"})
    assert [task.data for task in suite.tasks] == ["here", None]
    with pytest.raises(AnchorlabError, match="unknown task of this suite 'digits'"):
        suite.with_data({"digits": "here"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tasks": [{"name": "digits"}, {"name": "digits", "model": "resnet-mini"}]},
            "digits stands twice under tasks",
        ),
        ({"triggers": [{}, {"target": 0}]}, r"five-pixel \(all-to-one to 0\) stands twice under triggers"),
    ],
)
def test_a_task_or_an_attack_that_stands_there_twice_is_not_run(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """Tables would not tell the two apart. Folders of versions that ran such suites are still read."""
    repeated = tiny(**changes)
    with pytest.raises(AnchorlabError, match=message):
        run_suite(repeated, tmp_path / "out", executor=Inline())
    assert not (tmp_path / "out").exists()
    assert parse_suite(repeated.to_yaml()) == repeated
    refuse_repeated(tiny(triggers=[{}, {"target": 1}]))


def test_a_suite_cannot_be_changed() -> None:
    suite: Suite = load_suite("demo")
    with pytest.raises(ValueError, match="frozen"):
        suite.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("references: 1000000000", "references: 1000000000 are too many: give at most 10,000"),
        ("seeds: [-1]", "seeds: the seed -1 is not possible: give a whole number from 0"),
        ("seeds: [9223372036854775808]", "seeds: the seed 9223372036854775808 is not possible"),
        ("selection: {seeds: [-1]}", "selection.seeds: the seed -1 is not possible"),
        ("seeds: 1000\nreferences: 100", "this suite has 300,000 runs, and at most 100,000 can be planned: give fewer"),
    ],
)
def test_numbers_for_which_no_time_would_do_are_refused_before_anything_is_built(keys: str, message: str) -> None:
    refused(message, parse_suite, HEAD + "methods: {plain: }\n" + keys)
