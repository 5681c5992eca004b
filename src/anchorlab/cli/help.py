"""How help is laid out: commands in the order of work, options in groups, and examples to copy.

It is plain text, so that it comes at once, wraps in any terminal, and can be searched with ``grep``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anchorlab.cli.examples import EXAMPLES

#: Headings of the overview to commands, in the order of work; a test finds every command here.
WORK = {
    "Make models": ("train", "adopt", "convert", "merge", "trigger", "inject"),
    "Measure what changed": ("compare", "analyze", "export"),
    "Look for a backdoor, or remove it": ("audit", "detect", "repair"),
    "Many runs": ("suite", "population"),
    "Look things up": ("report", "list", "cache"),
    "Extend": ("plugin",),
}

#: Most options that stand in one list.
FEW = 12

#: Widest first column, in characters.
_WIDEST = 30

#: Heading of the options that every command has, and their names.
SHARED = "Every command"
SHARED_OPTIONS = ("json_file", "device", "threads", "quiet", "verbose", "debug", "help")


class CommandHelp:
    """Mixin of commands: the layout of their help."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command's name: options, then the names of the arguments."""
        pieces: list[str] = [self.options_metavar] if self.options_metavar else []  # type: ignore[attr-defined]
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            if parameter.param_type_name == "argument":
                name = _argument(parameter)
                pieces.append(name if parameter.required else f"[{name}]")
        return pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the arguments, and the options: in one list, or in groups where there are many."""
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, tuple[str, str]]] = []
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if parameter.param_type_name == "argument":
                arguments.append((_argument(parameter), record[1]))
            else:
                options.append((_heading(parameter), record))
        several = len(options) > FEW
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for heading, record in sorted(options, key=lambda option: option[0] == SHARED):
            groups.setdefault(heading if several else "Options", []).append(record)
        sections = {"Arguments": arguments, **groups}
        widths = [len(first) for records in sections.values() for first, _ in records]
        for heading, records in sections.items():
            write_section(formatter, heading, records, first_column=min(_WIDEST, max(widths, default=0)))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Writes the examples, each on a line of its own, however long it is."""
        lines = EXAMPLES.get(ctx.command_path.partition(" ")[2], ())
        if lines:
            formatter.write_paragraph()
            formatter.write("Examples:\n")
            formatter.write("".join(f"  {line}\n" for line in lines))


class GroupHelp:
    """Mixin of groups of commands: the layout of their overview."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, in the order of work."""
        names: Sequence[str] = list(self.commands)  # type: ignore[attr-defined]
        if ctx.parent is not None:
            return list(names)
        order = [name for section in WORK.values() for name in section]
        return sorted(names, key=lambda name: order.index(name) if name in order else len(order))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes each command with its whole summary, below the heading of its kind of work."""
        headings = {name: heading for heading, names in WORK.items() for name in names} if ctx.parent is None else {}
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)  # type: ignore[attr-defined]
            if not command.hidden:
                sections.setdefault(headings.get(name, "Commands"), []).append((name, summary(command)))
        for heading, rows in sections.items():
            write_section(formatter, heading, rows, first_column=max(len(name) for name in self.list_commands(ctx)))


def summary(command: Any) -> str:
    """The first sentence of a command's help."""
    first, stop, _ = " ".join((command.help or "").partition("\n\n")[0].split()).partition(". ")
    return first + stop.strip()


def write_section(formatter: Any, heading: str, rows: list[tuple[str, str]], *, first_column: int = 0) -> None:
    """Writes a heading and two columns below it; nothing where there are no rows.

    Args:
        formatter: click's.
        heading: the section's.
        rows: both columns.
        first_column: least width of the first.
    """
    if rows:
        with formatter.section(heading):
            formatter.write_dl([(first.ljust(first_column), second) for first, second in rows])


def _heading(parameter: Any) -> str:
    """The heading that an option stands below where there are many."""
    return SHARED if parameter.name in SHARED_OPTIONS else getattr(parameter, "rich_help_panel", None) or "Options"


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return f"{name}..." if parameter.nargs == -1 else name
