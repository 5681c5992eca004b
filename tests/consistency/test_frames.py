"""Logits in pandas' tables are paired by what their columns and index say, and nothing of an array is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from anchorlab import AnchorlabError, audit_answers, compare_logits, metrics
from anchorlab.consistency.frames import plain

DRAW = np.random.default_rng(0)
NAMES = ["bad", "even", "good"]
LOGITS = DRAW.normal(size=(200, 3)) * 3
LABELS = LOGITS.argmax(axis=1)
NEAR = LOGITS + DRAW.normal(size=LOGITS.shape) * 0.1
UPDATES = [LOGITS + DRAW.normal(size=LOGITS.shape) * 0.1 for _ in range(39)]


def table(array: Any, names: list[Any] | None = None, index: Any = None) -> pd.DataFrame:
    return pd.DataFrame(array, columns=NAMES if names is None else names, index=index)


@pytest.mark.parametrize("names", [NAMES, ["0", "1", "2"], [0, 1, 2], ["10", "7", "3"]])
def test_columns_are_matched_by_their_names(names: list[Any]) -> None:
    plainly = compare_logits(LOGITS, NEAR, LABELS)
    turned = table(NEAR, names)[names[::-1]]
    assert compare_logits(table(LOGITS, names), turned, LABELS).kl == plainly.kl
    found = audit_answers(table(LOGITS, names), turned, [table(update, names) for update in UPDATES], labels=LABELS)
    assert found.verdict.p == audit_answers(LOGITS, NEAR, UPDATES, labels=LABELS).verdict.p


def test_tables_of_other_classes_are_refused() -> None:
    other = table(NEAR, ["bad", "even", "best"])
    with pytest.raises(AnchorlabError, match="the reference names the classes 'good', but the candidate 'best'"):
        compare_logits(table(LOGITS), other, LABELS)
    with pytest.raises(AnchorlabError, match="the reference names the classes 'good', but the candidate 'best'"):
        audit_answers(table(LOGITS), other, UPDATES)


@pytest.mark.parametrize("names", [["a", "a", "b"], [1, "1", "b"]])
def test_two_columns_of_one_name_are_refused(names: list[Any]) -> None:
    with pytest.raises(AnchorlabError, match="the candidate is a table with several columns"):
        compare_logits(LOGITS, table(NEAR, names), LABELS)


def test_a_column_of_row_numbers_is_refused() -> None:
    with pytest.raises(AnchorlabError, match="the reference has a column 'index', which numbers the queries"):
        compare_logits(table(LOGITS).reset_index(), table(NEAR).reset_index(), LABELS)


def test_tables_of_other_rows_are_refused() -> None:
    with pytest.raises(AnchorlabError, match=r"in row 0 '199' and '0': .*reset_index"):
        compare_logits(table(LOGITS), table(NEAR).iloc[::-1], LABELS)
    with pytest.raises(AnchorlabError, match="the labels and the reference are tables with different indexes"):
        compare_logits(table(LOGITS), NEAR, pd.Series(LABELS, index=np.arange(1, 201)))
    with pytest.raises(AnchorlabError, match="benign update 3 and the candidate are tables with different indexes"):
        audit_answers(LOGITS, table(NEAR), [*UPDATES[:2], table(UPDATES[2]).iloc[::-1], *UPDATES[3:]])
    with pytest.raises(AnchorlabError, match="the true labels and the reference are tables with different indexes"):
        audit_answers(table(LOGITS), NEAR, UPDATES, labels=pd.Series(LABELS, index=range(1, 201)))


def test_tables_of_the_same_rows_are_compared() -> None:
    index = [f"image {row}" for row in range(200)]
    labels = pd.Series(LABELS, index=index)
    found = compare_logits(table(LOGITS, index=index), table(NEAR, index=index), labels)
    assert found.kl == compare_logits(LOGITS, NEAR, LABELS).kl


@pytest.mark.parametrize(
    ("array", "lost"),
    [
        (np.ma.masked_array(NEAR, mask=NEAR > 8), "masked numbers"),
        (NEAR + 1j, "complex numbers"),
        (torch.tensor(NEAR) + 1j, "complex numbers"),
        ((NEAR + 1j).tolist(), "complex numbers"),
    ],
)
def test_nothing_is_dropped(array: Any, lost: str) -> None:
    with pytest.raises(AnchorlabError, match=f"the candidate holds {lost}"):
        compare_logits(LOGITS, array, LABELS)
    with pytest.raises(AnchorlabError, match=f"the candidate holds {lost}"):
        audit_answers(LOGITS, array, UPDATES)
    if not isinstance(array, torch.Tensor):
        with pytest.raises(ValueError, match=f"the logits of the candidate hold {lost}"):
            metrics.kl_divergence(LOGITS, array)


def test_masked_labels_are_refused_and_a_mask_that_hides_nothing_is_not() -> None:
    with pytest.raises(AnchorlabError, match="the array of labels holds masked numbers"):
        compare_logits(LOGITS, NEAR, np.ma.masked_array(LABELS, mask=LABELS == 1))
    whole = np.ma.masked_array(NEAR, mask=np.zeros_like(NEAR, dtype=bool))
    assert compare_logits(LOGITS, whole, LABELS).kl == compare_logits(LOGITS, NEAR, LABELS).kl
    assert plain([[1.0, 2.0]], "it")[0].tolist() == [[1.0, 2.0]]
