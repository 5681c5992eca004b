"""The report folder: every number back from its files, and a page that says only what they carry."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from anchorlab.artifacts import NOTICES
from anchorlab.errors import AnchorlabError
from anchorlab.reports.report import Examples, write_report
from anchorlab.reports.tables import COLUMNS, summary, to_markdown
from tests.reports.conftest import make_results

WORDS = {
    "title": "A demonstration",
    "command": "anchorlab demo --out runs/demo",
    "task_line": "Digits, trigger five-pixel, target 0.",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report that most tests only read, on the results of the fixture of that name."""
    clean = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    examples = Examples(clean, clean + 9, torch.tensor([0, 1, 1]), ["zero", "one"])
    shifts = {"plain": np.linspace(0.1, 2, 50), "anchoring": np.linspace(0, 0.1, 50)}
    folder = tmp_path_factory.mktemp("runs") / "report"
    return write_report(folder, make_results(anchors=(64, 640)), examples=examples, shifts=shifts, **WORDS)


def test_the_csv_gives_back_every_number_exactly(page, results):
    with (page.parent / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results)
    for row, (_, expected) in zip(rows, results.iterrows(), strict=True):
        assert list(row) == list(results.columns)
        for name, text in row.items():
            if isinstance(expected[name], str):
                assert text == expected[name]
            else:
                assert (text == "" and pd.isna(expected[name])) or float(text) == expected[name]


def test_the_json_gives_back_every_number_exactly_and_null_where_undefined(page, results):
    rows = json.loads((page.parent / "results.json").read_text())
    assert len(rows) == len(results)
    for row, (_, expected) in zip(rows, results.iterrows(), strict=True):
        assert list(row) == list(results.columns)
        for name, value in row.items():
            assert (value is None and pd.isna(expected[name])) or value == expected[name]
    assert rows[0]["anchors"] == 64
    assert isinstance(rows[0]["anchors"], int)
    assert next(row for row in rows if row["method"] == "benign")["asr"] is None


def test_the_page_holds_notice_command_table_and_limits(page, results):
    text = page.read_text()
    assert text.startswith("# A demonstration\n")
    assert NOTICES["injected"] in text
    assert WORDS["command"] in text
    assert WORDS["task_line"] in text
    assert to_markdown(results) in text
    assert "- seeds: 0, 1, 2\n" in text
    assert "nan" not in text.lower().replace("names", "")
    for column in COLUMNS:
        assert f"**{column.title}** `{column.name}`: " in text
    assert "\n\n\n" not in text


def test_every_picture_of_the_page_is_there_and_no_other(page):
    named = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
    assert sorted(named) == sorted(path.name for path in page.parent.glob("*.png"))
    assert len(named) == 4
    for name in named:
        Image.open(page.parent / name).verify()


def test_figures_without_data_are_left_out(tmp_path):
    results = make_results()
    page = write_report(tmp_path, results, **WORDS)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["asr_against_kl.png", "metrics_by_method.png"]
    assert "triggered_examples" not in page.read_text()


def test_ratios_are_those_of_the_means(page, results):
    means = summary(results)
    found = re.findall(
        r"^- ([\d,]+) anchors: logit distance (\S+) times plain's, KL (\S+) times plain's, "
        r"Pearson correct (\S+), accuracy (\S+), ASR (\S+)$",
        page.read_text(),
        re.MULTILINE,
    )
    assert [int(count) for count, *_ in found] == [64, 640]
    for count, *numbers in found:
        plain, anchoring = means.loc[(int(count), "plain")], means.loc[(int(count), "anchoring")]
        for number, name in zip(numbers[:2], ("logit_distance", "kl"), strict=True):
            assert float(number) == pytest.approx(anchoring[name] / plain[name], rel=0.005)
        for number, name in zip(numbers[2:], ("pearson_correct", "accuracy", "asr"), strict=True):
            assert float(number) == pytest.approx(anchoring[name] - plain[name], abs=5.1e-5)


def test_nothing_is_said_of_methods_that_were_not_run(tmp_path):
    results = make_results()
    page = write_report(tmp_path, results[~results["method"].isin(["anchoring", "benign"])], **WORDS)
    assert "Anchoring against" not in page.read_text()
    assert "dashed line" not in page.read_text()


def test_undefined_ratios_are_left_out(tmp_path):
    results = make_results()
    results.loc[results["method"] == "anchoring", "pearson_correct"] = None
    results.loc[results["method"] == "plain", "kl"] = 0.0
    line = next(line for line in write_report(tmp_path, results, **WORDS).read_text().splitlines() if "times" in line)
    assert "logit distance" in line
    assert "KL" not in line
    assert "Pearson" not in line


def test_the_limits_fit_the_number_of_runs(tmp_path):
    """With n = 3, sqrt(2 / 7.3778) = 0.52 and sqrt(2 / 0.050636) = 6.28 (chi-squared of 2 degrees of freedom)."""
    plain = ["plain"]
    thrice = write_report(tmp_path / "3", make_results(methods=plain), **WORDS).read_text()
    assert "with 3 runs of normal spread, the true one lies between 0.5 and 6.3 times" in thrice
    once = write_report(tmp_path / "1", make_results(seeds=(0,), methods=plain), **WORDS).read_text()
    assert "run once" in once
    assert "normal spread" not in once


def test_a_second_report_replaces_the_first_byte_by_byte(tmp_path):
    results = make_results(methods=["plain", "anchoring"])
    page = write_report(tmp_path, results, **WORDS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_report(tmp_path, results[results["method"] == "plain"], **WORDS)
    assert page.read_bytes() != before["report.md"]
    write_report(tmp_path, results, **WORDS)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_results_and_an_impossible_place_are_refused(results, tmp_path):
    with pytest.raises(AnchorlabError, match="no results"):
        write_report(tmp_path / "empty", results.iloc[:0], **WORDS)
    assert not (tmp_path / "empty").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(AnchorlabError, match="cannot write"):
        write_report(tmp_path / "file", results, **WORDS)
