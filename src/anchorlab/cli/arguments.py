"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option(help="The model folder to write; it must not hold anything yet.")]
Data = Annotated[
    str | None, typer.Option(help="Where the task's data are, if not in the usual place: a folder, or a hub name.")
]
Seed = Annotated[int, typer.Option(help="Seed of all random draws.")]
Reference = Annotated[Path, typer.Argument(help="The model folder of the trained clean model.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Sets a parameter; may be repeated.")
]
