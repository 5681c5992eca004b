"""A comparison of two language models as tables."""

from __future__ import annotations

from anchorlab.tokens.measurements import BROKEN_DOWN, MEASUREMENTS
from anchorlab.tokens.table import headline_table, parts_table, tokens_table
from tests.tokens.made_up import made_up


def test_the_short_table_has_the_main_measurements_and_counts_that_are_not_0() -> None:
    main = [name for name, record in MEASUREMENTS.items() if record.is_main]
    assert [row.head for _, row in headline_table(made_up()).rows()] == main
    assert [column.title for column in headline_table(made_up()).columns] == ["what it is", "value", "95% interval"]
    heads = [row.head for _, row in headline_table(made_up(infinite=2)).rows()]
    assert set(heads) - set(main) == {"kl_infinite", "kl_reverse_infinite", "nll_infinite"}


def test_every_measurement_has_a_row_with_its_definition() -> None:
    rows = {row.head: row.cells for _, row in tokens_table(made_up(infinite=2)).rows()}
    assert list(rows) == list(MEASUREMENTS)
    assert [cell.text for cell in rows["kl"][:3]] == ["0.01370", "[0.01233, 0.01507]", "12,340"]
    assert rows["kl_max"][0].text == "∞"
    assert rows["kl_infinite"][0].text == "2"
    assert rows["same_top"][0].text == "95.12%"


def test_a_breakdown_has_a_row_a_part_and_a_column_a_measurement() -> None:
    table = parts_table(made_up().by_domain, "domains", "By domain", "domain")
    assert [row.head for _, row in table.rows()] == ["prose", "code"]
    assert [column.key for column in table.columns] == ["documents", "tokens", *BROKEN_DOWN]
    (_, first), _ = table.rows()
    assert first.cells[2].text == "0.01370"
    assert first.cells[2].interval == "[0.009590, 0.01781]"
