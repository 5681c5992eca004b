"""The key ``relearn``: its columns and table, and that older results stay where they are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from anchorlab.reports.drawing import NARROW
from anchorlab.reports.suite.relearning import relearning_tables
from anchorlab.reports.suite.relearning_figure import draw_relearning
from anchorlab.statistics.table import to_csv
from anchorlab.suites.cells import RepairCell
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import run_suite
from tests.suites.inline import Inline, tiny

_SHARED = {
    "reference": "r", "reference_sha256": "0", "label": "l", "trigger": {}, "rule": "", "target": None, "split": "test",
    "of": "m", "model": "i", "parameters": {}, "defender": 20, "seed": 0, "defence": "fine-tuning",
}  # fmt: skip


def test_a_repair_without_it_keeps_its_identity():
    cell = RepairCell(**_SHARED)
    assert "relearn" in cell._younger()
    assert cell.identity != RepairCell(**_SHARED, relearn=(5,)).identity


def test_the_key_is_checked_with_the_file():
    with pytest.raises(ValidationError, match="relearn measures repaired models, but the suite has no repairs"):
        tiny(relearn=[5])
    with pytest.raises(ValidationError, match="lies from 1 to 128, not at 0"):
        tiny(relearn=[0], repairs={"fine-tuning": None})
    with pytest.raises(ValidationError, match="5 stands there twice"):
        tiny(relearn=[5, 5], repairs={"fine-tuning": None})


def test_repaired_models_and_their_reference_relearn(tmp_path, on_cpu):
    suite = tiny(
        methods={"plain": None}, references=[0], anchors=["all"], seeds=[0], controls=False,
        repairs={"brief": {"repair": "fine-tuning", "set": {"epochs": 1}}}, defender=["all"], relearn=[1, 5],
    )  # fmt: skip
    run_suite(suite, tmp_path / "suite", executor=Inline(), command="anchorlab suite run tiny.yaml")
    results = load_results(tmp_path / "suite")
    assert results.failed.empty
    frame = results.repairs
    assert set(frame["role"]) == {"method", "reference"}
    for count in (1, 5):
        assert frame[f"asr_relearned_{count}"].between(0, 1).all()
        # The clean reference that was not repaired is the same for both rows.
        assert frame[f"asr_relearned_{count}_reference"].nunique() == 1
    injected = frame[frame["role"] == "method"].iloc[0]
    harmed = frame[frame["role"] == "reference"].iloc[0]
    gained = max(0, injected["robust_accuracy"] - injected["robust_accuracy_before"])
    lost = max(0, injected["accuracy_before"] - injected["accuracy"])
    assert injected["robust_improvement"] == pytest.approx((1 + gained - lost) / 2)
    assert injected["reference_accuracy_lost"] == harmed["accuracy_reference"] - harmed["accuracy"]
    assert harmed["robust_accuracy_before"] == harmed["robust_accuracy_reference"]
    (table,) = relearning_tables(results)
    text = to_csv(table)
    assert "from 5" in text or "asr_relearned_5" in text
    assert [row.head for _, row in table.rows()] == ["clean reference", "brief", "brief"]
    draw_relearning(frame, tmp_path / "figure", NARROW)
    assert "clean reference, not repaired" in (tmp_path / "figure.svg").read_text()
