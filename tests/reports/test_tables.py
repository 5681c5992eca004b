"""The tables against pandas and numbers by hand."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from anchorlab.errors import AnchorlabError
from anchorlab.reports.tables import (
    COLUMNS,
    MEASUREMENTS,
    caption,
    deviation,
    print_table,
    significant,
    strength,
    summary,
    to_markdown,
)


def markdown_rows(results):
    """The table parsed back: title to cell, a dictionary a row."""
    titles, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in to_markdown(results).splitlines()
    ]
    return [dict(zip(titles, line, strict=True)) for line in lines]


def printed(results, width=80):
    console = Console(width=width, file=io.StringIO())
    print_table(results, console)
    return console.file.getvalue()


def test_summary_is_what_pandas_computes(results):
    table = summary(results)
    for name in MEASUREMENTS:
        grouped = results.assign(value=results[name].astype(float)).groupby(["anchors", "method"])["value"]
        for key, values in grouped:
            if values.isna().any():
                assert math.isnan(table.loc[key, name])
                continue
            assert table.loc[key, name] == pytest.approx(np.mean(values), rel=1e-12)
            assert table.loc[key, f"{name}_sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-15)
    assert (table["runs"] == 3).all()
    assert table.loc[(64, "benign"), "asr_undefined"] == 3
    assert table.loc[(64, "plain"), "asr_undefined"] == 0


def test_rows_come_in_order_of_first_appearance_with_each_number_of_anchors_together(results):
    methods = list(results["method"].unique())
    expected = [(count, method) for count in (64, 640) for method in methods]
    assert list(summary(results).index) == expected
    backwards = summary(results.iloc[::-1])
    assert list(backwards.index) == expected[::-1]


def test_every_cell_of_the_markdown_is_the_mean_and_deviation(results):
    rows = markdown_rows(results)
    assert len(rows) == 16
    for row in rows:
        runs = results[(results["method"] == row["method"]) & (results["anchors"] == int(row["anchors"]))]
        assert row["runs"] == "3"
        for column in COLUMNS:
            cell = row[column.title if column.name != "asr" else "ASR (of 9,000)"]
            values = runs[column.name].astype(float)
            if values.isna().all():
                assert cell == "undefined"
                continue
            mean, sd = (float(number) for number in cell.split(" ± "))
            assert mean == pytest.approx(values.mean(), rel=0.005, abs=5.1e-5)
            assert sd == pytest.approx(values.std(ddof=1), abs=0.51 * 10 ** -len(cell.split(" ± ")[1].split(".")[-1]))


def test_numbers_by_hand():
    """ASR .99, .98, 1.00 has mean .99 and sample deviation .01; logit distance 1, 2, 6 has 3 and sqrt(7) = 2.6458."""
    results = pd.DataFrame(
        {
            "method": "plain",
            "strength": math.nan,
            "anchors": 64,
            "seed": [0, 1, 2],
            "reference_seed": 0,
            "asr_count": 100,
            **dict.fromkeys(MEASUREMENTS, 0.5),
        }
    ).assign(asr=[0.99, 0.98, 1.0], logit_distance=[1.0, 2.0, 6.0])
    (row,) = markdown_rows(results)
    assert row["ASR (of 100)"] == "0.9900 ± 0.0100"
    assert row["logit distance"] == "3.00 ± 2.65"
    assert row["KL"] == "0.500 ± 0.000"
    assert row["strength"] == "–"
    assert "anchors" not in row


@pytest.mark.parametrize("missing", [None, math.nan])
def test_undefined_values_are_said_to_be_undefined_and_never_nan(results, missing):
    results["pearson_correct"] = results["pearson_correct"].astype(object)
    results.loc[(results["method"] == "plain") & (results["seed"] == 1), "pearson_correct"] = missing
    plain, *_, benign = markdown_rows(results)[:8]
    assert plain["Pearson correct"] == "undefined in 1 of 3"
    assert benign["ASR (of 9,000)"] == "undefined"
    for text in (to_markdown(results), printed(results)):
        assert "nan" not in text.lower()
        assert "None" not in text
    assert "undefined" in printed(results)
    assert "in 1 of 3" in printed(results)


def test_a_single_run_has_no_deviation(results):
    once = results[results["seed"] == 0]
    assert "±" not in to_markdown(once)
    assert "±" not in printed(once)
    assert caption(once).startswith("One run of each.")


def test_the_table_fits_a_terminal_of_80_columns_uncut(results):
    text = printed(results)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    table = summary(results)
    for column in COLUMNS:
        if column.name != "asr_reference":
            assert column.write(table.loc[(640, "anchoring"), column.name]) in text
    assert text.index("64 anchors") < text.index("640 anchors")


def test_the_caption_gives_what_holds_for_all(results):
    """The references' accuracies .915, .916, .917: mean .916, deviation .001; their ASR .0021, .0022, .0023."""
    assert caption(results) == (
        "Mean ± sample standard deviation over 3 runs. ASR of 9,000 triggered inputs. "
        "The reference: accuracy 0.9160 ± 0.0010, ASR 0.0022 ± 0.0001."
    )


def test_a_method_name_may_hold_brackets(results):
    results["method"] = results["method"].replace("l2", "mine [bold]")
    assert "mine [bold]" in printed(results, width=100)


def test_strength_is_a_number_a_range_or_a_dash():
    assert strength(pd.DataFrame({"strength": [2.0, 2.0]})) == "2"
    assert strength(pd.DataFrame({"strength": [0.5, 2.0]})) == "0.5 to 2"
    assert strength(pd.DataFrame({"strength": [None, None]})) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.018, "0.0180"),
        (8.416, "8.42"),
        (9.999, "10.0"),
        (123.4, "123"),
        (51234.0, "51234"),
        (-0.5, "-0.500"),
        (1.234e-5, "1.23e-5"),
        (0.00012345, "0.000123"),
        (0.0, "0"),
    ],
)
def test_significant_digits(value, text):
    assert significant(value) == text


@pytest.mark.parametrize(
    ("sd", "mean", "text"),
    [
        (1.126, "8.14", "1.13"),
        (0.0023, "8.14", "0.002"),
        (0.0, "0.9300", "0.0000"),
        (1e-17, "0.9300", "0.0000"),
        (0.00003, "0.9300", "3e-5"),
        (2.34e-6, "1.23e-5", "2.3e-6"),
        (0.0, "0", "0"),
    ],
)
def test_deviations_have_the_decimals_of_their_mean_and_never_look_like_zero(sd, mean, text):
    assert deviation(sd, mean) == text


@pytest.mark.parametrize("show", [summary, to_markdown, printed])
def test_no_results_are_refused(results, show):
    with pytest.raises(AnchorlabError, match="no results"):
        show(results.iloc[:0])
