"""``anchorlab list``. It reads the catalogue, and imports a package of somebody else only to show its members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.catalogue import OWN, SECTIONS, Entry, entries_of, oracles
from anchorlab.cli.former import SECTIONS as FORMER_SECTIONS
from anchorlab.cli.former import present
from anchorlab.cli.options import seed_option
from anchorlab.errors import printable, unknown

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

#: Greatest bound that is worth showing; larger ones only keep nonsense out.
_SHOWN_BOUND = 50_000

#: Keyword of JSON Schema to how a bound is said.
_BOUNDS = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}


def show(
    *,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="SECTION",
            help="tasks, models, triggers, label-rules, methods, repairs, detectors, metrics, tuning or "
            "training; all if left out.",
        ),
    ] = None,
    seed: Annotated[int, seed_option("Changes nothing, because nothing is drawn here.")] = 0,
) -> Answer:
    """List all that you can choose from, with all parameters."""
    from rich.console import Console

    del seed
    what = None if what is None else present(what, FORMER_SECTIONS, "anchorlab list ")
    if what is not None and what not in SECTIONS:
        raise unknown("section", what, SECTIONS)
    listed = {name: entries_of(name) for name in (SECTIONS if what is None else [what])}
    console = Console(markup=False, highlight=False, emoji=False)
    for name, entries in listed.items():
        console.print(name, style="bold underline")
        for part in _shown(name, entries):
            console.print(part)
        console.print()
    return Answer(values=listed, data=True)


def _shown(section: str, entries: list[Entry]) -> Iterator[Table | Text]:
    """A section as a reader sees it."""
    from rich.text import Text

    if section in ("tuning", "training"):
        yield _parameters(entries)
    elif section in ("tasks", "models", "metrics"):
        yield _described(entries)
    else:
        for entry in entries:
            yield Text(f"{printable(entry['name'])}: {_summary(entry)}")
            if entry.get("parameters"):
                yield _parameters(entry["parameters"])
    if section == "repairs":
        yield Text(f"With the depth chosen by test data and trigger, as no defender can: {', '.join(oracles())}.")


def _summary(entry: Entry) -> str:
    """What a member is, and whose it is if it is not anchorlab's."""
    if "error" in entry:
        return printable(f"cannot be loaded from the package {entry['provider']} ({entry['error']})")
    kind = entry.get("modality", "any")
    fits = "" if kind == "any" else f" For {kind}s."
    fits += f" Needs {entry['needs']}." if entry.get("needs") else ""
    other = "" if entry["provider"] == OWN else f" From the package {entry['provider']}."
    return printable(entry["summary"] + fits + other)


def _described(entries: list[Entry]) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for entry in entries:
        table.add_row(f"  {printable(entry['name'])}", _summary(entry))
    return table


def _parameters(parameters: list[Entry]) -> Table:
    """A row a parameter: name, type, default, description with its bounds."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for parameter in parameters:
        default = "required" if parameter["required"] else f"= {parameter['default']!r}"
        words = printable(parameter["description"] + _bounds(parameter))
        table.add_row(f"    {parameter['name']}", parameter["type"], printable(default), words)
    return table


def _bounds(parameter: dict[str, Any]) -> str:
    """Between which values a parameter lies, in words; nothing for bounds that nobody meets."""
    words = [
        text.format(f"{parameter[key]:g}")
        for key, text in _BOUNDS.items()
        if key in parameter and abs(parameter[key]) < _SHOWN_BOUND
    ]
    return f" ({' '.join(words)})" if words else ""
