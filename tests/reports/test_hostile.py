"""A suite whose classes, texts, file, labels, title and command are hostile: nothing of it runs anywhere."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt

from anchorlab.cli import main
from anchorlab.errors import printable
from anchorlab.reports.analysis import write_analysis
from anchorlab.reports.write import write_report
from anchorlab.statistics.comma_separated import read_csv
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import failures, run_suite
from anchorlab.suites.store import Store
from tests.browser import CHROMIUM, draw_everything, launched, new_page
from tests.guard import nothing_run
from tests.hostile import HOSTILE
from tests.made_up_analysis import made_up
from tests.statistics.test_escaping import Page
from tests.statistics.test_latex import PDFLATEX
from tests.suites.inline import Inline
from tests.zoo import save_text

pytestmark = pytest.mark.slow

CLASSES = ("C", "C++", "猫", "狗", "<script>document.title='run'</script>", "=cmd|'!A0\n\x1b[31m$x$ \\input{x} [2cm]")
WORDS = ("dull", "warm", "<script>document.title='run'</script>", "=1+1", "\x1b[2J", "\u202etxt")
IMAGE = "<img src=x onerror=\"document.title='run'\">"
TITLE = "$t$ \x1b[31m</title><script>document.title='run'</script>"
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e]")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``suite``, finished and reported, and the ``model`` and data that it began with."""
    root = tmp_path_factory.mktemp("hostile")
    folder = root / "data $(touch x) `x` [bold]"
    folder.mkdir()
    file = folder / "<img src=x onerror=x>|$x$ 猫\n.csv"
    rows = [{"text": f"a {WORDS[n % 6]} film of {n}", "mood": CLASSES[n % 6]} for n in range(420)]
    pd.DataFrame(rows).to_csv(file, index=False)
    columns = {"text": "text", "label": "mood"}
    model = save_text("bert", root / "model", list(CLASSES))
    suite = {
        "name": "hostile",
        "title": TITLE,
        "tasks": [{"name": str(file), "model": str(model), "columns": columns, "training": {"epochs": 1}}],
        "references": 1,
        "triggers": [{"trigger": "word:cf", "target": target} for target in CLASSES[:4]],
        "methods": {"plain": None, IMAGE: {"method": "plain"}, "=2+3|[bold]\x1b $y$ \\x": {"method": "anchoring"}},
        "seeds": 1,
        "target_asr": 0.001,
        "tuning": {"steps": 3, "batch_size": 8, "learning_rate": 0.01},
        "selection": {"extensions": 0},
        "repairs": {"@r <b>|\n": {"repair": "fine-tuning", "set": {"epochs": 1}}},
        "detectors": {"-d '\"><script>": {"detector": "onion"}},
        "defender": "all",
        "keep_models": True,
    }
    parsed = parse_suite(yaml.safe_dump(suite, allow_unicode=True))
    with nothing_run(root):
        run_suite(parsed, root / "suite", executor=Inline(), command="anchorlab suite run '</code><script>' \x1b[31m")
        write_report(root / "suite")
    assert failures(parsed, Store(root / "suite")) == []
    return root


