"""Answers given as arrays or as pandas' tables: what names and index say holds, and nothing is dropped silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from anchorlab.errors import AnchorlabError, quoted, shortened
from anchorlab.statistics.arrays import what_is_lost

#: What a column of row numbers is called.
ROW_NUMBERS = ("id", "idx", "index", "row", "unnamed: 0")


def plain(source: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """An array or a table as something with a shape, and the names of a table's columns.

    Columns that are called 0, 1, … number the classes: they are brought into this order and have no names.

    Args:
        source: an array, a tensor, a list, or a Series or DataFrame of pandas.
        name: whose it is, for messages.

    Raises:
        AnchorlabError: for masked or complex numbers, and for a table with two columns of one name, or with a column of
            row numbers.
    """
    names: tuple[str, ...] = ()
    if isinstance(source, pd.DataFrame):
        names = tuple(str(column).strip() for column in source.columns)
        twice = next((one for one, times in Counter(names).items() if times > 1), None)
        if twice is not None:
            raise AnchorlabError(
                f"{name} is a table with several columns '{shortened(twice)}', expected one of each class: rename them"
            )
        _refuse_row_numbers(source, names, name)
        source = source.to_numpy()
        numbers = [str(place) for place in range(len(names))]
        if set(names) == set(numbers):
            places = {name: place for place, name in enumerate(names)}
            source = source[:, [places[number] for number in numbers]]
            names = ()
    elif not hasattr(source, "shape"):
        source = np.asanyarray(source)
    lost = what_is_lost(source)
    if lost:
        raise AnchorlabError(f"{name} holds {lost}, expected real numbers, all of them known: give such an array")
    return source, names


def _refuse_row_numbers(table: pd.DataFrame, names: Sequence[str], whose: str) -> None:
    """Refuses a column that is called as one of row numbers and holds such: whole numbers, none of them twice."""
    for place, name in enumerate(names):
        column = table.iloc[:, place]
        if name.lower() in ROW_NUMBERS and pd.api.types.is_integer_dtype(column.dtype) and column.is_unique:
            raise AnchorlabError(
                f"{whose} has a column '{name}', which numbers the queries and is no class: leave that column out"
            )


def check_same_rows(given: Sequence[tuple[Any, str]]) -> None:
    """Raises AnchorlabError for two tables of pandas, a Series too, of which the indexes differ.

    Args:
        given: what was given, a table or anything else, and whose it is.
    """
    tables = [(one, name) for one, name in given if isinstance(one, (pd.DataFrame, pd.Series))]
    if not tables:
        return
    first, its = tables[0]
    for one, name in tables[1:]:
        if len(one) == len(first) and not one.index.equals(first.index):
            pairs = zip(one.index, first.index, strict=True)
            row = next((row for row, (here, there) in enumerate(pairs) if here != there), 0)
            raise AnchorlabError(
                f"{name} and {its} are tables with different indexes, in row {row} {quoted(str(one.index[row]))} and "
                f"{quoted(str(first.index[row]))}: bring them into one order by reindex, or, if their rows answer to "
                "the same queries already, give both with reset_index(drop=True)"
            )


def in_same_columns(reference: Any, candidate: Any) -> tuple[Any, Any]:
    """Both models' logits ``[N, C]``, the candidate's columns in the order of the reference's where tables name both.

    Raises:
        AnchorlabError: if the names differ, or ``plain`` takes one of the two not.
    """
    first, names = plain(reference, "the reference")
    second, others = plain(candidate, "the candidate")
    if not names or not others or names == others:
        return first, second
    check_same_names(("the reference", names), ("the candidate", others))
    return first, second[:, [others.index(name) for name in names]]


def check_same_names(first: tuple[str, Sequence[str]], second: tuple[str, Sequence[str]]) -> None:
    """Raises AnchorlabError, which says what differs, if two do not name the same classes, in whatever order.

    Args:
        first: whose names, and these.
        second: the same of another.
    """
    here = [name for name in first[1] if name not in second[1]]
    there = [name for name in second[1] if name not in first[1]]
    if here or there:
        raise AnchorlabError(
            f"{first[0]} names the classes {_listed(here or first[1])}, but {second[0]} "
            f"{_listed(there or second[1])}: name the columns alike"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{shortened(name)}'" for name in names[:3]) + (", …" if len(names) > 3 else "")
