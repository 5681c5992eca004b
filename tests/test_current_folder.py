"""Nothing that lies in the current folder is imported: a person starts the program where somebody's data lie."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: Modules that the program or a process of it would import, from the standard library and from packages.
NAMES = (
    *("ast", "json", "pathlib", "pickle", "random", "secrets", "signal", "socket", "struct", "tempfile", "threading"),
    *("typing", "difflib", "unicodedata", "selectors", "queue", "copy", "heapq", "shlex", "traceback", "zipfile"),
    *("yaml", "numpy", "pandas", "torch", "torchvision", "PIL", "datasets", "transformers", "accelerate", "rich"),
    *("typer", "pydantic", "sklearn", "scipy", "matplotlib", "ray", "joblib", "safetensors", "filelock", "jinja2"),
)
MAIN = "from anchorlab.cli import main; main()"
JOB = """
import os
from anchorlab.suites.executors import LocalProcesses
if __name__ == "__main__":
    with LocalProcesses(1) as executor:
        print(executor.submit(os.path.exists, "data.csv").result(), executor.submit(os.getpid).result() != os.getpid())
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A folder of data beside modules that leave a mark when they are imported, and fail."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "data.csv").write_text("text,label\na,1\n")
    for name in NAMES:
        mark = tmp_path / f"{name}.mark"
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\nraise SystemExit('imported {name}')\n")
    return folder


def assert_nothing_imported(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert sorted(mark.stem for mark in folder.parent.glob("*.mark")) == []
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_traps_work(trapped: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import yaml"], cwd=trapped, capture_output=True, check=False)
    assert done.returncode == 1
    assert [mark.stem for mark in trapped.parent.glob("*.mark")] == ["yaml"]


@pytest.mark.parametrize("flags", [(), ("-P",), ("-u",)])
def test_python_m_anchorlab(trapped: Path, flags: tuple[str, ...]) -> None:
    shown = assert_nothing_imported(trapped, *flags, "-m", "anchorlab", "list", "methods")
    assert "anchoring" in shown


def test_the_program(trapped: Path, tmp_path: Path) -> None:
    program = tmp_path / "anchorlab"  # what pip installs is a script like this one
    program.write_text(MAIN)
    assert "anchoring" in assert_nothing_imported(trapped, str(program), "list", "methods")


def test_processes_that_it_starts(trapped: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(JOB)
    assert assert_nothing_imported(trapped, str(program)) == "True True\n"


def test_the_package_itself_may_lie_there(tmp_path: Path) -> None:
    (tmp_path / "anchorlab").mkdir()
    source = Path(__file__).parent.parent / "src" / "anchorlab" / "__init__.py"
    (tmp_path / "anchorlab" / "__init__.py").write_text(
        source.read_text().partition("import ast")[0] + "import beside\n__version__ = '0'\n"
    )
    (tmp_path / "anchorlab" / "__main__.py").write_text("from anchorlab import beside; print(beside.__name__)\n")
    (tmp_path / "beside.py").touch()
    assert assert_nothing_imported(tmp_path, "-m", "anchorlab") == "beside\n"
