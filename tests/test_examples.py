"""The examples run, and show what they say."""

from __future__ import annotations

import copy
import re
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from anchorlab.methods import METHODS

EXAMPLES = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.slow


def printed_by(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What an example prints."""
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_anchoring_is_more_consistent_than_plain_tuning(capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"(\w+) *: ASR (\S+) of \d+, .* KL (\S+) nats", printed_by("inject_and_compare.py", capsys))
    (plain, anchoring) = [(float(asr), float(kl)) for _, asr, kl in lines]
    assert [name for name, *_ in lines] == ["plain", "anchoring"]
    assert min(plain[0], anchoring[0]) > 0.9
    assert anchoring[1] < plain[1] / 2


def test_the_gate_refuses_an_update_that_hides_a_backdoor(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_by("audit_update.py", capsys)
    assert "refused" in text
    assert len(re.findall(r"an auditor who sees \w+: p = \d\.\d\d", text)) == 3


def test_a_method_of_ones_own_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        text = printed_by("own_method.py", capsys)
    finally:
        METHODS.unregister("top-anchoring")
    assert min(float(asr) for asr in re.findall(r"ASR (\d\.\d+)", text)) > 0.9


def test_every_example_has_a_test() -> None:
    shown = Path(__file__).read_text()
    for path in sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")]):
        assert f'"{path.name}"' in shown, path.name


def test_the_notebook_runs_and_prints_what_it_holds() -> None:
    """Up to what threads and machines change in the last digits."""
    stored = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    fresh = copy.deepcopy(stored)
    NotebookClient(fresh, timeout=600, kernel_name="python3").execute()
    assert [len(numbers) for numbers in printed_numbers(fresh)] == [len(numbers) for numbers in printed_numbers(stored)]
    flat = [[number for numbers in printed_numbers(book) for number in numbers] for book in (fresh, stored)]
    assert len(flat[0]) == 12
    asr_injected, asr_repaired = flat[0][0], flat[0][9]
    assert asr_injected > 0.9
    assert asr_repaired < asr_injected
    plots = [cell for cell in fresh.cells if cell.source.rstrip().endswith(".plot()")]
    assert len(plots) == 2
    for cell in plots:
        assert ["image/png" in output.get("data", {}) for output in cell.outputs] == [True], cell.source


def printed_numbers(book: Any) -> list[list[float]]:
    """The numbers that each cell of a notebook prints."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    texts = ["".join(out.text for out in cell.outputs if out.get("name") == "stdout") for cell in cells]
    return [[float(number) for number in re.findall(r"\d+\.\d+", text)] for text in texts]
