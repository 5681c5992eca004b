"""``train`` from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from anchorlab.artifacts.artifact import load_model
from anchorlab.artifacts.manifest import Manifest
from tests.cli.conftest import PROGRAM, Run
from tests.interrupts import heed_interrupts


def manifest(folder: Path) -> Manifest:
    return load_model(folder).manifest


def test_the_same_seed_gives_the_same_weights(run: Run, tmp_path):
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        assert run("train", "--out", tmp_path / name, "--set", "epochs=1", "--seed", seed).code == 0
    hashes = [manifest(tmp_path / name).weights_sha256 for name in ("first", "again", "other")]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.slow
def test_ctrl_c_ends_a_real_process_in_one_sentence(tmp_path):
    out = tmp_path / "out"
    arguments = ["train", "--out", str(out), "--set", "epochs=10000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heed_interrupts
    )
    deadline = time.monotonic() + 600
    while not (tmp_path / "out.partial" / "settings.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert err == "interrupted: the same command continues from what was written, if anything was yet\n"
    assert list(tmp_path.iterdir()) == []
