"""LaTeX runs nothing that the user wrote, and pdfLaTeX runs through whatever it was."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from anchorlab.statistics import latex as module
from anchorlab.statistics.latex import PREAMBLE, latex, row_of
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table, facts_table, to_latex
from tests.hostile import HOSTILE, any_text

#: The commands that a text may become.
_COMMAND = re.compile(r"\\(?:[a-zA-Z]+|.)", re.DOTALL)
ALLOWED = {command for known in (*module._TABLE.values(), r"\anchorlabunicode") for command in _COMMAND.findall(known)}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("50% & a_b #1", r"50\% \& a\_b \#1"),
        ("L∞, σ² × −1", r"L$\infty$, $\sigma$$^2$ $\times$ $-$1"),
        ("naïve Łódź", "naïve Łódź"),
        ("猫狗!", r"\anchorlabunicode{猫狗}{U+732B U+72D7}!"),
        ("a--b", "a-{}-b"),
        ("x\u2028y\nz", r"x\textbackslash{}u2028y\textbackslash{}nz"),
        ("–", "--"),
    ],
)
def test_how_signs_are_written(text: str, written: str) -> None:
    assert latex(text) == written


@given(any_text)
def test_no_sign_of_a_text_is_a_command_and_braces_balance(text: str) -> None:
    written = latex(text)
    assert set(_COMMAND.findall(written)) <= ALLOWED
    bare = _COMMAND.sub("", written)
    assert not set(bare) & set("%&#~_^\\\n") - ({"~"} if "\u00a0" in text else set()) - {"^", "_"}
    outside = re.sub(r"\$[^$]*\$", "", bare)
    assert not set(outside) & set("^_$")
    depth = 0
    for sign in bare:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize("head", ["[2cm] x", "* x", "  [x]"])
def test_a_row_never_begins_with_what_the_former_row_would_take_as_argument(head: str) -> None:
    assert row_of([latex(head), "1"]).startswith("{}")
    assert row_of(["x [y]", "1"]) == r"x [y] & 1 \\"


def test_a_table_says_how_to_write_other_scripts_only_where_it_needs_to() -> None:
    def table(head: str) -> str:
        return to_latex(Table("t", "c\n\\input{x}", "h", [Column("a", "a")], [Rows([Row(head, [Cell("1")])])]))

    assert PREAMBLE in table("猫")
    assert PREAMBLE not in table("cat")
    assert table("cat").splitlines()[0] == r"% c\n\input{x}"


PDFLATEX = shutil.which("pdflatex")


@pytest.mark.slow
@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed: apt-get install texlive-latex-base")
@pytest.mark.parametrize("encoding", ["", r"\usepackage[T1]{fontenc}"])
def test_pdflatex_runs_through_a_table_of_hostile_words(tmp_path: Path, encoding: str) -> None:
    rows = [Row(text, [Cell(text), Cell("1", note=text, interval="[0, 1]", best=True)], sub=text) for text in HOSTILE]
    rows += [Row("".join(module._KNOWN), (), sub=text) for text in HOSTILE]
    groups = [Rows(rows[i : i + 9], HOSTILE[i]) for i in range(0, len(HOSTILE), 9)]
    table = Table("t", HOSTILE[0], HOSTILE[14], [Column("a", HOSTILE[11], is_text=True), Column("b", "b")], groups)
    # Booktabs is in another package than LaTeX: without it, a line of LaTeX's own stands for its rules.
    rules = r"\IfFileExists{booktabs.sty}{\usepackage{booktabs}}{\let\toprule\hline\let\midrule\hline"
    rules += r"\let\bottomrule\hline\def\addlinespace{\noalign{}}}"
    lines = [r"\documentclass{article}", encoding, rules, r"\begin{document}", to_latex(table), r"\end{document}"]
    (tmp_path / "t.tex").write_text("\n".join(lines), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_facts_are_words_which_stand_left() -> None:
    """Numbers stand right."""
    assert r"\begin{tabular}{ll}" in to_latex(facts_table("t", "What it is", {"name": "x"}))
    numbers = Table("t", "What was measured", "", (Column("value", "value"),), (Rows((Row("x", (Cell("1"),)),)),))
    assert r"\begin{tabular}{lr}" in to_latex(numbers)
