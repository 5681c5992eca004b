"""Short and long forms of a suite file mean the same."""

from __future__ import annotations

import pytest

from anchorlab.suites.reading import parse_suite
from tests.suites.toys import toys

__all__ = ["toys"]  # the fixture

HEAD = "name: mine\ntitle: Mine\ntasks: [digits]\n"


def test_short_and_long_forms_mean_the_same() -> None:
    short = parse_suite(HEAD + "methods: {plain: , anchoring: [1, 4]}\nreferences: 2\nanchors: 64\ntarget_asr: 0.9\n")
    long = parse_suite(
        "name: mine\ntitle: Mine\ntasks:\n- name: digits\nreferences: [0, 1]\nanchors: [64]\ntarget_asr: [0.9]\n"
        "triggers: [{trigger: five-pixel}]\nmethods:\n  plain: {method: plain}\n  anchoring:\n    grid: [1, 4]\n"
    )
    assert short == long


@pytest.mark.usefixtures("toys")
def test_short_and_long_forms_of_repairs_and_detectors_mean_the_same() -> None:
    short = parse_suite(HEAD + "methods: {plain: }\n" + "repairs: [fine-tuning]\ndetectors: bias\ndefender: 20\n")
    long = parse_suite(
        HEAD
        + "methods: {plain: }\n"
        + "repairs: {fine-tuning: {repair: fine-tuning}}\ndetectors: {bias: }\ndefender: [20]\n"
    )
    assert short == long
    assert parse_suite(short.to_yaml()) == short
