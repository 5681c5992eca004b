"""``compare --texts --out``: the page, its record, and the gate on infinite tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree.ElementTree import parse

import pytest

from anchorlab.reports.tokens.page import read_tokens
from tests.causal import save_causal
from tests.cli.conftest import Run
from tests.samples.made_up import write_log
from tests.tokenizers import TEXTS


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [save_causal(folder / f"v{version}", noise=0.02 * version) for version in (0, 1)]


def test_a_page_is_written_beside_the_gates_and_written_again(run: Run, models: list[Path], tmp_path: Path) -> None:
    rows = [{"text": text, "domain": "ab"[number % 2]} for number, text in enumerate(TEXTS * 4)]
    texts, out, junit = write_log(tmp_path / "texts.jsonl", rows), tmp_path / "page", tmp_path / "junit.xml"
    bounds = ("--fail-if", "kl", "--fail-if", "kl < 1e-9", "--fail-if", "same_top <= 1")
    ended = run("compare", *models, "--texts", texts, "--out", out, *bounds, "--junit", junit)
    assert ended.code == 1
    assert "the gate 'kl_infinite > 0' holds: kl_infinite is 0" in ended.out
    suite = parse(junit).getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("3", "1")
    assert "Share of tokens at which both models hold the same token" in junit.read_text()
    assert {path.name for path in out.iterdir()} == {"index.html", "tokens.json", "figures"}
    assert "caution: of 24 documents only 6 are different texts" in ended.out
    found = read_tokens(out / "tokens.json")
    assert "of 24 documents only 6 are different texts" in found.cautions[0]
    assert {part.name for part in found.by_domain} == {"a", "b"}
    assert found.worst
    page = (out / "index.html").read_text()
    assert "Does v1 still answer like v0, token by token?" in page
    assert re.search("<li>The gate &#39;same_top &lt;= 1&#39; is broken: same_top is [^<]*\\.</li>\n<li>The gate", page)
    (out / "index.html").unlink()
    assert run("report", out).code == 0
    assert (out / "index.html").read_text() == page
    assert json.loads((out / "tokens.json").read_text())["values"]["tokens"] == found.tokens


def test_the_page_of_somebody_else_is_not_replaced(run: Run, models: list[Path], tmp_path: Path) -> None:
    texts, out = write_log(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS]), tmp_path / "page"
    how = ("compare", *models, "--texts", texts, "--out", out)
    assert run(*how).code == 0
    assert run(*how).code == 0
    (out / "tokens.json").unlink()
    assert "index.html is none that 'anchorlab compare --texts' wrote" in run(*how).err
