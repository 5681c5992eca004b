"""The quick look at a suite: what it accepts, the full check accepts too, with the same words."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.cli import suite_quick
from anchorlab.cli.catalogue import own_entries
from anchorlab.cli.suite import SuiteOptions, check
from anchorlab.data import load_task
from anchorlab.errors import AnchorlabError
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.suites.expected import runs_to_choose
from anchorlab.suites.plan import make_plan
from anchorlab.suites.reading import load_suite
from anchorlab.suites.source import builtin_suites
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from anchorlab.training.reference import Training
from anchorlab.triggers import TRIGGERS
from tests.cli.conftest import Run
from tests.suites.inline import TINY

#: A suite that the quick look accepts, with a value of each kind.
RICH: dict[str, Any] = {
    "name": "rich",
    "title": "A suite for tests",
    "tasks": [{"name": "digits", "model": "resnet-tiny", "limit": 20, "training": {"epochs": 2, "precision": "no"}}],
    "references": [0, 3],
    "triggers": ["five-pixel", {"trigger": "square:size=4,margin=0", "target": 3}],
    "methods": {
        "plain": None,
        "l2": ["1e-3", "1e-2"],
        "surgery": {"grid": [100, 1000], "tuning": {"learning_rate": 0.003}},
        "shifted": {"method": "anchoring", "grid": [1, 4], "set": {"centred": True}},
        "distillation": None,
        "ewc": {"set": {"fisher": "exact", "strength": 2}},
        "foreign": {"method": "plain", "anchors_data": "cifar10"},
    },
    "anchors": [10, "all"],
    "anchors_from": "owner",
    "seeds": 2,
    "target_asr": [0.9, 0.99],
    "tuning": {"steps": 4, "learning_rate": "1e-3", "compile": None, "batchnorm": "frozen"},
    "scales": [1.0, 2],
    "selection": {"seeds": [1000, 1001], "references": 1, "tries": 9, "extensions": 1},
    "controls": True,
    "keep_models": False,
    "resources": {"cpus": 1, "gpus": 0.5},
}

#: Values to put anywhere: possible in some places, impossible in others.
VALUES = st.one_of(
    st.sampled_from(
        [None, True, False, [], {}, "", "all", "no", "nan", "1e-3", "1_000", "0x1", " 1", "plain", "benign"]
    ),
    st.sampled_from(["digits", "sst2", "bert-tiny", "anchoring", "surgery", "l1", "word:cf", "word:", "picture:x.png"]),
    st.sampled_from(
        ["source-to-target", "sinusoid:20", "square:size=0", "square:size=2,size=3", "reference", "\ud800"]
    ),
    st.sampled_from([[1, 2, 4], [2, 1], [1, 1], [0.5, 4.2], {"set": {"count": 3}}, {"method": "l2", "grid": [1, 2]}]),
    st.integers(-2, 2**64),
    st.integers(-2, 12),
    st.floats(),
    st.floats(0, 2),
)
KEYS = st.sampled_from(["repairs", "defender", "columns", "data", "rule", "label_rule", "stop_at_asr", "select", "set"])


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all parts of nested values."""
    if way:
        yield way
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*way, key))


def changed(data: dict[str, Any], draw: Any) -> dict[str, Any]:
    """The data with one part replaced, left out, renamed or added to."""
    data = copy.deepcopy(data)
    *way, last = draw(st.sampled_from(list(places(data))))
    around: Any = data
    for key in way:
        around = around[key]
    what = draw(st.sampled_from(["replace", "replace", "replace", "drop", "add", "rename"]))
    if what == "replace" or isinstance(around, list):
        around[last] = draw(VALUES)
    elif what == "drop":
        del around[last]
    else:
        around[draw(st.one_of(KEYS, VALUES.filter(lambda key: isinstance(key, str))))] = (
            around.pop(last) if what == "rename" else draw(VALUES)
        )
    return data


def both_ways(monkeypatch: pytest.MonkeyPatch, given: str, folder: Path) -> tuple[bool, Any, Any]:
    """Whether the quick look accepted a suite, the answer then, and the answer of the full check."""
    chosen = SuiteOptions(suite=given, out=folder)
    accepted, answer = chosen.outline() is not None, check(chosen=chosen)
    with monkeypatch.context() as patch:
        patch.setattr(SuiteOptions, "outline", lambda _: None)
        return accepted, answer, check(chosen=chosen)


