"""The parts of a suite file."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from anchorlab import AnchorlabError
from anchorlab.suites.parts import MethodSpec, TaskSpec
from anchorlab.suites.plan import reference_job
from anchorlab.suites.reading import parse_suite
from anchorlab.triggers import TRIGGERS, Square
from tests.suites.inline import tiny


@given(st.floats(1e-6, 1e3), st.floats(1.5, 10), st.integers(2, 6))
def test_a_geometric_grid_is_accepted_and_its_values_reach_the_method(first: float, ratio: float, length: int) -> None:
    grid = [first * ratio**power for power in range(length)]
    spec = MethodSpec(method="anchoring", grid=grid, set={"centred": True})
    assert [spec.parameters(value) for value in spec.grid] == [{"centred": True, "strength": value} for value in grid]


def test_counts_are_whole_numbers() -> None:
    assert MethodSpec(method="surgery", grid=[1000, 3162.3]).parameters(3162.3) == {"count": 3162}


def test_a_bound_on_tokens_reaches_the_reference_and_suits_texts_alone() -> None:
    spec = TaskSpec(name="imdb", model="bert-tiny", max_length=128)
    assert reference_job(spec, 0).max_length == 128
    with pytest.raises(AnchorlabError, match="tokens of texts, but the task digits holds images"):
        TaskSpec(name="digits", max_length=128)


def test_anchors_of_other_data_are_of_a_named_task_that_fits() -> None:
    assert MethodSpec(method="anchoring", anchors_data="digits").anchors_data == "digits"
    with pytest.raises(AnchorlabError, match=r"unknown task for anchors 'cifar': did you mean 'cifar10'\?"):
        MethodSpec(method="anchoring", anchors_data="cifar")
    for name, message in (
        ("digits", "foreign takes its anchors from digits, its own task: name another one"),
        ("sst2", "foreign takes texts of sst2 for anchors, but digits holds images: name another"),
    ):
        with pytest.raises(ValidationError, match=message):
            tiny(methods={"foreign": {"method": "anchoring", "anchors_data": name}})


def test_a_trigger_is_built_once_when_a_suite_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture's file is read as often, and may change in between."""
    parse = Mock(wraps=TRIGGERS.parse)
    monkeypatch.setattr(TRIGGERS, "parse", parse)
    suite = parse_suite("name: s\ntitle: S\ntasks: digits\ntriggers: 'square:size=3'\nmethods: {plain: }\n")
    parse.assert_called_once_with("square:size=3", None)
    assert suite.triggers[0].built == Square(size=3)
