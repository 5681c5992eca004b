"""Stored logits are compared in memory that does not grow with the files, and are never unpickled."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anchorlab.consistency.compare import compare_logits
from anchorlab.consistency.stored_logits import stored_labels
from anchorlab.errors import AnchorlabError

N, C = 60_000, 500

GROWTH = """
import sys
import numpy as np
from anchorlab.consistency.compare import compare_logits

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

rng = np.random.default_rng(0)
compare_logits(rng.normal(size=(50, 3)), rng.normal(size=(50, 3)), rng.integers(3, size=50))  # imports what it needs
before = peak()
compare_logits(*sys.argv[1:])
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of the process from Linux's /proc")
def test_files_are_never_held_in_memory(tmp_path: Path) -> None:
    """Two files of 120 MB may cost less than their 240 MB.

    What remains is about 120 MB, whatever the number of classes: 11 MB of the per-instance table, and the draws of
    the bootstrap. With the files held it would be 240 MB more than that, so that the bound is 120 MB from either.
    The peak is not ``ru_maxrss``, which a process takes over from the one that starts it.
    """
    rng = np.random.default_rng(0)
    piece = rng.normal(size=(N // 10, C)).astype(np.float32)
    paths = [tmp_path / f"{name}.npy" for name in ("reference", "candidate", "labels")]
    for path, shift in zip(paths, (0.0, 0.1), strict=False):
        changed = piece + np.float32(shift) * rng.normal(size=piece.shape).astype(np.float32)
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (N, C)})
            for _ in range(10):
                file.write(changed.tobytes())
    np.save(paths[2], rng.integers(C, size=N))
    answer = subprocess.run(
        [sys.executable, "-c", GROWTH, *map(str, paths)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # each thread has 20 MB for a block of replicates
    )
    assert int(answer.stdout) < 2 * 4 * N * C


def test_a_pickle_is_refused_and_nothing_of_it_runs(nothing_runs: Path) -> None:
    """``numpy.load`` would run it if it were let."""
    place = nothing_runs / "labels.npy"
    place.write_bytes(pickle.dumps(Ran(str(nothing_runs / "ran"))))
    with pytest.raises(AnchorlabError, match="cannot be read as labels"):
        stored_labels(place)
    assert not (nothing_runs / "ran").exists()


class Ran:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


def test_places_take_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", draw.normal(size=(20, 3)))
    np.save(tmp_path / "y.npy", draw.integers(3, size=20))
    found = compare_logits("~/a.npy", "~/b.npy", "~/y.npy", save_instances="~/table.parquet")
    assert found.count == len(pd.read_parquet(tmp_path / "table.parquet")) == 20
