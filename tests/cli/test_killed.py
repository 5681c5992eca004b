"""Commands that are killed when a file appears, not by the clock: the same command then ends as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from anchorlab.artifacts.artifact import WEIGHTS
from anchorlab.training.resumable import CHECKPOINT
from tests.cli.conftest import PROGRAM

#: Seconds after which a test gives up; a busy machine takes long to start a process.
PATIENCE = 300


def killed_once_there(command: list[str], path: Path) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_yield"), reason="needs kill")
@pytest.mark.parametrize("moment", [f"out.partial/{CHECKPOINT}", "out"])
def test_train_ends_by_the_same_command(tmp_path: Path, moment: str) -> None:
    script = (
        "from anchorlab.training.resumable import run_into; run_into.__kwdefaults__['checkpoint_seconds'] = 0.0; "
        "from anchorlab.cli import main; main()"
    )

    def train(folder: Path) -> list[str]:
        return [PROGRAM[0], "-c", script, "train", "digits", "--out", str(folder), "--set", "epochs=3"]

    whole, out = tmp_path / "whole", tmp_path / "out"
    subprocess.run(train(whole), check=True, capture_output=True, timeout=PATIENCE)
    killed_once_there(train(out), tmp_path / moment)
    ended = subprocess.run(train(out), check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    assert (out / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_yield"), reason="needs kill")
def test_repair_ends_by_the_same_command(tmp_path: Path, injected_folder: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "score.json"
    command = [*PROGRAM, "repair", str(injected_folder), "--repair", "fine-tuning", "--defender-data", "60"]
    command += ["--set", "epochs=1", "--out", str(out), "--json", str(table)]
    killed_once_there(command, out)  # before it is scored, or just after
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    assert table.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["injected", "out", "score.json"]
