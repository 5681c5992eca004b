"""Runs the command line in this process, and says how it ended."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from anchorlab.artifacts.artifact import Artifact
from anchorlab.cli import main
from tests.refusals import Ended

#: The command line as a process of its own.
PROGRAM = [sys.executable, "-c", "from anchorlab.cli import main; main()"]


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ended(end.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of progress, however slow the machine is; quick work prints none anyway."""
    monkeypatch.setattr("anchorlab.progress._BEGIN", math.inf)


@pytest.fixture
def reference_folder(tmp_path: Path, reference: Artifact) -> Path:
    return reference.save(tmp_path / "reference")


@pytest.fixture
def injected_folder(tmp_path: Path, injected: Artifact) -> Path:
    return injected.save(tmp_path / "injected")
