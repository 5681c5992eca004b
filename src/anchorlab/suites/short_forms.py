"""Turns the short forms of a suite file into the long forms of the model.

The functions take the values of YAML. They leave a value that they do not understand as it is; the model refuses it.
"""

from __future__ import annotations

from typing import Any

from anchorlab.errors import quoted

#: Most seeds that a number stands for.
MOST_SEEDS = 10_000


def as_list(values: Any) -> Any:
    """A list; a single value stands for a list of one."""
    return values if isinstance(values, list) else [values]


def long_entries(entries: Any, key: str) -> Any:
    """A list of mappings; a text stands for a mapping that has ``key`` alone."""
    return [{key: entry} if isinstance(entry, str) else entry for entry in as_list(entries)]


def long_seeds(seeds: Any, *, first: int = 0) -> Any:
    """A list of seeds; a number n stands for n seeds from the first on."""
    if not isinstance(seeds, int) or isinstance(seeds, bool):
        return seeds
    if seeds < 1:
        raise ValueError(f"{quoted(seeds)} are too few: give at least 1")
    if seeds > MOST_SEEDS:
        raise ValueError(f"{quoted(seeds)} are too many: give at most {MOST_SEEDS:,}")
    return list(range(first, first + seeds))


def long_methods(methods: Any) -> Any:
    """Label to method; the label stands for its name, a list for its grid."""
    if not isinstance(methods, dict):
        return methods
    return {label: _long_method(label, value) for label, value in methods.items()}


def _long_method(label: Any, value: Any) -> Any:
    if value is None:
        return {"method": label}
    if isinstance(value, list):
        return {"method": label, "grid": value}
    return {"method": label, **value} if isinstance(value, dict) else value


def long_defences(values: Any, key: str, former_key: str | None = None) -> Any:
    """Label to repair or detector, from a list of names or a mapping; the label stands for the name."""
    if isinstance(values, (str, list)):
        names = as_list(values)
        for name in names:
            if not isinstance(name, str):
                raise ValueError(f"a list holds names alone, not {name}: write LABEL: {{{key}: NAME, set: …}} for each")
            if names.count(name) > 1:
                raise ValueError(f"{name} stands there twice: keep one")
        values = dict.fromkeys(names)
    if not isinstance(values, dict):
        return values
    return {label: _long_defence(label, value, key, former_key) for label, value in values.items()}


def _long_defence(label: Any, value: Any, key: str, former_key: str | None) -> Any:
    if value is None:
        return {key: label}
    if not isinstance(value, dict) or key in value or former_key in value:
        return value
    return {key: label, **value}
