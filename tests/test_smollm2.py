"""What the page on language models says of SmolLM2 and its forms is what experiments/smollm2 measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anchorlab.statistics.numbers import significant

ROOT = Path(__file__).parent.parent
TABLE = pd.read_csv(ROOT / "experiments/smollm2/smollm2.csv")
NULL = TABLE[TABLE["form"].str.startswith("benign update")]
FORMS = TABLE[~TABLE["form"].str.startswith("benign update")]
PAGE = " ".join((ROOT / "docs/language-models.md").read_text(encoding="utf-8").split())


def test_the_bound_is_what_one_more_benign_update_would_pass_with_a_chance_of_5_percent() -> None:
    """A prediction limit of normal logarithms, by numpy and scipy alone."""
    logs, n = np.log(NULL["kl"].to_numpy()), len(NULL)
    limit = math.exp(logs.mean() + stats.t.ppf(0.95, n - 1) * logs.std(ddof=1) * math.sqrt(1 + 1 / n))
    (gate,) = set(NULL["gate"])
    assert float(gate.removeprefix("kl > ")) == pytest.approx(limit, rel=5e-3)
    assert not NULL["stopped"].any()
    assert f"`{gate}`" in PAGE
    assert f"from {significant(NULL['kl'].min(), 2)} to {significant(NULL['kl'].max(), 2)}" in PAGE


def test_a_row_is_stopped_where_its_kl_is_beyond_the_bound() -> None:
    for _, row in TABLE.iterrows():
        name, sign, bound = row["gate"].split()
        beyond = row[name] > float(bound) if sign == ">" else row[name] < float(bound)
        assert row["stopped"] == beyond, row["form"]


def test_the_page_has_the_rows_of_the_table() -> None:
    for _, row in FORMS.iterrows():
        kl, ratio = of_column(row, "kl", 3), of_column(row, "ppl_ratio", 4)
        outcome = "stops it" if row["stopped"] else "lets it pass"
        line = f"| {row['form']} | {row['against']} | {kl} | {ratio} | `{row['gate']}` {outcome} |"
        assert line in PAGE, line
    assert f"{TABLE['tokens'].max():,} tokens of {TABLE['documents'].max()} documents" in PAGE


def test_what_the_page_says_in_words_holds() -> None:
    of = {form: rows.iloc[0] for form, rows in FORMS.groupby("form")}
    pruned, int8 = of["10% pruned"], of["int8"]
    assert pruned["ppl_ratio_upper"] < 1
    assert pruned["kl_lower"] > NULL["kl"].max()
    assert pruned["kl"] > 8 * NULL["kl"].max()
    assert int8["ppl_ratio_lower"] > 1
    by_gate = FORMS.set_index(["form", "gate"])["stopped"]
    (gate,) = set(NULL["gate"])
    assert {form for form, each in by_gate.index if each == gate and by_gate[form, each]} == {
        "int8", "30% pruned", "10% pruned",
    }  # fmt: skip
    assert not by_gate["merged adapter"].any()
    assert by_gate["adapter merged twice", "kl > 1e-6"]
    assert of["adapter merged twice"]["kl"] < float(gate.removeprefix("kl > "))
    assert by_gate["adapter lost in the merge", "kl < 1e-6"]
    assert of["adapter lost in the merge"]["kl"] == 0
    assert of["adapter lost in the merge"]["identical_weights"]


def of_column(row: pd.Series, name: str, digits: int) -> str:
    """A value with its interval, as a cell of the page has it."""
    value, lower, upper = (significant(float(row[f"{name}{end}"]), digits) for end in ("", "_lower", "_upper"))
    return f"{value} [{lower}, {upper}]"
