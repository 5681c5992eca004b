"""YAML that anybody may have written: plain values are read, and everything else is named with its line."""

from __future__ import annotations

import pytest

from anchorlab.suites.yaml_text import parse_yaml
from tests.refusals import refused

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_plain_values_are_read() -> None:
    _, data = parse_yaml("name: a\nseeds: &s [0, 1]\nfurther: {same: *s, none: null, rate: 0.5, on_: true}\n", "it")
    assert data == {
        "name": "a",
        "seeds": [0, 1],
        "further": {"same": [0, 1], "none": None, "rate": 0.5, "on_": True},
    }


def test_a_date_is_text() -> None:
    assert parse_yaml("title: 2026-01-31\nother: 2026-99-99\n", "it")[1] == {
        "title": "2026-01-31",
        "other": "2026-99-99",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not a suite: expected keys"),
        ("null", "it is not a suite: expected keys"),
        ("[a, b]", "it is not a suite: expected keys"),
        ("just text", "it is not a suite: expected keys"),
        ("a: 1\nb: [", "line 2 of it is not YAML"),
        ("a: 1\n\tb: 2", "line 2 of it is not YAML"),
        ("a: 1\n---\nb: 2", "of it is not YAML"),
        ("a: \0", "it is not YAML"),
        ("name: a\na: !!python/object/apply:os.system [true]", "line 2 of it: the tag .*python.* is not for suite"),
        ("a: !!binary aGk=", "line 1 of it: the tag .*binary is not for suite files: write a plain value"),
        ("a: !mine x", "line 1 of it: the tag !mine is not for suite files"),
        ("x: 1\na: &a [*a]", "line 2 of it: the value holds itself by an alias"),
        ("a: &a {b: *a}", "line 1 of it: the value holds itself by an alias"),
        (BOMB, "line [5-9] of it: there are more than 100,000 values"),
        ("x: 1\na: " + "9" * 5000, "line 2 of it is not YAML: .* cannot "),
        ("a: !!int x", "line 1 of it is not YAML: 'x' cannot be read"),
        ("a: !!bool x", "line 1 of it is not YAML: 'x' cannot be read"),
        ("a: !!float ''", "line 1 of it is not YAML: '' cannot be read"),
        ("a: 1\nb: 2\na: 3", "line 3 of it: the key 'a' stands there twice: keep one"),
        ("1: x", "line 1 of it: the key '1' is not text: put it in quotation marks"),
        ("? [a]\n: x", "line 1 of it: the key .* is not text"),
        ("a:\n  null: x", "line 2 of it: the key 'null' is not text"),
        ("a: " + "[" * 10_000, "it is nested more than 40 levels deep: write it flatter"),
        ("a: " + "{a: " * 10_000, "it is nested more than 40 levels deep: write it flatter"),
        ("a: " + "x" * 300_000, "it has 300,003 characters, and a suite file at most 250,000: split"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_what_is_no_suite_is_refused(text: str, message: str) -> None:
    refused(message, parse_yaml, text, "it")


def test_a_chain_of_aliases_ends() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))
    refused("it: there are more than|nested more than", parse_yaml, chain, "it")
