"""What no command wrote is not replaced by a page or a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anchorlab.reports.comparison import check_comparison_folder
from anchorlab.reports.detections_page import check_detections_folder
from anchorlab.reports.ranking import check_ranking_folder
from anchorlab.reports.samples import check_samples_folder
from anchorlab.reports.tokens.page import check_tokens_folder
from tests.refusals import refused

CHECKS = [
    (check_comparison_folder, "comparison.json", "anchorlab compare"),
    (check_samples_folder, "samples.json", "anchorlab compare --samples"),
    (check_tokens_folder, "tokens.json", "anchorlab compare --texts"),
    (check_ranking_folder, "inputs.json", "anchorlab detect --inputs"),
    (check_detections_folder, "strip/detection.json", "anchorlab detect"),
]


@pytest.mark.parametrize(("check", "record", "command"), CHECKS)
def test_a_page_or_record_of_somebody_else_is_refused(
    tmp_path: Path, check: Callable[[Path], None], record: str, command: str
) -> None:
    check(tmp_path)
    check(tmp_path / "missing")
    for name, text in (("index.html", "mine"), (record, '{"mine": 1}'), (record, "[")):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        refused(f"{name} is none that '{command}' wrote: choose another folder, or remove it, by rm ", check, tmp_path)
        file.unlink()


def test_scores_of_somebody_else_are_refused_too(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("mine")
    refused("scores.csv is none that 'anchorlab detect --inputs' wrote", check_ranking_folder, tmp_path)
