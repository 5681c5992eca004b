"""A table is the same in every form."""

import csv
import io

import pytest
from rich.console import Console

from anchorlab.statistics.table import (
    Cell,
    Column,
    Row,
    Rows,
    Table,
    print_full,
    print_rich,
    to_csv,
    to_html,
    to_latex,
    to_markdown_table,
)

TABLE = Table(
    name="made-up",
    caption="Made up, 100% of it.",
    head="method",
    columns=[Column("kl", "KL"), Column("edge_case", "at_edge", is_text=True)],
    groups=[
        Rows(
            [
                Row("a_b", [Cell("0.500", 0.5, (0.4, 0.6), "[0.400, 0.600]", "p .031", best=True), Cell("yes", "yes")]),
                Row("c & d [bold]", [Cell("undefined"), Cell("no", "no")], sub="strength 2"),
                Row("e", (), sub="not reached (best ASR 0.5)"),
            ],
            "64 anchors",
        )
    ],
    notes=["A note."],
)


def test_csv_has_values_and_bounds_of_their_own():
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert rows[0] == {
        **{"group": "64 anchors", "method": "a_b", "detail": "", "kl": "0.5", "kl_lower": "0.4", "kl_upper": "0.6"},
        **{"kl_note": "p .031", "edge_case": "yes"},
    }
    assert (rows[1]["kl"], rows[1]["kl_lower"], rows[1]["detail"]) == ("undefined", "", "strength 2")
    assert (rows[2]["kl"], rows[2]["detail"]) == ("", "not reached (best ASR 0.5)")


def test_latex_is_escaped_and_every_line_has_all_columns():
    text = to_latex(TABLE)
    assert r"\begin{tabular}{lrl}" in text
    assert r"a\_b & \textbf{0.500} {\scriptsize [0.400, 0.600] p .031} & yes \\" in text
    assert r"c \& d [bold] & undefined & no \\" in text
    assert r"e & \multicolumn{2}{l}{not reached (best ASR 0.5)} \\" in text
    assert text.startswith("% Made up, 100% of it.\n% A note.\n")
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]


def test_markdown_has_the_group_as_a_column():
    lines = to_markdown_table(TABLE).splitlines()
    assert lines[0] == "| method | anchors | KL | at_edge |"
    assert lines[2] == "| a_b | 64 | 0.500 [0.400, 0.600] p .031 | yes |"
    assert {line.count("|") for line in lines} == {5}


@pytest.mark.parametrize("markup", [True, False])
@pytest.mark.parametrize("width", [80, 40])
def test_a_terminal_is_never_overrun_and_markup_is_text(width, markup):
    console = Console(width=width, file=io.StringIO(), markup=markup)
    print_rich(TABLE, console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "[bold]" in text
    assert "[dim]" not in text
    assert "0.400–0.600" in text


def test_html_is_escaped_and_every_cell_has_its_interval():
    text = to_html(TABLE)
    assert "<caption>Made up, 100% of it.</caption>" in text
    assert '<tr><th colspan="3">64 anchors</th></tr>' in text
    assert "<tr><th>a_b</th><td>0.500 [0.400, 0.600] p .031</td><td>yes</td></tr>" in text
    assert "<tr><th>c &amp; d [bold]</th><td>undefined</td><td>no</td></tr>" in text
    assert "<tr><th>e</th><td>not reached (best ASR 0.5)</td></tr>" in text


def test_the_whole_table_on_a_terminal_has_caption_every_column_and_notes():
    console = Console(width=80, file=io.StringIO(), markup=False)
    print_full(TABLE, console)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert lines[0] == "Made up, 100% of it."
    assert "method KL at_edge" in lines
    assert "a_b 0.500 [0.400, 0.600] yes" in lines
    assert "p .031" in lines
    assert "c & d [bold] undefined no" in lines
    assert "e not reached (best ASR 0.5)" in " ".join(lines)
    assert lines[-1] == "A note."
