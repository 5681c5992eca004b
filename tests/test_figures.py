"""The figures of the documentation come from the committed CSV files, and fit where they are shown."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
#: Width of a picture on GitHub, pixels of 1/96 inch; and the least size of text there, points.
SHOWN, LEAST = 838, 9

#: What no CSV file holds, or another script draws.
ELSEWHERE = {"found_triggers", "readme"}


def figures() -> list[Path]:
    return sorted((ROOT / "docs/figures").glob("*.png"))


def drawn() -> set[str]:
    """The names that experiments/figures.py draws."""
    tree = ast.parse((ROOT / "experiments/figures.py").read_text())
    (table,) = [node.value for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == "FIGURES"]
    names = {key.value for key in table.keys if key is not None}
    tasks = ("fashion-mnist",)
    return names | {f"perturbation_{name}_{task}" for task in tasks for name in ("basin", "paths", "quadratic")}


def test_every_figure_is_drawn_from_committed_numbers() -> None:
    assert {path.stem for path in figures()} - ELSEWHERE == drawn()


def test_every_figure_is_shown_and_every_shown_figure_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"figures/([\w-]+)\.png", page.read_text())}
    assert shown <= {path.stem for path in figures()}


@pytest.mark.parametrize("name", sorted(drawn() | {"readme"}))
def test_text_is_large_enough_where_a_figure_is_shown(name: str) -> None:
    """All text has 9 points at 180 dots an inch; a browser scales a picture that is wider than the page."""
    width = Image.open(ROOT / f"docs/figures/{name}.png").width
    points = 9 * (180 / 72) * min(1, SHOWN / width) * 72 / 96
    assert points >= LEAST
