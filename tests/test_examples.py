"""The examples run, and show what they say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

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
