"""The page on language models: its examples run, and it explains every number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anchorlab.samples.measurements import MEASUREMENTS as OF_SAMPLES
from anchorlab.samples.rows import ANSWERS, IDS
from anchorlab.tokens.measurements import MEASUREMENTS
from tests.causal import save_causal
from tests.samples.made_up import write_log
from tests.test_docs import ROOT, blocks
from tests.tokenizers import TEXTS

PAGE = "docs/language-models.md"

#: Names that the page explains as families: ``…_p99`` and so on.
_FAMILY = re.compile(r"_(rms|min|max|p\d+(_\d)?)$")


def test_every_number_is_explained() -> None:
    page = (ROOT / PAGE).read_text()
    for name in [*MEASUREMENTS, *OF_SAMPLES, *IDS, *ANSWERS]:
        assert f"`{name}`" in page or _FAMILY.search(name), name
    for family in ("…_rms", "…_min", "…_max", "…_p50", "…_p99_9"):
        assert f"`{family}`" in page


def test_two_language_models_are_compared_as_the_page_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = blocks(PAGE, "python")
    for version, noise in (("v1", 0.0), ("v2", 0.02)):
        save_causal(tmp_path / "models" / version, noise=noise)
    write_log(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS * 4])
    monkeypatch.chdir(tmp_path)
    exec(compile(first, PAGE, "exec"), {})
    assert re.match(r"\d\S* \(\d\S*, \d\S*\)\n", capsys.readouterr().out)


def test_two_logs_are_compared_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, second = blocks(PAGE, "python")
    (shown,) = blocks(PAGE, "text")
    monkeypatch.chdir(tmp_path)
    exec(compile(second, PAGE, "exec"), {})
    assert capsys.readouterr().out == shown
