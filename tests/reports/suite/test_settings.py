"""Settings, and which rows belong to one, from frames made up by hand."""

import math

import pandas as pd

from anchorlab.reports.suite.settings import Setting, at_setting, settings_of, slug

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
