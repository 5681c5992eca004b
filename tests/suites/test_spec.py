"""Suite files: what they may say, in short and in long, and what is refused, with its line."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from anchorlab import AnchorlabError
from anchorlab.suites.parts import MethodSpec
from anchorlab.suites.reading import SCHEMA, builtin_suites, load_suite, parse_suite, schema, suite_text
from anchorlab.suites.smoke import smoke_form
from anchorlab.suites.spec import Suite

HEAD = "name: mine\ntitle: Mine\ntasks: [digits]\n"


def test_short_and_long_forms_mean_the_same() -> None:
    short = parse_suite(HEAD + "methods: {plain: , anchoring: [1, 4]}\nreferences: 2\nanchors: 64\ntarget_asr: 0.9\n")
    long = parse_suite(
        "name: mine\ntitle: Mine\ntasks:\n- name: digits\nreferences: [0, 1]\nanchors: [64]\ntarget_asr: [0.9]\n"
        "triggers: [{trigger: five-pixel}]\nmethods:\n  plain: {method: plain}\n  anchoring:\n    grid: [1, 4]\n"
    )
    assert short == long


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


MISTAKES = {
    "a former key beside the present one": (
        "methods: {plain: }\nrepairs: {nad: }\ndefences: [nad]",
        6,
        "'defences' is the former name of 'repairs', and both are given: keep 'repairs'",
    ),
    "a mistake below a former key": ("methods: {plain: }\ndefences:\n  nad:\n  anq:", 7, "did you mean 'anp'?"),
    "an unknown key": ("metods: 1\nmethods: {plain: }", 4, "unknown key 'metods': did you mean 'methods'?"),
    "an unknown key within": ("methods:\n  plain:\n  mine:\n    gird: [1, 2]", 7, "did you mean 'grid'?"),
    "an unknown method": ("methods:\n  plain:\n  anchorin: [1, 2]", 6, "did you mean 'anchoring'?"),
    "an unknown parameter": ("methods:\n  l2: {set: {strenth: 1}}", 5, "did you mean 'strength'?"),
    "a method without a strength": ("methods:\n  plain: [1, 2]", 5, "'plain' has no strength to choose"),
    "a grid of one": ("methods:\n  l2: [1]", 5, "at least two values"),
    "no progression": ("methods:\n  l2: [1, 2, 8]", 5, "not a rising geometric progression"),
    "an impossible value": ("methods:\n  weight-ball: [0, 1]", 5, "not a rising geometric progression"),
    "a rate in percent": ("target_asr: 95\nmethods: {plain: }", 4, "above 0 and up to 1, not at 95"),
    "no anchors": ("methods: {plain: }\nanchors: [64, 0]", 5, "at least 1, not 0"),
    "a seed twice": ("methods: {plain: }\nseeds: [1, 1]", 5, "1 stands there twice"),
    "a shared seed": ("methods: {plain: }\nseeds: [1000]", 1, "the seed 1000 both chooses strengths and is reported"),
    "an unknown tuning": ("methods: {plain: }\ntuning: {step: 3}", 5, "did you mean 'steps'?"),
    "an impossible tuning": ("methods: {plain: }\ntuning: {steps: 0}", 5, "steps=0 is not possible"),
    "an early stop for all": ("methods: {plain: }\ntuning: {stop_at_asr: 0.9}", 5, "stop_at_asr is for the control"),
    "an unknown trigger": ("methods: {plain: }\ntriggers: [six-pixel]", 5, "did you mean 'five-pixel'?"),
    "a class below 0": ("methods: {plain: }\ntriggers: [{target: -1}]", 5, "by a number from 0, not by -1"),
    "a control's label": ("methods: {benign: }", 1, "'benign' is that of a control"),
    "a key twice": ("methods: {plain: }\nseeds: 3\nseeds: 4", 6, "the key 'seeds' stands there twice"),
    "a missing key": ("seeds: 3", 1, "methods is missing"),
    "no YAML": ("methods: [", 4, "is not YAML"),
    "no mapping": ("methods: 3", 4, "methods=3 is not possible"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_their_line(mistake: str) -> None:
    text, line, words = MISTAKES[mistake]
    with pytest.raises(AnchorlabError) as caught:
        parse_suite(HEAD + text, "mine.yaml")
    assert str(caught.value).startswith(f"line {line} of mine.yaml"), caught.value
    assert words in str(caught.value)


def test_the_first_of_several_mistakes_is_named_and_the_others_counted() -> None:
    with pytest.raises(AnchorlabError, match=r"line 4 of the suite: .*\(1 more after it\)"):
        parse_suite(HEAD + "seeds: [0, 0]\nanchors: 0\nmethods: {plain: }")


def test_a_suite_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(AnchorlabError, match="unknown suite 'fashion-mnst': did you mean 'fashion-mnist'"):
        load_suite("fashion-mnst")
    with pytest.raises(AnchorlabError, match=r"nowhere\.yaml cannot be read \(No such file"):
        load_suite("nowhere.yaml")


def test_the_schema_that_ships_is_that_of_the_code() -> None:
    shipped = (files("anchorlab.suites") / SCHEMA).read_text()
    assert shipped == schema(), "run: anchorlab suite schema > src/anchorlab/suites/suite.schema.json"


def test_the_schema_accepts_the_builtin_suites_and_refuses_mistakes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(schema()))
    for name in builtin_suites():
        validator.validate(yaml.safe_load(suite_text(name)[0]))
    wrong = yaml.safe_load(HEAD + "metods: {plain: }\nmethods: {plain: }")
    assert [error.validator for error in validator.iter_errors(wrong)] == ["additionalProperties"]


def test_smoke_keeps_every_cell_and_makes_it_tiny() -> None:
    suite = load_suite("paper-images")
    smoke = smoke_form(suite)
    assert smoke.methods.keys() == suite.methods.keys()
    assert (smoke.references, smoke.seeds, smoke.target_asr) == (suite.references, suite.seeds, suite.target_asr)
    assert all(task.limit == 20 and task.training["epochs"] == 1 for task in smoke.tasks)
    assert smoke.tuning["steps"] == 3
    assert [method.grid for method in smoke.methods.values()] == [method.grid for method in suite.methods.values()]


def test_other_places_of_data_are_for_tasks_of_the_suite() -> None:
    suite = load_suite("paper-images").with_data({"cifar10": "here"})
    assert [task.data for task in suite.tasks] == ["here", None]
    with pytest.raises(AnchorlabError, match="unknown task of this suite 'digits'"):
        suite.with_data({"digits": "here"})


@given(st.floats(1e-6, 1e3), st.floats(1.5, 10), st.integers(2, 6))
def test_a_geometric_grid_is_accepted_and_its_values_reach_the_method(first: float, ratio: float, length: int) -> None:
    grid = [first * ratio**power for power in range(length)]
    spec = MethodSpec(method="anchoring", grid=grid, set={"centred": True})
    assert [spec.parameters(value) for value in spec.grid] == [{"centred": True, "strength": value} for value in grid]


def test_counts_are_whole_numbers() -> None:
    assert MethodSpec(method="surgery", grid=[1000, 3162.3]).parameters(3162.3) == {"count": 3162}


def test_a_suite_cannot_be_changed() -> None:
    suite: Suite = load_suite("demo")
    with pytest.raises(ValueError, match="frozen"):
        suite.name = "other"  # type: ignore[misc]