@pytest.mark.parametrize("name", builtin_suites())
def test_a_builtin_suite_has_the_same_answer_both_ways(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    accepted, quick, full = both_ways(monkeypatch, name, tmp_path / "new")
    assert accepted != load_suite(name).has_evaluations
    assert quick == full


def test_a_file_with_a_value_of_each_kind_has_the_same_answer_both_ways(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "rich.yaml"
    path.write_text(yaml.safe_dump(RICH))
    accepted, quick, full = both_ways(monkeypatch, str(path), tmp_path / "new")
    assert accepted
    assert quick == full


@pytest.mark.parametrize("rates", [["3e-4", 0.001], 0.01])
@pytest.mark.parametrize(
    "methods",
    [
        RICH["methods"] | {"scratch": None},
        {"anchoring": None},
        {"scratch": None},
        {"longer": {"method": "plain", "tuning": {"steps": 9}}},
        {"own": {"method": "plain", "tuning": {"learning_rate": 0.5}}, "plain": None},
        {"own": {"method": "plain", "tuning": {"learning_rate": 0.5}}, "anchoring": None},
    ],
)
def test_learning_rates_to_choose_from_have_the_same_answer_both_ways(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rates: Any, methods: dict[str, Any]
) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump(RICH | {"tuning": {"steps": 4}, "learning_rates": rates, "methods": methods}))
    accepted, quick, full = both_ways(monkeypatch, str(path), tmp_path / "new")
    assert accepted
    assert quick == full


def test_an_attack_that_stands_there_twice_is_refused_by_the_full_check(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(yaml.safe_dump(RICH | {"triggers": ["five-pixel", {"target": 0}]}))
    ended = run("suite", "check", path, "--out", tmp_path / "new")
    assert ended.code == 2
    assert "five-pixel (all-to-one to 0) stands twice under triggers" in ended.err


@pytest.mark.parametrize(
    "change",
    [
        {"anchors": 100_000},
        {"anchors": ["all", 641]},
        {"anchors": 101, "anchors_from": "held-out"},
        {"anchors": 500, "tasks": [{"name": "digits", "limit": 20}]},
    ],
)
def test_more_anchors_than_are_certain_are_left_to_the_full_check(change: dict[str, Any]) -> None:
    tasks = [{"name": "digits"}]
    for anchors in (["all", 640], 640):
        assert suite_quick._outline(RICH | {"tasks": tasks, "anchors": anchors}).has_anchors
    assert not suite_quick._outline(RICH | {"tasks": tasks} | change).has_anchors


def test_a_check_refuses_more_anchors_than_examples(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(yaml.safe_dump(RICH | {"tasks": ["digits"], "anchors": [10, 100_000]}))
    ended = run("suite", "check", path, "--out", tmp_path / "new")
    assert ended.code == 2
    assert "100,000 anchors are not possible: the split 'owner' of digits has" in ended.err


def test_the_smallest_task_has_the_anchors_that_are_certain() -> None:
    digits = load_task("digits")
    assert all(len(digits.split(split)) >= count for split, count in suite_quick._CERTAIN_ANCHORS.items())


def test_both_know_the_methods_that_begin_with_fresh_weights() -> None:
    assert {name for name in METHODS.built_in if METHODS[name].fresh_start} == suite_quick._FROM_SCRATCH


@given(st.data())
def test_what_the_quick_look_accepts_the_full_check_accepts(data: st.DataObject) -> None:
    values = changed(RICH, data.draw)
    if data.draw(st.booleans()):
        values = changed(values, data.draw)
    try:
        outline = suite_quick._outline(values)
    except suite_quick._Unsure:
        return
    suite = Suite.model_validate(values)
    assert [(task.name, task.architecture) for task in suite.tasks] == [
        (task.name, task.architecture) for task in outline.tasks
    ]
    assert (suite.name, suite.title, list(suite.methods)) == (outline.name, outline.title, list(outline.methods))
    assert (suite.references, suite.seeds, suite.anchors) == (outline.references, outline.seeds, outline.anchors)
    assert suite.target_asr == outline.target_asr
    assert not suite.has_evaluations
    plan = make_plan(suite, Store(Path("a-folder-that-is-not-there")))
    assert plan.undecided == outline.undecided
    assert [stage for stage, _ in plan.jobs()] == ["reference"] * outline.models
    assert runs_to_choose(suite, plan) == outline.most_runs_that_choose


@pytest.mark.parametrize(
    "change",
    [
        {"repairs": ["clp"]},
        {"detectors": ["strip"]},
        {"tasks": [{"name": "digits", "data": "elsewhere"}]},
        {"tasks": [{"name": "reviews.csv", "columns": {"text": "t", "label": "l"}}]},
        {"tasks": ["digits", "digits"]},
        {"tasks": [{"name": "digits", "model": "somebody/model"}]},
        {"triggers": "picture:logo.png"},
        {"methods": {"surgery": {"grid": [1, 2], "set": {"select": "l1"}}}},
        {"methods": {"mine": {"method": "of-another-package"}}},
        {"tasks": "digits", "methods": {"plain": {"anchors_data": "digits"}}},
        {"tasks": "digits", "methods": {"plain": {"anchors_data": "sst2"}}},
        {"tasks": "digits", "methods": {"plain": {"anchors_data": "photos/"}}},
        {"seeds": 1001},
        {"seeds": 5000},
        {"surprise": 1},
    ],
)
def test_what_is_not_certain_is_left_to_the_full_check(change: dict[str, Any]) -> None:
    with pytest.raises(suite_quick._Unsure):
        suite_quick._outline(RICH | change)


def test_the_full_check_is_taken_where_something_is_done_or_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    new = tmp_path / "new"
    assert SuiteOptions(suite=str(path), out=new).outline() is not None
    assert SuiteOptions(suite=str(path), out=tmp_path / "not" / "there").outline() is None
    assert SuiteOptions(suite=str(path), out=new, smoke=True).outline() is None
    assert SuiteOptions(suite=str(path), out=new, data=["digits=x"]).outline() is None
    new.mkdir()
    assert SuiteOptions(suite=str(path), out=new).outline() is None


def test_beside_another_package_the_full_check_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Points:
        groups = ("console_scripts", "anchorlab.methods")

    assert suite_quick.outline_of("demo") is not None
    monkeypatch.setattr(suite_quick, "entry_points", Points)
    assert suite_quick.outline_of("demo") is None


def test_mistakes_are_refused_by_the_full_check(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(TINY.replace("seeds: 2", "seeds: 2\nsurprise: 1"))
    ended = run("suite", "check", path)
    assert ended.code == 2
    assert "surprise" in ended.err


def test_no_class_whose_values_the_quick_look_judges_has_rules_beyond_types_and_bounds() -> None:
    """A validator of its own would have to be known here too."""
    texts = suite_quick._WORDS
    has_text = {
        entry["name"] for entry in own_entries("triggers") if any(p["type"] == "str" for p in entry["parameters"])
    }
    triggers = [TRIGGERS[name] for name in TRIGGERS.built_in if name not in texts | has_text]
    for cls in (Tuning, Training, *(METHODS[name] for name in METHODS.built_in), *triggers):
        rules = cls.__pydantic_decorators__  # type: ignore[attr-defined]
        assert not any((rules.model_validators, rules.validators, rules.root_validators)), cls
        judged = {name for rule in rules.field_validators.values() for name in rule.info.fields}
        assert judged <= suite_quick._WITH_RULES, cls
        assert not hasattr(cls, "__post_init__"), cls


@pytest.mark.parametrize("name", METHODS.built_in)
def test_only_a_choice_decides_which_parameter_is_the_strength(name: str) -> None:
    """So the catalogue's strength is the strength where no choice is set."""
    entry = next(entry for entry in own_entries("methods") if entry["name"] == name)
    for parameter in entry["parameters"]:
        other = {"bool": True, "str": "*", "int": 7, "float": 0.7}.get(parameter["type"])
        if other is not None:
            try:
                built = METHODS.build(name, {parameter["name"]: other})
            except AnchorlabError:
                continue
            assert built.active_strength_name == entry.get("strength")
    assert METHODS.build(name).active_strength_name == entry.get("strength")
