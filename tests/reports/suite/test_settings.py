"""Settings, and which rows belong to one, from frames made up by hand."""

import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.reports.suite.settings import Setting, at_setting, settings_of, slug, slugs_of
from tests.hostile import HOSTILE, any_text

RUNS = pd.DataFrame(
    [
        {"task": "digits", "model": "tiny", "trigger": "square", "rule": "all-to-one", "target": 0.0},
        {"task": "digits", "model": "tiny", "trigger": "square", "rule": "all-to-all", "target": math.nan},
        {"task": "digits", "model": "tiny", "trigger": "", "rule": "", "target": math.nan},
    ]
)
CHOICES = pd.DataFrame([{"task": "digits", "trigger": "square", "rule": "all-to-one", "target": 0}])


def test_each_setting_is_listed_once_and_a_row_without_trigger_makes_none():
    one, every = settings_of(RUNS, CHOICES)
    assert one == Setting("digits", "tiny", "square", "all-to-one", 0)
    assert every == Setting("digits", "tiny", "square", "all-to-all", None)


def test_choices_alone_make_a_setting_whose_model_is_unknown():
    (setting,) = settings_of(pd.DataFrame(columns=["method"]), CHOICES)
    assert setting.model is None
    assert setting.slug == "digits-square-all-to-one-0"


def test_a_row_belongs_to_every_setting_that_it_does_not_contradict():
    one, every = settings_of(RUNS)
    assert list(at_setting(RUNS, one).index) == [0, 2]
    assert list(at_setting(RUNS, every).index) == [1, 2]
    assert len(at_setting(CHOICES, one)) == 1
    assert len(at_setting(CHOICES, every)) == 0


def test_a_target_by_name_stays_text():
    (setting,) = settings_of(CHOICES.assign(target="positive"))
    assert setting.target == "positive"
    assert setting.words == "digits, square, all-to-one, target positive"


def test_slugs_are_plain():
    assert slug("square:size=4, A b") == "square-size-4-a-b"
    assert Setting("digits", "m", "five-pixel", "all-to-all", None).words == "digits, five-pixel, all-to-all"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("C", "C#"),
        ("猫", "狗"),
        ("word:猫", "word:狗"),
        ("x" * 300, "x" * 301),
        ("naïve", "na-ve"),
        ("", "é"),
    ],
)
def test_names_that_differ_in_signs_or_other_scripts_have_other_slugs(one, other):
    assert slug(one) != slug(other)


@pytest.mark.parametrize(
    "name", ["digits-resnet-tiny-square:size=4-all-to-one-7", "blend:alpha=0.1", "T-shirt/top", ""]
)
def test_usual_names_have_no_hash(name):
    assert slug(name) == re.sub("[^a-z0-9]+", "-", name.lower())


@given(st.sets(any_text))
def test_slugs_of_any_names_are_short_safe_and_unlike_one_another_without_case(texts):
    slugs = slugs_of(texts)
    assert len({short.lower() for short in slugs.values()}) == len(texts)
    assert all(re.fullmatch("[a-z0-9-]{0,130}", short) for short in slugs.values())


def test_of_names_that_differ_in_case_or_separators_one_keeps_the_plain_slug():
    slugs = slugs_of(["A", "a", "a b", "a-b"])
    assert sorted(len(short) for short in slugs.values()) == [1, 3, 10, 12]


def test_settings_that_differ_in_any_way_have_slugs_that_differ():
    targets = [text for text in HOSTILE if "\udcff" not in text]  # a frame cannot hold that
    frame = pd.concat([CHOICES.assign(target=target, trigger=f"word:{target}") for target in targets])
    moved = pd.concat([CHOICES.assign(task="a-b", trigger="c"), CHOICES.assign(task="a", trigger="b-c")])
    settings = settings_of(frame, moved, moved.assign(task="A"))
    assert len(settings) == len(targets) + 4
    assert len({setting.slug for setting in settings}) == len(settings)
