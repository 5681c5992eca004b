"""The guard of the tests sees what it must see, and lets everything else pass."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guard import nothing_run


@pytest.mark.parametrize(
    "start",
    [lambda: subprocess.run([sys.executable, "-c", ""], check=False), lambda: os.system("true"), os.fork],
    ids=["subprocess", "system", "fork"],
)
def test_a_process_is_refused(tmp_path: Path, start: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match="process"), nothing_run(tmp_path), pytest.raises(PermissionError):
        start()


def test_a_module_of_the_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_the_input.py").write_text("raise SystemExit('this must not run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AssertionError, match="of_the_input"), nothing_run(tmp_path), pytest.raises(PermissionError):
        importlib.import_module("module_of_the_input")


def test_a_pickle_that_would_start_a_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="system"), nothing_run(tmp_path), pytest.raises(PermissionError):
        pickle.loads(b"cos\nsystem\n(S'true'\ntR.")


def test_what_is_read_and_imported_elsewhere_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("text,label\nfine,1\n")
    with nothing_run(tmp_path) as refused:
        (tmp_path / "train.csv").read_text()
        importlib.reload(importlib.import_module("colorsys"))
        pickle.loads(pickle.dumps({"a": Path("b")}))
        exec("1 + 1")  # code of no file, such as that of a named tuple
    assert refused == []
