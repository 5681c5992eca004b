"""Words are measured before they are drawn, so that nothing is cut off."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.lines import Line2D
from PIL import Image

from anchorlab.reports.drawing import NARROW, WIDE, Sheet, written_figure
from anchorlab.reports.lettering import in_lines, width_of

LONG = "Anchoring has the lowest KL of all methods, against plain-tuning-with-a-name-that-is-far-too-long-for-a-phone."


@pytest.mark.parametrize("width", [1.0, 3.5, 7.0])
def test_no_line_is_wider_than_asked(width):
    lines = in_lines(LONG, width, 9).split("\n")
    assert max(width_of(line, 9) for line in lines) <= width
    assert "".join(lines).replace(" ", "") == LONG.replace(" ", "")


def test_wide_letters_and_bold_take_more_room():
    assert width_of("猫", 9) > 1.5 * width_of("a", 9)
    assert width_of("method", 9, bold=True) > width_of("method", 9)
    assert width_of("method", 18) == pytest.approx(2 * width_of("method", 9))


@pytest.mark.parametrize("sheet", [WIDE, NARROW], ids=["wide", "narrow"])
def test_title_note_and_legend_are_whole_on_every_sheet(tmp_path, sheet):
    legend = [(Line2D([], [], color="#000000"), f"method number {number}") for number in range(8)]
    drawn = Sheet(sheet.width, kinds=("png",))
    with written_figure(tmp_path / "f", sheet.width, 1.5, drawn, title=LONG, note=LONG, legend=legend) as figure:
        figure.subplots()
    pixels = np.asarray(Image.open(tmp_path / "f.png").convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()


def test_a_sheet_says_the_size_of_text_the_files_and_whether_there_is_a_title(tmp_path):
    sheet = Sheet(3.3, font=8, kinds=("svg", "pdf"), titled=False)
    with written_figure(tmp_path / "f", 3.3, 2, sheet, title="The finding", note="the note") as figure:
        figure.subplots().set_xlabel("KL (nats)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.pdf", "f.svg"]
    text = (tmp_path / "f.svg").read_text()
    assert "The finding" not in text
    assert "KL (nats)</text>" in text
    assert "8px" in text
    assert "9px" not in text
