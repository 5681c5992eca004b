"""What CONTRIBUTING.md shows is done to a copy of the sources, and works."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the package that may be changed."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "src"


def shown(page: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def line_with(beginning: str, containing: str) -> str:
    """The one line of CONTRIBUTING.md's blocks that begins and goes on so."""
    (line,) = [
        block for block in shown("CONTRIBUTING.md") if block.strip().startswith(beginning) and containing in block
    ]
    return line


def add_to_class(path: Path, name: str, line: str) -> None:
    """Puts a line behind the last field of a class."""
    text = path.read_text()
    (found,) = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == name]
    last = [node.end_lineno for node in found.body if isinstance(node, ast.AnnAssign)][-1]
    lines = text.splitlines(keepends=True)
    path.write_text("".join([*lines[:last], line, *lines[last:]]))


def output_of(sources: Path, *arguments: str) -> str:
    """What a fresh Python prints that imports the changed sources."""
    environment = {**os.environ, "PYTHONPATH": str(sources), "COLUMNS": "120"}
    run = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
def test_a_method_is_one_file_and_one_line(sources: Path) -> None:
    (example,) = [block for block in shown("docs/extending.md") if "class TopAnchoring(Method)" in block]
    example = example.replace("from anchorlab.methods import", "from anchorlab.methods.base import")
    (sources / "anchorlab/methods/top_anchoring.py").write_text(example)
    registry = sources / "anchorlab/methods/__init__.py"
    text = registry.read_text()
    line = line_with('"top-anchoring"', "TopAnchoring")
    assert '        "anchoring": Anchoring,\n' in text
    text = text.replace('        "anchoring": Anchoring,\n', f'        "anchoring": Anchoring,\n{line}')
    imported = "from anchorlab.methods.top_anchoring import TopAnchoring\n"
    registry.write_text(text.replace("from anchorlab.registry", f"{imported}from anchorlab.registry", 1))
    output_of(sources, "-m", "anchorlab.cli.generated")
    assert "top-anchoring" in output_of(sources, "-m", "anchorlab", "list", "methods")


@pytest.mark.slow
def test_a_data_option_is_one_line_for_python_and_one_for_the_command_line(sources: Path) -> None:
    add_to_class(sources / "anchorlab/data/columns.py", "DataColumns", line_with("separator", "Field("))
    add_to_class(sources / "anchorlab/cli/options.py", "DataOptions", line_with("separator", "typer.Option("))
    for command in ("train", "adopt", "compare", "analyze", "repair", "detect", "audit", "population"):
        assert "--separator" in output_of(sources, "-m", "anchorlab", command, "--help"), command
    script = "from anchorlab.cli.options import DataOptions\n"
    script += "print(DataOptions(text_column='review', separator=';').columns().separator)"
    assert output_of(sources, "-c", script) == ";\n"
