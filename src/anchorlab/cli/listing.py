"""``anchorlab list``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.former import SECTIONS as FORMER_SECTIONS
from anchorlab.cli.former import present
from anchorlab.cli.options import seed_option
from anchorlab.errors import unknown

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from anchorlab.registry import Registry


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
) -> None:
    """List all that you can choose from, with all parameters."""
    from rich.console import Console

    del seed
    what = None if what is None else present(what, FORMER_SECTIONS, "anchorlab list ")
    if what is not None and what not in SECTIONS:
        raise unknown("section", what, SECTIONS)
    console = Console(markup=False, highlight=False, emoji=False)
    for name in SECTIONS if what is None else [what]:
        console.print(name, style="bold underline")
        for part in SECTIONS[name]():
            console.print(part)
        console.print()


def _tasks() -> Iterator[Table]:
    from anchorlab.data import TASKS

    yield _described({name: TASKS[name].description for name in TASKS.names()})


def _models() -> Iterator[Table]:
    from anchorlab.models.architectures import ARCHITECTURES

    yield _described({name: ARCHITECTURES[name].description for name in ARCHITECTURES.names()})


def _triggers() -> Iterator[Table | Text]:
    from anchorlab.triggers import TRIGGERS

    yield from _classes(TRIGGERS)


def _label_rules() -> Iterator[Table | Text]:
    from anchorlab.attacks.label_rules import LABEL_RULES

    yield from _classes(LABEL_RULES)


def _methods() -> Iterator[Table | Text]:
    from anchorlab.methods import METHODS

    yield from _classes(METHODS)


def _repairs() -> Iterator[Table | Text]:
    from rich.text import Text

    from anchorlab.repairs import REPAIRS
    from anchorlab.repairs.oracles import oracles

    yield from _classes(REPAIRS)
    yield Text(f"With the depth chosen by test data and trigger, as no defender can: {', '.join(oracles())}.")


def _detectors() -> Iterator[Table | Text]:
    from anchorlab.detectors import DETECTORS

    yield from _classes(DETECTORS)


def _metrics() -> Iterator[Table]:
    from anchorlab.metrics import METRICS

    yield _described({name: METRICS[name].definition for name in METRICS.names()})


def _tuning() -> Iterator[Table | Text]:
    from anchorlab.injection.tuning import Tuning

    yield _parameters(Tuning)


def _training() -> Iterator[Table | Text]:
    from anchorlab.training.reference import Training

    yield _parameters(Training)


SECTIONS: dict[str, Callable[[], Iterator[Table | Text]]] = {
    "tasks": _tasks,
    "models": _models,
    "triggers": _triggers,
    "label-rules": _label_rules,
    "methods": _methods,
    "repairs": _repairs,
    "detectors": _detectors,
    "metrics": _metrics,
    "tuning": _tuning,
    "training": _training,
}


def _classes(registry: Registry[type]) -> Iterator[Table | Text]:
    """Name and first line of documentation of each member, and a table of its parameters."""
    from rich.text import Text

    from anchorlab.settings import options_of

    for name in registry.names():
        member = registry[name]
        summary = (inspect.getdoc(member) or "").partition("\n")[0].replace("``", "")
        yield Text(f"{name}: {summary}")
        if options_of(member):
            yield _parameters(member)


def _described(descriptions: dict[str, str]) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, description in descriptions.items():
        table.add_row(f"  {name}", description)
    return table


def _parameters(cls: type) -> Table:
    """A row a parameter: name, type, default, description."""
    from pydantic_core import PydanticUndefined
    from rich.table import Table

    from anchorlab.settings import options_of

    table = Table.grid(padding=(0, 2))
    for option in options_of(cls):
        default = "required" if option.default is PydanticUndefined else f"= {option.default!r}"
        table.add_row(f"    {option.name}", option.type, default, option.description)
    return table
