"""``list``: everything that can be chosen, with its parameters."""

from __future__ import annotations

import pytest

import anchorlab
from anchorlab.cli.listing import SECTIONS
from anchorlab.methods import METHODS
from anchorlab.triggers import TRIGGERS
from tests.cli.conftest import Run


@pytest.mark.parametrize("section", SECTIONS)
def test_list_shows_one_section(run: Run, section):
    shown = run("list", section)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"{section}\n")


def test_list_shows_everything(run: Run):
    shown = run("list", "--seed", 0).out
    for name in (*SECTIONS, *anchorlab.data.TASKS.names(), *METHODS.names(), *TRIGGERS.names()):
        assert name in shown


def test_list_shows_the_parameters_with_type_default_and_description(run: Run):
    shown = run("list", "methods").out
    words = " ".join(shown.split())
    assert "strength float = 2.0 weight of the anchor loss, lambda in the paper (from 0)" in words
    rules = run("list", "label-rules").out
    assert any(line.split()[:3] == ["source", "int", "required"] for line in rules.splitlines())


def test_they_are_listed(run):
    assert "neural-cleanse: " in run("list", "detectors").out
    listed = run("list", "repairs").out
    assert "fine-pruning: " in listed
    assert "oracle-fine-pruning, oracle-anp, oracle-rnp." in " ".join(listed.split())
