"""Errors: the nearest name is suggested, exceptions become parts of a sentence, and names are safe to print."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.errors import (
    QUOTED,
    SCREEN,
    AnchorlabError,
    RenamedAttributes,
    first_line,
    printable,
    quoted,
    reason,
    removal,
    renamed_keywords,
    shell_word,
    shortened,
    some,
    unknown,
)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    error = unknown("method", "anchring", ["plain", "anchoring"])
    assert isinstance(error, AnchorlabError)
    assert str(error) == "unknown method 'anchring': did you mean 'anchoring'? known are anchoring, plain"


def test_an_unknown_name_that_is_near_to_none() -> None:
    assert (
        str(unknown("task", "xyz", ["digits"], "a file")) == "unknown task 'xyz': known are digits; a file would do too"
    )
    assert str(unknown("task", "xyz", [])) == "unknown task 'xyz': known are none"


def test_of_many_known_names_some_are_listed() -> None:
    text = str(unknown("class", "x" * 100_000, [f"class-{number:05d}" for number in range(10_000)]))
    assert len(text) < SCREEN
    assert "class-00039 and 9,960 more" in text


def test_what_is_too_long_keeps_its_beginning_and_its_end() -> None:
    assert shortened("short") == "short"
    text = shortened("a" * 1000 + "z" * 1000)
    assert len(text) == QUOTED
    assert (text[:9], text[-9:]) == ("a" * 9, "z" * 9)
    assert " … 1,880 characters … " in text


@given(st.text(), st.integers(40, 100))
def test_a_shortened_text_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(shortened(text, limit)) <= limit


def test_a_value_is_quoted_as_python_writes_it_if_that_is_possible() -> None:
    assert quoted("it's") == '"it\'s"'
    assert len(quoted(["x"] * 10_000)) == QUOTED
    assert quoted(10**5000) == "a value of type int that is too large to show"


def test_a_message_fills_no_more_than_a_screen_and_keeps_the_remedy() -> None:
    text = str(AnchorlabError(f"the label '{'x' * 10**6}' is\x07 unknown: give another"))
    assert len(text) == SCREEN
    assert text.startswith("the label 'xxx")
    assert text.endswith(r"is\x07 unknown: give another")


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat", "cat"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("two\r\nlines\tof\u2028text", r"two\r\nlines\tof\u2028text"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("no\udcffutf", r"no\udcffutf"),
        ("\x07\x7f\x9b2J", r"\x07\x7f\x9b2J"),
        ("猫 \u3000 naïve L∞ 👩‍👩‍👧", "猫 \u3000 naïve L∞ 👩‍👩‍👧"),
    ],
)
def test_what_steers_a_terminal_is_printed_as_its_code(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_anything_is_printed_as_one_line_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode()
    assert printable(shown) == shown


@given(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=12))
def test_a_shell_reads_every_word_as_it_is(text):
    word = shell_word(text)
    assert word.isprintable()
    assert " ".join(word.split()) == word
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert said == text.encode(errors="surrogateescape")


def test_a_command_removes_a_file_or_a_folder_and_nothing_else(tmp_path):
    for name in ("a; rm -r kept", "tab\tand  spaces", "it's"):
        (tmp_path / name).mkdir()
        file = tmp_path / f"{name}.json"
        file.touch()
        for path in (tmp_path / name, file):
            subprocess.run(["bash", "-c", removal(path)], check=True, cwd=tmp_path)
            assert not path.exists()
    assert removal(Path("x/" * 450)) == "rm -r PATH"


def test_several_names_are_few_short_and_printable() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(["a", "b", "c", "d\x1b"], 2) == "a, b and 2 more"
    assert "\x1b" not in some(["d\x1b"])
    assert len(some(["long" * 100])) <= 80
