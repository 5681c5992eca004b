"""``anchorlab population``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.options import DataOptions, DefenderData, ExecutionOptions, TaskName, defender_count, seed_option
from anchorlab.cli.running import run_and_report, this_command
from anchorlab.cli.scanners import ScannerOptions


def population(
    *,
    task: TaskName,
    out: Annotated[Path, typer.Option(help="The folder of the population. A population begun there continues.")],
    model: Annotated[str | None, typer.Option(help="The architecture; the task's own if left out.")] = None,
    references: Annotated[int, typer.Option(min=1, help="Clean references to train; to accuse at 5% takes 20.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Injection seeds on each reference.")] = 3,
    trigger: Annotated[
        list[str] | None, typer.Option(help="A trigger, see 'anchorlab list triggers'; may be repeated.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The label that the attacker wants.")] = None,
    label_rule: Annotated[str, typer.Option(help="Who is attacked, see 'anchorlab list label-rules'.")] = "all-to-one",
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method, with parameters as in anchoring:strength=4; may be repeated."),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            help="A detector to try, with parameters in the same form; or a scanner of somebody else's, as in "
            "'command:scanner --json {model}'. May be repeated."
        ),
    ] = None,
    defender_data: DefenderData = None,
    lora: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=VALUE,...",
            help="Tune an adapter of low rank in place of the weights, as in rank=8,target=query,value; scanners get "
            "the adapters.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two references, one seed, short training.")] = False,
    seed: Annotated[int, seed_option("The first seed of references and injections; the others follow it.")] = 0,
    scanners: ScannerOptions,
    execution: ExecutionOptions,
    own: DataOptions,
) -> Answer:
    """Build clean references, benign updates and injected models, and try detectors on all of them."""
    from anchorlab.suites.population import population_suite

    tried = scanners.detectors(detector or [])
    count = defender_count(defender_data, own.load_task(task, seed))
    suite = population_suite(
        task,
        model=model,
        data=own.data,
        columns=own.columns(),
        references=references,
        seeds=seeds,
        triggers=trigger or [],
        label_rule=label_rule,
        target=int(target) if target and target.isdecimal() else target,
        methods=method or [],
        detectors=tried,
        defender="all" if count is None else count,
        lora=lora,
        quick=quick,
        seed=seed,
    )
    return run_and_report(suite, out, execution, this_command(), programs=True)
