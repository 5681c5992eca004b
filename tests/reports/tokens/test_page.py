"""The page of a comparison of two language models: what stands on it, its record, and hostile texts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from anchorlab.cli import main
from anchorlab.reports.tokens.figures import figures_of, quantiles
from anchorlab.reports.tokens.page import RECORD, read_tokens, write_tokens, write_tokens_folder
from anchorlab.tokens.result import Part
from anchorlab.tokens.words import words_of_tokens
from tests.hostile import HOSTILE
from tests.refusals import refused
from tests.tokens.made_up import made_up, passage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokens(made_up(infinite=3), tmp_path_factory.mktemp("tokens")).parent


def test_the_page_has_findings_tokens_figures_and_tables(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings == [
        "Findings", "The measurements to read first", "Where they differ most", "How rarely the divergence is large",
        "By position", "By domain", "The noise floor", "Every measurement", "How it was measured",
    ]  # fmt: skip
    for sentence in words_of_tokens(made_up(infinite=3)):
        assert sentence.replace("'", "&#39;") in page
    assert page.count('class="drawn wide"') == page.count('class="drawn narrow"') == 2
    assert "<script" not in page
    assert {path.name for path in folder.iterdir()} == {"index.html", RECORD, "figures"}


def test_the_record_gives_the_comparison_back_infinite_numbers_too(folder: Path) -> None:
    assert read_tokens(folder / RECORD) == made_up(infinite=3)
    json.loads((folder / RECORD).read_text(), parse_constant=pytest.fail)


def test_report_writes_the_same_page_from_the_record(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["report", str(folder), "--out", str(tmp_path / "again")])
    assert end.value.code == 0
    assert (tmp_path / "again" / "index.html").read_text() == (folder / "index.html").read_text()


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"values": {"tokens": "many"}}')
    refused("run anchorlab compare --texts again", read_tokens, tmp_path / RECORD)
    write_tokens(made_up(), tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps(record | {"judged": "the gate holds"}))
    refused("judged must be a list of texts", write_tokens_folder, tmp_path, tmp_path)


def test_a_record_of_before_pages_had_gates_is_read(tmp_path: Path) -> None:
    write_tokens(made_up(), tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps({"values": record["values"]}))
    page = (tmp_path / "index.html").read_text()
    assert write_tokens_folder(tmp_path, tmp_path).read_text() == page


def test_models_that_answer_alike_have_a_page_without_figures(tmp_path: Path) -> None:
    alike = made_up(kl=0.0, identical_weights=True, worst=[], by_position=[], by_domain=[], noise=[])
    assert list(figures_of(alike, tmp_path)) == []
    page = write_tokens(alike, tmp_path).read_text()
    assert "All weights of the two models are equal" in page
    assert re.findall("<h2>(.*?)</h2>", page)[2:] == ["Every measurement", "How it was measured"]


def test_no_percentile_is_drawn_that_less_than_one_token_lies_beyond() -> None:
    """Of 600 tokens .6 lie beyond the 99.9th percentile, and one beyond no value but the largest."""
    shares = [point.place for point in quantiles(made_up(tokens=600), "kl")]
    assert shares == pytest.approx([0.5, 0.25, 0.1, 0.05, 0.01, 1 / 600])


def test_no_name_and_no_text_does_anything(tmp_path: Path) -> None:
    """All hostile texts at once, in each place where a text of the user's may stand."""
    words = " ".join(HOSTILE)
    hostile = made_up(
        reference=words,
        candidate=words,
        worst=[passage(0.3, text=text, tokens=HOSTILE, domain=text) for text in HOSTILE[:3]],
        by_domain=[
            part.model_copy(update={"name": text}) for part, text in zip(made_up().by_domain, HOSTILE, strict=False)
        ],
        by_position=[
            part.model_copy(update={"name": text}) for part, text in zip(made_up().by_position, HOSTILE, strict=False)
        ],
        notes=list(HOSTILE),
        cautions=list(HOSTILE),
    )
    page = write_tokens(hostile, tmp_path).read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert not re.search(r"<svg(?! role)", page)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e]", page)


def _renamed(parts: list[Part]) -> list[Part]:
    return [part.model_copy(update={"name": text}) for part, text in zip(parts, HOSTILE, strict=False)]
