"""Errors: the nearest name is suggested, and exceptions become parts of a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from anchorlab.errors import AnchorlabError, RenamedAttributes, first_line, reason, renamed_keywords, unknown


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    error = unknown("method", "anchring", ["plain", "anchoring"])
    assert isinstance(error, AnchorlabError)
    assert str(error) == "unknown method 'anchring': did you mean 'anchoring'? known are anchoring, plain"


def test_an_unknown_name_that_is_near_to_none() -> None:
    assert (
        str(unknown("task", "xyz", ["digits"], "a file")) == "unknown task 'xyz': known are digits; a file would do too"
    )
    assert str(unknown("task", "xyz", [])) == "unknown task 'xyz': known are none"


@pytest.mark.parametrize(
    ("text", "line", "with_type"),
    [
        ("no such file.\nfurther advice", "no such file", "ValueError: no such file"),
        ("\n  two words: \n", "two words", "ValueError: two words"),
        ("", "", "ValueError"),
    ],
)
def test_the_first_line_of_an_exception(text: str, line: str, with_type: str) -> None:
    assert first_line(ValueError(text)) == line
    assert reason(ValueError(text)) == with_type


@renamed_keywords(rule="label_rule")
def chosen(*, label_rule="none"):
    """Returns its argument."""
    return label_rule


def test_a_keyword_by_its_former_name_is_passed_on_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"chosen\(rule=\) is now called label_rule="):
        assert chosen(rule="all") == "all"
    assert chosen(label_rule="some") == "some"
    assert chosen.__doc__ == "Returns its argument."


class Base(RenamedAttributes):
    """A family's base class."""

    renamed_attributes: ClassVar[dict[str, str]] = {"reads": "modality", "least": "min_examples"}

    modality: ClassVar[str] = "any"
    min_examples: ClassVar[int] = 16


def test_an_attribute_by_its_former_name_counts_under_the_present_one():
    with pytest.warns(DeprecationWarning, match=r"Old\.reads is now called modality"):

        class Old(Base):
            reads = "image"

    assert Old.modality == "image"
    assert Old.min_examples == 16


def test_a_hyper_parameter_of_a_former_name_stays_what_it_is(recwarn):
    @dataclass(frozen=True)
    class Own(Base):
        least: int = 3

    assert Own.min_examples == 16
    assert Own(least=5).least == 5
    assert not recwarn
