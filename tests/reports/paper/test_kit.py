"""The whole kit: its files, its words, and that LaTeX compiles it without a box that is too wide."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.reports.paper.kit import PaperKit, write_kit
from tests.reports.paper.conftest import PaperResults, paper_results, text

TOOLS = shutil.which("pdflatex"), shutil.which("bibtex")

#: A document whose columns are as narrow as those of most conferences.
TWO_COLUMNS = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs,graphicx}
\setlength{\columnsep}{0.25in}\setlength{\textwidth}{6.85in}\setlength{\oddsidemargin}{-0.2in}
\begin{document}
\section{Methods}
\input{methods.tex}
TABLES
\input{figures.tex}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""


def test_every_file_is_named_in_the_readme(kit: PaperKit) -> None:
    readme = text(kit, "README.md")
    for name in kit.files:
        assert (kit.folder / name).is_file()
        assert f"`{name}`" in readme or name == "README.md"
    assert "None" not in readme


def test_every_citation_has_its_entry(kit: PaperKit) -> None:
    cited = {
        key
        for name in kit.files
        if name.endswith(".tex")
        for keys in re.findall(r"\\cite\{([^}]*)\}", text(kit, name))
        for key in keys.split(",")
    }
    entries = set(re.findall(r"^@\w+\{([^,]+),", text(kit, "references.bib"), re.MULTILINE))
    assert cited == entries
    assert {"zhang2022how", "li2021neural", "gao2019strip", "alpaydin1998optical", "kullback1951information"} <= entries
    assert "hinton2015distilling" not in entries


def test_the_methods_in_words(kit: PaperKit) -> None:
    words = text(kit, "methods.md")
    for said in (
        "880, 126, 126 and 126; the test part has 539 examples of 10 classes",
        "2 references of the architecture resnet-tiny [@he2016deep]",
        "25 epochs, batches of 128, a one-cycle learning rate of at most 0.003",
        "each on another 80% of the owner's examples",
        "five-pixel [@gu2017badnets] (margin 1, value 255), all-to-one towards class 0",
        "600 steps, batches of 64, a one-cycle learning rate of at most 0.001",
        "surgery [@zhang2021neural] (count from 500, 2,000, 8,000)",
        "anchoring, strength 2",
        "weight-ball [@garg2020can] (radius from",
        "injection seeds 0 to 2 on each reference (seeds 0 and 1)",
        "repaired by fine-tuning [@liu2018fine], nad [@li2021neural], with 640 of the defender's clean examples",
        "judged by strip",
        "anchorlab 0.1.0 [@anchorlab], PyTorch 2.13.0",
        "The unit is the reference",
    ):
        assert said in words
    # Both forms say the same.
    plain = re.sub(r"~\\cite\{[^}]*\}|\$\\times\$|\\par\\endgroup", "", text(kit, "methods.tex"))
    without = re.sub(r" \[@[^\]]*\]|×", "", words)
    assert re.findall(r"[a-z]{4,}", plain.partition("3em")[2]) == re.findall(r"[a-z]{4,}", without)


def test_several_conditions_have_files_of_their_own(tmp_path: Path) -> None:
    kit = write_kit(paper_results(seeds=(0,)), tmp_path, columns=["kl"])  # type: ignore[arg-type]
    tables = [name for name in kit.files if name.startswith("table") and name.endswith(".tex")]
    assert len(tables) == 2
    assert all(rf"\input{{{name}}}" in text(kit, "main.tex") for name in tables)
    assert len([name for name in kit.files if name.startswith("metrics") and name.endswith(".pdf")]) == 4
    assert len([name for name in kit.files if name.startswith("front") and name.endswith(".pdf")]) == 2
    labels = re.findall(r"\\label\{([^}]*)\}", "".join(text(kit, name) for name in (*tables, "figures.tex")))
    assert len(labels) == len(set(labels))


def test_an_unfinished_suite_and_a_wide_table_are_remarked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anchorlab.reports.paper.table.ROOM", 130)
    results = paper_results(sizes=("all",), targets=(0.95,), references=(0,), pending=3)
    kit = write_kit(results, tmp_path, columns=["asr", "accuracy", "kl"])  # type: ignore[arg-type]
    assert "3 results are missing" in kit.remarks[0]
    assert "for a table of one part" in kit.remarks[1]
    assert all(remark.split(":")[0] in text(kit, "README.md") for remark in kit.remarks)


def test_the_tables_csv_has_the_rows_of_the_table_alone(one_condition: PaperResults, tmp_path: Path) -> None:
    kit = write_kit(one_condition, tmp_path, methods=["plain"])  # type: ignore[arg-type]
    rows = text(kit, "table.csv").splitlines()[1:]
    assert rows
    assert all("plain" in row for row in rows)


def test_methods_without_a_result_are_refused(one_condition: PaperResults, tmp_path: Path) -> None:
    with pytest.raises(AnchorlabError, match="none of these methods has a result yet"):
        write_kit(one_condition, tmp_path, methods=["same model, bf16"])  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def compiled(folder: Path, document: str) -> str:
    """The log of LaTeX's last pass."""
    pdflatex, bibtex = TOOLS
    for tool in (pdflatex, bibtex, pdflatex, pdflatex):
        options = ["-interaction=nonstopmode", "-halt-on-error"] if tool == pdflatex else []
        done = subprocess.run([str(tool), *options, document], cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    return (folder / f"{document}.log").read_text(errors="replace")


@pytest.mark.slow
@pytest.mark.skipif(
    None in TOOLS, reason="pdflatex or bibtex is not installed: apt-get install texlive-latex-recommended"
)
@pytest.mark.parametrize("columns", [None, ["asr", "kl", "negative_flips", "logit_distance", "ece", "shift_max"]])
def test_latex_compiles_it_and_nothing_is_too_wide(tmp_path: Path, columns: list[str] | None) -> None:
    """Neither in one column of 345 pt nor in two of 3.3 in."""
    results = paper_results(seeds=(0,), targets=(0.95,))
    kit = write_kit(results, tmp_path, columns=columns)  # type: ignore[arg-type]
    tables = re.findall(r"\\input\{table[^}]*\}", text(kit, "main.tex"))
    (tmp_path / "two.tex").write_text(TWO_COLUMNS.replace("TABLES", "\n".join(tables)))
    for document in ("main", "two"):
        log = compiled(tmp_path, document)
        for complaint in ("Overfull", "undefined", "multiply defined", "Missing character"):
            assert complaint not in log, document
        assert (tmp_path / f"{document}.pdf").stat().st_size > 10_000
