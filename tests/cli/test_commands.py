"""What every command shares: whatever is printed goes through one function, which no name of the user's can steer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import anchorlab.cli
from anchorlab.cli.commands import say

#: Calls that print no line with names of the user's: a version, a schema, an escaped file, an escaped ending.
ALLOWED = {("__init__", 2), ("former", 1), ("commands", 1), ("shared", 1), ("suite", 2)}


def test_a_line_is_printed_without_what_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("wrote \x1b[31mred\n\u202e 猫")
    say("to the other", err=True)
    assert capsys.readouterr() == ("wrote \\x1b[31mred\\n\\u202e 猫\n", "to the other\n")


@pytest.mark.parametrize("path", sorted(Path(anchorlab.cli.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_commands_print_by_say_alone(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    printing = [call for call in calls if ast.unparse(call) in ("typer.echo", "print", "typer.secho", "click.echo")]
    assert not printing or (path.stem, len(printing)) in ALLOWED
