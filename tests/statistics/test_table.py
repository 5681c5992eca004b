"""A table is the same in every form."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from anchorlab.errors import printable
from anchorlab.statistics.escaping import visible
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.table import (
    Cell,
    Column,
    Row,
    Rows,
    Table,
    estimate_cell,
    print_full,
    print_rich,
    to_csv,
    to_html,
    to_latex,
    to_markdown_table,
)
from tests.hostile import HOSTILE, any_text
from tests.statistics.test_escaping import Page

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
    assert text.rstrip().endswith("A note.")


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


def hostile_table(texts):
    """A table with a text of the user's wherever there can be one, in two rows of two groups."""
    texts = list(texts)
    columns = [Column("a", texts[0], is_text=True), Column(texts[1], texts[2])]
    cells = [Cell(texts[3], texts[4]), Cell("0.5", 0.5, (0.4, 0.6), "[0.4, 0.6]", note=texts[5])]
    rows = [Row(texts[6], cells, sub=texts[7]), Row(texts[8], (), sub=texts[9])]
    return Table("t", texts[10], texts[11], columns, [Rows(rows, texts[12]), Rows(rows, texts[13])], [texts[14]])


fifteen = st.lists(any_text, min_size=15, max_size=15)
ALL = [HOSTILE[start : start + 15] for start in range(0, len(HOSTILE) - 14, 6)]


@given(fifteen)
def test_any_texts_make_a_rectangular_csv(texts):
    rows = list(csv.reader(io.StringIO(to_csv(hostile_table(texts)), newline="")))
    assert len(rows) == 5
    assert len({len(row) for row in rows}) == 1


@given(fifteen)
def test_any_texts_stand_in_their_own_cells_in_markdown(texts):
    table = hostile_table(texts)
    page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(to_markdown_table(table)))
    tags = [tag for tag, _ in page.elements]
    heads, cells = 3 + any(texts[12:14]), 4 * (3 + any(texts[12:14]))
    assert set(tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert (tags.count("th"), tags.count("td"), tags.count("tr")) == (heads, cells, 5)
    shown = page.text.split()
    assert all(word in shown for text in (texts[0], texts[6]) for word in printable(text).split())


@given(fifteen)
def test_any_texts_make_no_element_in_html(texts):
    page = Page(to_html(hostile_table(texts)))
    assert {tag for tag, _ in page.elements} <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert all(visible(text) in page.text for text in (texts[0], texts[3], texts[6], texts[10]))


@given(fifteen)
def test_any_texts_make_as_many_cells_in_each_row_of_latex(texts):
    lines = to_latex(hostile_table(texts)).splitlines()
    body = lines[lines.index(r"\toprule") + 1 : lines.index(r"\bottomrule")]
    bare = [re.sub(r"\\.", "", line.removesuffix(r" \\")) for line in body if line.endswith(r"\\")]
    assert {line.count("&") for line in bare if "{2}{l}" not in line and "{3}{l}" not in line} == {2}
    assert {line.count("&") for line in bare if "{2}{l}" in line} == {1}


@pytest.mark.parametrize("markup", [True, False])
@pytest.mark.parametrize("texts", ALL)
def test_any_texts_are_printed_without_a_sign_that_steers_the_terminal(texts, markup):
    console = Console(width=200, file=io.StringIO(), markup=markup)
    print_rich(hostile_table(texts), console)
    print_full(hostile_table(texts), console)
    text = console.file.getvalue()
    assert not re.search(r"[^\S \n]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)


@pytest.mark.parametrize("markup", [True, False])
def test_markup_is_text_in_every_place(markup):
    console = Console(width=200, file=io.StringIO(), markup=markup)
    print_full(hostile_table(["[red]a[/red]"] * 15), console)
    assert console.file.getvalue().count("[red]a[/red]") == 19


def test_an_estimate_is_marked_as_best_only_where_that_is_said():
    assert not estimate_cell(Estimate(0.5, 0.4, 0.6), str).best
    assert estimate_cell(Estimate(0.5, 0.4, 0.6), str, best=True).best


def test_rows_of_one_name_are_told_apart_in_every_format():
    rows = [Row("tune", [Cell("0.1")], sub="plain"), Row("tune", [Cell("0.2")], sub="anchoring")]
    table = Table("twice", "Twice.", "repair", [Column("asr", "ASR")], [Rows([*rows, Row("clp", [Cell("0.3")], "x")])])
    console = Console(file=io.StringIO(), width=80)
    print_full(table, console)
    for text in (to_latex(table), to_markdown_table(table), to_html(table), console.file.getvalue()):
        assert "tune, plain" in text
        assert "tune, anchoring" in text
        assert "clp, x" not in text
