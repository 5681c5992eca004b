"""``anchorlab repair``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anchorlab.cli.options import (
    AttackOptions,
    DataOptions,
    DefenderData,
    JsonFile,
    Parameters,
    Run,
    Seed,
    TaskOption,
    number_or_all,
)

if TYPE_CHECKING:
    from rich.table import Table

    from anchorlab.consistency.evaluate import Comparison
    from anchorlab.scoring.repairs import RepairScore

#: What the table shows of a comparison.
_SHOWN = ("accuracy", "asr", "kl", "logit_distance", "churn", "negative_flips")


def repair(
    *,
    run: Run,
    repair: Annotated[str, typer.Option(help="The repair, see 'anchorlab list repairs'.")],
    defender_data: DefenderData = "640",
    out: Annotated[
        Path | None,
        typer.Option(help="The model folder to write. It must not hold anything yet. Nothing is written if left out."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="The clean model, to measure what the repair leaves of its behaviour."),
    ] = None,
    trusted: Annotated[
        Path | None, typer.Option(help="An earlier version that the defender trusts, for repairs that need one.")
    ] = None,
    json_file: JsonFile = None,
    task: TaskOption = None,
    own: DataOptions,
    attack: AttackOptions,
    seed: Seed = 0,
    set_: Parameters = None,
) -> None:
    """Repair a model with the defender's clean examples, and measure what is left of backdoor and behaviour.

    No repair sees --trigger, --target, --label-rule or --reference: they measure the result.
    """
    from rich.console import Console

    from anchorlab.artifacts.artifact import open_model
    from anchorlab.files import refuse_existing, write_json
    from anchorlab.repairs.oracles import is_oracle
    from anchorlab.repairs.repair import repair as repair_model
    from anchorlab.scoring.repairs import check_scoring, choose_on_test, score_repair
    from anchorlab.settings import parse_pairs

    if out is not None:
        refuse_existing(out)
    suspicious = open_model(run)
    data = own.task_of(suspicious, task)
    scoring: dict[str, Any] = {
        "task": data,
        "trigger": attack.trigger,
        "target": attack.target,
        "label_rule": attack.label_rule,
    }
    oracle = is_oracle(repair)
    settings: dict[str, Any] = {
        "parameters": parse_pairs(set_ or [], "--set"),
        "defender_data": number_or_all(defender_data, "--defender-data"),
        "task": data,
        "trusted": None if trusted is None else open_model(trusted),
        "choose_depth": choose_on_test(suspicious, **scoring, seed=seed) if oracle else None,
        "seed": seed,
    }
    clean = None if reference is None else open_model(reference)
    check_scoring(suspicious, reference=clean, **scoring)
    repaired = repair_model(suspicious, repair, **settings)
    if out is not None:
        repaired.save(out)
    harmed = None if clean is None else repair_model(clean, repair, **settings)
    score = score_repair(suspicious, repaired, reference=clean, harmed=harmed, **scoring)
    Console(markup=False, highlight=False, emoji=False).print(_table(score, f"{run} repaired by {repair}"))
    if score.effectiveness is not None:
        typer.echo(f"effectiveness {score.effectiveness:.3f}: half of 1 + fall of the ASR - fall of the accuracy")
    if oracle:
        typer.echo("an oracle: test data and trigger chose how deep to prune, which no defender can do")
    typer.echo(f"{score.seconds:.1f} s, peak memory {score.peak_bytes / 2**30:.2f} GiB")
    if json_file is not None:
        write_json(json_file, score.to_dict())
    if out is not None:
        typer.echo(f"the repaired model is {out}")


def _table(score: RepairScore, title: str) -> Table:
    """A row a measurement; a column the model before and after, and the clean model after the same repair."""
    from rich import box
    from rich.table import Table

    before, after, harmed = score.suspicious, score.repaired, score.harmed
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measurement", no_wrap=True)
    for head in ("before", "after", *(["the clean model, after"] if harmed else [])):
        table.add_column(head, justify="right")
    for name in _SHOWN:
        # Without the clean model, what is known of the model before stands in the comparison with it.
        first = _cell(before, name) if before else _cell(after, f"{name}_reference")
        table.add_row(name, first, _cell(after, name), *([_cell(harmed, name)] if harmed else []))
    table.caption = _caption(score)
    table.caption_justify = "left"
    return table


def _caption(score: RepairScore) -> str:
    after = score.repaired
    against = "the clean reference" if score.suspicious else "the model before"
    said = f"{after.count:,} clean test instances; distances are from {against}"
    if after.asr is None:
        return f"{said}; no ASR: {after.undefined['asr']}"
    own = f"; the clean reference's own rate is {after.asr_reference:.4f}" if score.suspicious else ""
    return f"{said}; ASR on {after.asr_count:,} triggered instances{own}"


def _cell(comparison: Comparison, name: str) -> str:
    value = getattr(comparison, name, None)
    if value is None:
        return "–"
    interval = comparison.intervals.get(name)
    return f"{value:#.4g}" + ("" if interval is None else f" [{interval[0]:.4f}, {interval[1]:.4f}]")