def test_the_page_has_the_elements_of_any_other_and_ids_that_are_unique(root: Path) -> None:
    text = (root / "suite" / "report" / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    tags = Counter(tag for tag, _ in page.elements)
    assert (tags["script"], tags["h1"], tags["b"], tags["title"]) == (3, 1, 0, 1)
    assert {value[:5] for tag, found in page.elements for name, value in found.items() if name == "src"} <= {"data:"}
    ids = Counter(found["id"] for _, found in page.elements if "id" in found)
    assert max(ids.values()) == 1
    addresses = [found["href"] for _, found in page.elements if "href" in found]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    for address in addresses:
        if address.startswith("#"):
            assert address[1:] in ids
    assert not CONTROLS.search(re.sub("<script.*?</script>", "", text, flags=re.DOTALL))
    for words in (*CLASSES[:5], IMAGE, printable(TITLE), "@r <b>|"):
        assert words in page.text


def test_each_target_has_tables_of_its_own(root: Path) -> None:
    tables = list((root / "suite" / "report" / "tables").glob("results-*.csv"))
    assert len(tables) == 4
    assert len({path.read_text() for path in tables}) == 4


def test_every_csv_is_rectangular_and_starts_nothing(root: Path) -> None:
    files = [*(root / "suite").glob("*.csv"), *(root / "suite" / "report" / "tables").glob("*.csv")]
    for file in files:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(opened))
        assert len({len(row) for row in rows}) == 1, file.name
        for content in (content for row in rows for content in row):
            assert content[:1] not in tuple("=+-@\t\r") or re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", content), file.name
    results = load_results(root / "suite")
    for column in ("task", "target", "method"):
        assert list(read_csv(root / "suite" / "results.csv")[column].dropna()) == list(results.results[column].dropna())


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed: apt-get install texlive-latex-base")
def test_pdflatex_runs_through_every_table(root: Path, tmp_path: Path) -> None:
    write_analysis(made_up(HOSTILE[:12]), tmp_path / "analysis")
    files = [*(root / "suite" / "report" / "tables").glob("*.tex"), *(tmp_path / "analysis" / "tables").glob("*.tex")]
    rules = r"\IfFileExists{booktabs.sty}{\usepackage{booktabs}}{\let\toprule\hline\let\midrule\hline"
    rules += r"\let\bottomrule\hline\def\addlinespace{\noalign{}}}"
    tables = [f"{file.read_text(encoding='utf-8')}\n" for file in files]
    (tmp_path / "all.tex").write_text(
        "\n".join([r"\documentclass{article}", rules, r"\begin{document}", *tables, r"\end{document}"]),
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_every_figure_is_a_picture_without_scripts(root: Path) -> None:
    for file in (root / "suite" / "report" / "figures").glob("*.svg"):
        elements = list(ElementTree.parse(file).iter())
        assert not [element.tag for element in elements if element.tag.endswith(("}script", "}a", "}foreignObject"))]


def test_the_cards_of_models_have_a_heading_a_notice_and_a_table(root: Path) -> None:
    cards = [*(root / "suite").glob("models/*/README.md"), *(root / "suite").glob("references/*/README.md")]
    assert len(cards) > 4
    for card in cards:
        body = card.read_text(encoding="utf-8").split("---\n", 2)[2]
        tags = {tag for tag, _ in Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(body)).elements}
        assert tags <= {"h1", "p", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "code"}


@pytest.mark.parametrize(
    "words",
    [
        ("report", "suite"),
        ("suite", "check", "suite/suite.yaml", "--out", "suite", "--no-timing"),
        ("compare", "suite/references/*", "suite/models/*bold*"),
        ("repair", "suite/models/*img*", "--repair", "fine-tuning", "--set", "epochs=1", "--defender-data", "all"),
        ("detect", "suite/models/*img*", "--detector", "onion", "--defender-data", "all", "--out", "found"),
        ("analyze", "suite/references/*", "suite/models/*bold*", "--examples", "12", "--out", "analysis"),
        ("compare", "suite/references/*", "no \x1b[31m [bold] such\n\u202e folder"),
        ("train", "no \x1b[31m such\n data.csv", "--out", "x \x1b[31m"),
        ("\x1b[31m", "--\x1b[31m"),
    ],
    ids=lambda words: printable(words[0]),
)
def test_what_is_printed_steers_no_terminal(
    root: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    chosen = [str(min(root.glob(word)).relative_to(root)) if "*" in word else word for word in words]
    with nothing_run(root), pytest.raises(SystemExit) as end:
        main(chosen)
    assert end.value.code in (None, 0, 2)
    for text in capsys.readouterr():
        assert not CONTROLS.search(text)
        assert "Traceback" not in text
    if words[0] in ("detect", "analyze") and "--out" in words:
        assert end.value.code in (None, 0)
        folder = root / words[-1]
        assert not [path for path in folder.rglob("*.svg") if b"<script" in path.read_bytes()]
        shutil.rmtree(folder)


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Path], tuple[str, list[str]]]:
    """Opens a page in headless Chromium: its title in the end, and everything that went wrong."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")

    def load(file: Path) -> tuple[str, list[str]]:
        troubles: list[str] = []
        with launched() as browser, new_page(browser) as page:
            page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
            page.on("console", lambda message: troubles.append(message.text))
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.on("request", lambda request: troubles.append(request.url) if request.url[:4] == "http" else None)
            page.goto(file.as_uri())
            draw_everything(page)
            title: str = page.title()
        return title, troubles

    return load


def test_the_page_of_the_suite_runs_nothing_in_a_browser(
    root: Path, load: Callable[[Path], tuple[str, list[str]]]
) -> None:
    assert load(root / "suite" / "report" / "index.html") == (" ".join(printable(TITLE).split()), [])


def test_the_page_of_an_analysis_runs_nothing_in_a_browser(
    tmp_path: Path, load: Callable[[Path], tuple[str, list[str]]]
) -> None:
    page = write_analysis(made_up(HOSTILE[:12]), tmp_path / "analysis")
    title, troubles = load(page)
    assert title.startswith("Perturbations of ")
    assert troubles == []
