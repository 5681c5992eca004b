"""The page on language models: its examples run, and it explains every number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anchorlab.samples.measurements import MEASUREMENTS as OF_SAMPLES
from anchorlab.samples.rows import ANSWERS, IDS
from anchorlab.scoring.token_statistics import MAIN, TOKEN_STATISTICS
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


def test_a_language_model_is_audited_as_the_page_on_audits_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example, _ = blocks("docs/audit.md", "python")
    for version, noise in (("v1", 0.0), ("v2", 0.5)):
        save_causal(tmp_path / "models" / version, noise=noise)
    write_log(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS])
    monkeypatch.chdir(tmp_path)
    for words in (("benign=19", "benign=3"), ("level=0.1", "level=0.5"), ("(steps=10)", "(steps=1)"), ("=40", "=2")):
        assert words[0] in example
        example = example.replace(*words)
    exec(compile(example, "docs/audit.md", "exec"), {})
    assert "the candidate's mean KL is" in capsys.readouterr().out


def test_the_page_on_audits_explains_every_statistic_of_language_models() -> None:
    page = (ROOT / "docs/audit.md").read_text()
    for name in (*TOKEN_STATISTICS, *MAIN):
        assert f"`{name}`" in page, name
