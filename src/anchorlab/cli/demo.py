"""``anchorlab demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.arguments import Seed


def demo(
    *,
    out: Annotated[Path, typer.Option(help="The folder to fill; one that was interrupted is continued.")] = Path(
        "anchorlab-demo"
    ),
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Injections by each method, with seeds from --seed on.")] = 3,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; chosen by the machine if left out.")] = None,
) -> None:
    """Compare six methods on the digits, in about a minute."""
    from anchorlab.suites.demo import run_demo

    report = run_demo(out, seed=seed, seeds=seeds, workers=workers)
    typer.echo(f"the report is {report}")
