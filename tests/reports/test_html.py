"""What all pages share."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from PIL import Image

from anchorlab.reports.attached import attached
from anchorlab.reports.html import asset, environment, picture_uri, style_sheet
from anchorlab.reports.inline import inline_svg
from anchorlab.reports.looks import INK, on_a_page
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table


def opened(uri: str) -> np.ndarray:
    kind, content = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.mark.parametrize("C", [1, 3])
def test_a_picture_is_the_same_inside_its_uri(C):
    picture = torch.randint(0, 256, (C, 4, 5), generator=torch.Generator().manual_seed(C), dtype=torch.uint8)
    expected = picture.permute(1, 2, 0).numpy() if C == 3 else picture[0].numpy()
    np.testing.assert_array_equal(opened(picture_uri(picture)), expected)


def test_templates_escape_values_but_no_style_sheet():
    template = environment().from_string("{{ words }} {{ css }}")
    text = template.render(words="<b>", css=asset("page.css"))
    assert text.startswith("&lt;b&gt; ")
    assert text.endswith(asset("page.css"))
    with pytest.raises(UndefinedError):
        template.render(words="")


@pytest.mark.parametrize("sortable", [True, False])
def test_one_macro_shows_the_tables_of_all_pages(sortable, tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "kl.csv").write_text("a,b\n")
    table = Table("kl", "What <it> is.", "method", [Column("kl", "KL")], [Rows([Row("a&b", [Cell("1", 1.0)])])])
    source = '{% from "macros.html" import show %}{{ show(table, sortable=sortable) }}'
    text = environment(tmp_path).from_string(source).render(table=table, sortable=sortable)
    assert ('class="sortable"' in text) is sortable
    assert ("<button" in text) is sortable
    for words in ("What &lt;it&gt; is.", "a&amp;b", 'download="kl.csv"', ">tables/kl.tex<"):
        assert words in text


def test_every_colour_of_a_figure_has_one_for_dark_ground():
    sheet = str(style_sheet())
    dark = sheet[sheet.rindex("@media screen and (prefers-color-scheme: dark)") :]
    for variable in on_a_page().values():
        name = variable.removeprefix("var(").partition(",")[0]
        assert f"{name}:" in (dark if name.startswith("--of-") else sheet), name


def test_a_figure_inside_a_page_has_ids_of_its_own_and_the_colours_of_the_scheme():
    path = '<path id="a" style="fill: #000000; stroke: #123456"/><use href="#a"/>'
    text = f'<?xml version="1.0"?><svg><metadata>x</metadata>{path}</svg>'
    inside = inline_svg(text, "one", 'what "it" is')
    assert 'aria-label="what &#34;it&#34; is"' in inside
    (name,) = re.findall(r'<path id="(f[0-9a-f]{6}-a)"', inside)
    assert f'href="#{name}"' in inside
    assert name not in inline_svg(text, "two", "")
    assert "fill: var(--ink, #000000); stroke: #123456" in inside
    assert "metadata" not in inside


def test_words_in_a_figure_stay_as_they_are():
    words = f"class {INK} font-family: x; url(#a)"
    text = f'<svg><g id="a"><path style="fill: {INK}"/><text>{words}</text></g></svg>'
    inside = inline_svg(text, "one", "")
    assert f"<text>{words}</text>" in inside
    assert f"var(--ink, {INK})" in inside


@pytest.mark.parametrize(
    ("name", "size", "linked"), [("a.csv", 10, True), ("a.csv", 10**6, False), ("a.png", 10, False)]
)
def test_a_small_file_is_a_link_that_saves_it_and_any_other_is_named(tmp_path, name, size, linked):
    (tmp_path / name).write_bytes(b"x" * size)
    link = attached(tmp_path, name, "CSV")
    assert (f'download="{name}"' in link) is linked
    assert (f">{name}<" in link) is not linked
