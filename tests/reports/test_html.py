"""What all pages share."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from PIL import Image

from anchorlab.reports.html import asset, environment, figure_uri, picture_uri
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


def test_a_figure_is_the_file_that_was_written(tmp_path):
    (tmp_path / "figures").mkdir()
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(pixels).save(tmp_path / "figures" / "one.png")
    np.testing.assert_array_equal(opened(figure_uri(tmp_path, "one")), pixels)


def test_templates_escape_values_but_no_style_sheet():
    template = environment().from_string("{{ words }} {{ css }}")
    text = template.render(words="<b>", css=asset("page.css"))
    assert text.startswith("&lt;b&gt; ")
    assert text.endswith(asset("page.css"))
    with pytest.raises(UndefinedError):
        template.render(words="")


@pytest.mark.parametrize("sortable", [True, False])
def test_one_macro_shows_the_tables_of_all_pages(sortable):
    table = Table("kl", "What <it> is.", "method", [Column("kl", "KL")], [Rows([Row("a&b", [Cell("1", 1.0)])])])
    source = '{% from "macros.html" import show %}{{ show(table, sortable=sortable) }}'
    text = environment().from_string(source).render(table=table, sortable=sortable)
    assert ('class="sortable"' in text) is sortable
    assert ("<button" in text) is sortable
    for words in ("What &lt;it&gt; is.", "a&amp;b", 'href="tables/kl.csv"', 'href="tables/kl.tex"'):
        assert words in text
