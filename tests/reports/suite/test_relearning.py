"""The table and the figure of relearning, from frames made up by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anchorlab.reports.drawing import NARROW, WIDE
from anchorlab.reports.suite.relearning import relearned_counts, relearning_tables
from anchorlab.reports.suite.relearning_figure import draw_relearning
from anchorlab.reports.suite.repair_matrix import repair_matrix


class Made:
    """As much of results as the table reads."""

    def __init__(self, repairs: pd.DataFrame) -> None:
        self.repairs = repairs


def words_of(figure: Path) -> str:
    """The words of an SVG file, without its line breaks."""
    return " ".join(re.findall(r">([^<>]+)</text>", figure.read_text()))


@pytest.fixture
def repairs() -> pd.DataFrame:
    """Three references, three repairs: the backdoor comes back after "hide", and no more than in clean models else."""
    rows = [
        {
            "task": "digits", "trigger": "square", "rule": "all-to-one", "target": 2, "defender": "640",
            "anchors_asked": "all" if method == "plain" else "", "target_asr": 0.9 if method == "plain" else None,
            "role": "method" if method == "plain" else "reference", "method": method, "defence": defence,
            "defence_name": f"oracle-{defence}" if defence == "deep" else defence,
            "identity": f"{method}{defence}{reference}", "reference_seed": reference,
            "asr": 0.05 + 0.01 * reference, "asr_reference": 0.02,
            **{
                f"asr_relearned_{count}": share + 0.01 * reference
                for count, share in ((1, 0.1), (5, 0.9 if (defence, method) == ("hide", "plain") else 0.3))
            },
            "asr_relearned_1_reference": 0.08, "asr_relearned_5_reference": 0.2,
        }
        for method in ("plain", "reference") for defence in ("hide", "forget", "deep") for reference in range(3)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_clean_reference_has_a_row_from_the_start(repairs):
    (table,) = relearning_tables(Made(repairs))
    (group,) = table.groups
    assert [row.head for row in group.rows] == ["clean reference", *["hide"] * 2, *["forget"] * 2, *["deep"] * 2]
    assert [cell.value for cell in group.rows[0].cells] == pytest.approx([0.02, 0.08, 0.2])
    assert [cell.value for cell in group.rows[1].cells] == pytest.approx([0.06, 0.11, 0.91])


def test_the_matrix_has_what_is_left_and_relearned_of_each_injection(repairs):
    measured = repairs.assign(weights_sha256=repairs["method"], accuracy=0.9, asr_before=0.99, accuracy_before=0.95)
    (table,) = repair_matrix(Made(measured))
    assert [column.key for column in table.columns] == [
        f"{method}_{name}" for method in ("plain", "reference") for name in ("asr", "accuracy", "asr_relearned_5")
    ]
    group, oracles = table.groups
    values = {row.head: [cell.value for cell in row.cells] for row in (*group.rows, *oracles.rows)}
    assert values == {
        "no repair": pytest.approx([0.99, 0.95, None, 0.99, 0.95, 0.2]),
        "hide": pytest.approx([0.06, 0.9, 0.91, 0.06, 0.9, 0.31]),
        "forget": pytest.approx([0.06, 0.9, 0.31, 0.06, 0.9, 0.31]),
        "deep": pytest.approx([0.06, 0.9, 0.31, 0.06, 0.9, 0.31]),
    }
    assert "as no defender can" in oracles.title
    assert not list(repair_matrix(Made(measured.drop(columns=["asr_relearned_1", "asr_relearned_5"]))))


def test_the_figure_has_a_panel_for_each_repair_and_both_controls(repairs, tmp_path):
    assert relearned_counts(repairs) == [1, 5]
    draw_relearning(repairs, tmp_path / "wide", WIDE, setting="digits, $square$")
    assert np.asarray(Image.open(tmp_path / "wide.png").convert("L")).std() > 5
    words = words_of(tmp_path / "wide.svg")
    for name in ("hide", "forget", "deep", "clean reference, same repair", "clean reference, not repaired"):
        assert name in words
    assert "Mean and 95% interval over references." in words
    assert "$square$" in words
    # The oracle, whose depth no defender can choose, is no finding, and a note says so.
    beside = "clean reference 0.310)"
    assert "Of repairs that leave an ASR under 0.2, 5 triggered examples bring it back most" in words
    assert f"after hide (0.910, {beside}, least after forget (0.310, {beside}" in words
    assert "as no defender can" in words


def test_a_repair_that_removes_nothing_is_no_finding(repairs, tmp_path):
    kept = repairs.assign(asr=repairs["asr"].where(repairs["defence"] != "hide", 0.95))
    draw_relearning(kept, tmp_path / "kept", WIDE, setting="")
    assert "bring it back to forget (0.310" in words_of(tmp_path / "kept.svg")
    draw_relearning(repairs.assign(asr=0.95), tmp_path / "none", WIDE, setting="")
    assert "No repair leaves an ASR under 0.2" in words_of(tmp_path / "none.svg")


def test_the_finding_is_a_mean_over_references(repairs, tmp_path):
    """A second run of each on the first reference counts half."""
    again = repairs[repairs["reference_seed"] == 0].assign(identity=lambda rows: "again" + rows["identity"])
    again = again.assign(asr_relearned_5=again["asr_relearned_5"] - 0.06)
    draw_relearning(pd.concat([repairs, again, again[:1]]), tmp_path / "uneven", WIDE, setting="")
    assert "after hide (0.900, clean reference 0.300)" in words_of(tmp_path / "uneven.svg")


def test_the_finding_rounds(repairs, tmp_path):
    columns = ["asr_relearned_1", "asr_relearned_5"]
    draw_relearning(repairs.assign(**dict.fromkeys(columns, 0.9996)), tmp_path / "full", WIDE, setting="")
    assert "hide (1.000, clean reference 1.000)" in words_of(tmp_path / "full.svg")


def test_few_references_and_missing_runs_are_drawn(repairs, tmp_path):
    few = repairs[(repairs["reference_seed"] < 2) & (repairs["defence"] == "hide")]
    # A run of an earlier version knows nothing of relearning.
    few = few.assign(asr_relearned_1=few["asr_relearned_1"].where(few["method"] == "plain"))
    draw_relearning(few.drop(columns="asr_reference"), tmp_path / "few", NARROW)
    words = words_of(tmp_path / "few.svg")
    assert "Small signs: runs; large: their mean." in words
    assert "bring it back to hide (0.905" in words
