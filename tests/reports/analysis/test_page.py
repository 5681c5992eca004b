"""The page of an analysis, its tables and its figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from anchorlab.perturbation.analysis import Analysis
from anchorlab.perturbation.summary import summary_table, table_of
from anchorlab.perturbation.tables import TABLES
from anchorlab.reports.analysis import write_analysis
from anchorlab.statistics.table import print_rich

#: Names that a page must escape, and one that is too long for a legend.
NAMES = ("plain", "<b>&bold|pipe", "another-model-with-a-name-that-is-far-too-long-for-any-legend-to-hold")
FIGURES = ("basin", "paths", "layers", "quadratic", "curvature", "angles", "bounds", "gradients")


def bounded(name: str, values: np.ndarray, half: float = 0.1) -> dict[str, np.ndarray]:
    return {name: values, f"{name}_lower": values * (1 - half), f"{name}_upper": values * (1 + half)}


def made_up(names: tuple[str, ...] = NAMES) -> Analysis:
    """Every table with numbers that are not measured."""
    draw = np.random.default_rng(0)
    count = len(names)
    column = np.array(names, dtype=object)
    layers = ["all parameters", "one.layer", "two.layer", "buffers"]
    scales = np.linspace(-0.5, 1.5, 17)
    sizes = pd.DataFrame(
        [
            {"candidate": name, "layer": layer, "parameters": 20, "l2": 1.5, "linf": 1.0, "relative": draw.random(),
             "rms": 0.1, "changed": 1.0, "effective_rank": None if layer == "buffers" else 3.0}
            for name in names for layer in layers
        ]
    )  # fmt: skip
    behaviour = pd.DataFrame(
        {"candidate": column, "part": "all", **bounded("accuracy", draw.random(count)),
         **bounded("kl", draw.random(count)), **bounded("asr", np.full(count, math.nan)), "asr_count": 0}
    )  # fmt: skip
    quadratic = pd.DataFrame(
        {"candidate": column, **bounded("kl", draw.random(count)), **bounded("kl_quadratic", draw.random(count)),
         **bounded("kl_ratio", draw.random(count)), **bounded("ewc", draw.random(count)), "fisher_norm": 1.0}
    )  # fmt: skip
    paths = pd.concat(
        pd.DataFrame(
            {"candidate": name, "buffers": kind, "scale": scales, **bounded("loss", draw.random(17) + 0.1),
             **bounded("accuracy", draw.random(17)), **bounded("kl", np.abs(scales)),
             **bounded("asr", draw.random(17)), "kl_quadratic": scales**2}
        )
        for name in names for kind in ("stored", "re-estimated")
    )  # fmt: skip
    barriers = pd.DataFrame(
        {
            "candidate": column,
            "buffers": "stored",
            **bounded("loss", draw.random(count)),
            **bounded("error", draw.random(count)),
        }
    )
    pairs = [(a, b) for a in names for b in names if a != b]
    angles = pd.DataFrame([{"candidate": a, "other": b, "cosine": 0.5, "degrees": 60.0} for a, b in pairs])
    spectrum = pd.DataFrame(
        {"quantity": ["eigenvalue 1", "mean eigenvalue"], "value": [12.5, 0.01], "error": [0.1, 0.2], "products": 3}
    )
    rayleigh = pd.DataFrame({"candidate": column, **bounded("rayleigh", draw.random(count) - 0.5)})
    instances = pd.concat(
        pd.DataFrame({"candidate": name, "kl": draw.random(50) * 0.01, "range": draw.random(50) + 0.5})
        for name in names
    )
    grid = [(x, y) for y in range(4) for x in range(4)]
    plane = pd.DataFrame(
        {
            "x": [x for x, _ in grid],
            "y": [y for _, y in grid],
            "loss": [*draw.random(15), math.inf],
            "asr": draw.random(16),
        }
    )
    models = pd.DataFrame({"candidate": ["reference", *names], "x": range(count + 1), "y": 0.5, "distance": 0.0})
    gradients = pd.DataFrame(
        {"candidate": np.repeat(column, 2), "step": [0, 20] * count, "cosine_clean": 0.1, "cosine_anchor": math.nan}
    )
    bounds = pd.DataFrame({"candidate": column, "bound": "KL by range", "formula": "KL <= r^2/8", "measured": 0.1})
    tables = {
        "sizes": sizes, "behaviour": behaviour, "quadratic": quadratic, "paths": paths, "barriers": barriers,
        "angles": angles, "spectrum": spectrum, "rayleigh": rayleigh, "bounds": bounds, "instances": instances,
        "plane": plane, "models": models, "gradients": gradients,
    }  # fmt: skip
    return Analysis(
        reference="clean <model>",
        candidates=names,
        kinds={name: "plain" if name == "plain" else "" for name in names},
        task="digits",
        split="test",
        count=1234,
        parameters=56789,
        buffers_left_out=("n",),
        settings={"seed": 0},
        tables={name: tables[name].reset_index(drop=True) for name in TABLES},
        findings=("A is <less> than B.",),
        left_out=("Nothing & more.",),
    )


class Page(HTMLParser):
    """Tags that were opened and not closed, and the words between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
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


def test_the_page_is_whole_and_needs_nothing_from_outside(written):
    page = Page((written / "index.html").read_text())
    assert page.open == []
    assert len(page.sources) == len(FIGURES)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
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


def test_the_summary_says_what_matters_of_each_candidate(capsys):
    table = summary_table(made_up())
    assert [column.title for column in table.columns] == [
        "relative L2", "KL", "ASR", "quadratic / measured", "loss barrier", "error barrier",
    ]  # fmt: skip
    assert [row.head for row in table.groups[0].rows] == list(NAMES)
    print_rich(table, Console(width=160, markup=False))
    assert NAMES[1] in capsys.readouterr().out


def test_the_record_is_json_without_nan(written):
    record = json.loads((written / "analysis.json").read_text())
    assert record == made_up().to_dict()
    assert record["findings"] == ["A is <less> than B."]
    assert record["format"] == 1
