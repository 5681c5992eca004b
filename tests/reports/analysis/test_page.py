"""The page of an analysis, its tables and its figures."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anchorlab.perturbation.summary import table_of
from anchorlab.perturbation.tables import TABLES
from anchorlab.reports.analysis import write_analysis
from tests.made_up_analysis import NAMES, made_up

FIGURES = ("basin", "paths", "layers", "quadratic", "curvature", "angles", "bounds", "gradients")


class Page(HTMLParser):
    """Tags that were opened and not closed, and the words between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.sources: list[str] = []
        self.figures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.figures += tag == "svg"
        self.sources += [value or "" for name, value in attrs if name == "src"]
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("analysis") / "out"
    assert write_analysis(made_up(), out) == out / "index.html"
    return out


@pytest.mark.slow
def test_the_page_is_whole_and_needs_nothing_from_outside(written):
    page = Page((written / "index.html").read_text())
    assert page.open == []
    assert page.sources == []
    assert page.figures == 2 * len(FIGURES)  # for screens and for phones
    for words in ("A is <less> than B.", "Nothing & more.", "clean <model>", NAMES[1], "1,234 clean examples"):
        assert words in page.words


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_are_there_and_not_blank(written, figure):
    pixels = np.asarray(Image.open(written / "figures" / f"{figure}.png").convert("L"))
    assert pixels.std() > 5
    assert (written / "figures" / f"{figure}.svg").read_text().startswith("<?xml")


def test_tables_come_back_from_csv_as_they_were(written):
    for name, frame in made_up().tables.items():
        back = pd.read_csv(written / "tables" / f"{name}.csv")
        pd.testing.assert_frame_equal(back, frame, check_dtype=False, check_exact=True)


@pytest.mark.slow
def test_the_same_numbers_give_the_same_bytes(written, tmp_path):
    write_analysis(made_up(), tmp_path)
    for path in sorted(written.rglob("*.*")):
        assert path.read_bytes() == (tmp_path / path.relative_to(written)).read_bytes(), path.name


def test_intervals_stand_beside_their_values(written):
    row = made_up().tables["barriers"].iloc[1]
    page = (written / "index.html").read_text()
    assert f"[{row['error_lower']:.3g}, {row['error_upper']:.3g}]" in page
    (cell,) = [cell for cell in table_of(made_up(), "barriers").groups[0].rows[1].cells if cell.value == row["error"]]
    assert cell.bounds == (row["error_lower"], row["error_upper"])


def test_what_was_not_measured_is_not_shown(tmp_path):
    empty = {name: pd.DataFrame() for name in TABLES}
    sizes = made_up(("plain",)).tables["sizes"]
    short = replace(made_up(("plain",)), tables={**empty, "sizes": sizes})
    write_analysis(short, tmp_path)
    assert [path.name for path in sorted((tmp_path / "figures").iterdir())] == ["layers.png", "layers.svg"]
    assert [path.name for path in sorted((tmp_path / "tables").iterdir())] == ["sizes.csv", "sizes.tex"]
    assert "Curvature" not in Page((tmp_path / "index.html").read_text()).words


def test_the_record_is_json_without_nan(written):
    record = json.loads((written / "analysis.json").read_text())
    assert record == made_up().to_dict()
    assert record["findings"] == ["A is <less> than B."]
    assert record["format"] == 1
