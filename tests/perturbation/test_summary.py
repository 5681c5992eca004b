"""Tables of an analysis as they are shown, and as the documentation describes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from anchorlab.perturbation.summary import describe_tables, summary_table, table_of
from anchorlab.statistics.table import print_rich
from tests.made_up_analysis import NAMES, made_up


def test_the_summary_says_what_matters_of_each_candidate(capsys):
    table = summary_table(made_up())
    assert [column.title for column in table.columns] == [
        "relative L2", "KL", "ASR", "error barrier", "loss barrier", "quadratic / measured",
    ]  # fmt: skip
    assert [row.head for row in table.groups[0].rows] == list(NAMES)
    print_rich(table, Console(width=160, markup=False))
    assert NAMES[1] in capsys.readouterr().out


def test_a_table_has_the_headings_of_its_record():
    table = table_of(made_up(), "quadratic")
    assert table.caption == "The effect on the function to second order, beside the measured one."
    titles = {column.key: column.title for column in table.columns}
    assert titles["ewc"] == "EWC's diagonal"
    assert titles["fisher_norm"] == "fisher norm"


def test_cells_have_three_digits_counts_all_of_theirs_and_intervals_stand_beside():
    analysis = made_up()
    known = {"kl": [0.0, 0.012345, 1234.0], "kl_lower": [0.0, 0.01, -1.0], "kl_upper": [0.0, 0.015, 1234.5]}
    quadratic = analysis.tables["quadratic"].assign(**known)
    table = table_of(replace(analysis, tables={**analysis.tables, "quadratic": quadratic}), "quadratic")
    cells = [row.cells[0] for row in table.groups[0].rows]
    assert [cell.text for cell in cells] == ["0", "0.0123", "1,234"]
    assert [cell.interval for cell in cells] == ["[0, 0]", "[0.01, 0.015]", "[−1, 1.23e+03]"]


def test_of_sizes_only_the_whole_model_is_shown():
    table = table_of(made_up(), "sizes")
    assert [row.head for row in table.groups[0].rows] == list(NAMES)
    assert "layer" not in [column.key for column in table.columns]


def test_the_docs_describe_every_table():
    page = (Path(__file__).parents[2] / "docs" / "perturbation.md").read_text()
    described = page[page.index("### `sizes`") :]
    assert described == describe_tables(), f"end docs/perturbation.md with:\n\n{describe_tables()}"
