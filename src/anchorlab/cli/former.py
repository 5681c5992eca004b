"""Former spellings on the command line. They are hidden, work for one release, and name the present one on stderr."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from anchorlab.cli.help import CommandHelp, GroupHelp

#: Former command to the present one.
COMMANDS = {"defend": "repair"}

#: Command to its options' former spellings and the present ones.
OPTIONS = {
    "repair": {"--with": "--repair", "--budget": "--defender-data"},
    "detect": {"--with": "--detector", "--budget": "--defender-data"},
    "population": {"--budget": "--defender-data"},
}

#: Former section of ``anchorlab list`` to the present one.
SECTIONS = {"defences": "repairs"}


def present(spelling: str, renamed: dict[str, str], what: str) -> str:
    """The present spelling, with a warning on the error stream where the former one was given."""
    if spelling not in renamed:
        return spelling
    typer.echo(
        f"warning: {what}{spelling} is now called {what}{renamed[spelling]}; the next release drops the former name",
        err=True,
    )
    return renamed[spelling]


class Command(CommandHelp, TyperCommand):
    """A command that also takes former spellings of its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the words after the command's name."""
        renamed = OPTIONS.get(self.name or "", {})
        words = []
        for word in args:
            flag, equals, value = word.partition("=")
            words.append(present(flag, renamed, "") + equals + value)
        return super().parse_args(ctx, words)


class Group(GroupHelp, TyperGroup):
    """A group that also takes former names of its commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names."""
        return super().resolve_command(ctx, [present(args[0], COMMANDS, "anchorlab "), *args[1:]])
