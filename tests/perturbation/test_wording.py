"""How findings write numbers."""

from __future__ import annotations

import math

import pandas as pd

from anchorlab.perturbation.wording import digits, interval, percent, rows_where, sentence


def test_numbers_in_words():
    assert [digits(value) for value in (0, 0.12345, 1234.5, 1e-7)] == ["0", "0.123", "1.23e+03", "1e-07"]
    assert [digits(value) for value in (-0.5, -1)] == ["-0.5", "-1"]
    assert [percent(share) for share in (0.0907, None, math.nan)] == ["9.07%", "undefined", "undefined"]
    assert interval({"kl": 1.0, "kl_lower": 0.5, "kl_upper": 2.0}, "kl") == "1 [0.5, 2]"
    assert sentence("not in it.") == "Not in it."


def test_rows_are_picked_by_their_values():
    table = pd.DataFrame({"part": ["all", "weights"], "kl": [1.0, 2.0]})
    assert rows_where(table, part="weights") == [{"part": "weights", "kl": 2.0}]
    assert len(rows_where(table)) == 2
    assert rows_where(pd.DataFrame(), part="all") == []
