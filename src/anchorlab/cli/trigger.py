"""``anchorlab trigger show``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.commands import add_command, new_app
from anchorlab.cli.completion import COMPLETERS
from anchorlab.cli.options import DataOptions, ModelOptions, Seed, say_reading, set_option, set_parameters
from anchorlab.errors import AnchorlabError, command_of

if TYPE_CHECKING:
    from anchorlab.data import Task
    from anchorlab.triggers import Trigger

app = new_app(help="Look at a trigger before anything is tuned.")


@dataclass(frozen=True)
class ShownData(DataOptions):
    """The examples that a trigger is shown on."""

    data: Annotated[
        str | None,
        typer.Option(
            help="The examples: a task, see 'anchorlab list tasks', or data of your own, as a file, a folder or a hub "
            "name.",
            autocompletion=COMPLETERS["task"],
        ),
    ] = "digits"

    def load(self, seed: int) -> Task:
        """The task, or the user's own data."""
        from anchorlab.data import load_task

        where = self.data or "digits"
        return load_task(where, seed=seed, columns=self.columns(where))


def show(
    *,
    trigger: Annotated[
        str,
        typer.Argument(
            metavar="TRIGGER", help="The trigger, as in five-pixel or 'square:size=4'; see 'anchorlab list triggers'."
        ),
    ],
    set_: Annotated[list[str] | None, set_option("the trigger", "triggers")] = None,
    target: Annotated[
        str | None,
        typer.Option(help="The label that the attacker wants, by name or number; 0 if left out, where one is needed."),
    ] = None,
    label_rule: Annotated[
        str, typer.Option(help="Who is attacked, as in 'source-to-target:3'; see 'anchorlab list label-rules'.")
    ] = "all-to-one",
    count: Annotated[int, typer.Option(help="Examples to show, the first of the split 'test'.")] = 8,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="The picture to write, for images. It is replaced.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="The folder of a model, whose tokenizer writes the words; for texts. That of bert-tiny if left out."
        ),
    ] = None,
    own: ShownData,
    models: ModelOptions,
    seed: Seed = 0,
) -> Answer:
    """Show a trigger on examples: what changes, by how much, and what to mind."""
    from anchorlab.reports.trigger_view import check_picture, show_trigger

    if out is not None:
        check_picture(out)
    built = _build(trigger, set_ or [])
    task = own.load(seed)
    say_reading(task)
    if out is not None and task.kind == "text":
        raise AnchorlabError(f"--out is for pictures, but {task.name} holds texts, which are shown here: leave it out")
    view = show_trigger(
        built,
        task,
        target=target,
        label_rule=label_rule,
        model=None if model is None else models.open(model)[0],
        count=count,
        seed=seed,
    )
    words = ("anchorlab", "trigger", "show", trigger, *_given(set_, own), "--out", "trigger.png")
    return Answer(
        (*view.lines(), f"The trigger changes {view.changed:,} of {view.measured:,} inputs of {view.task}."),
        table=view.table(),
        cautions=view.cautions,
        wrote=None if out is None else view.save(out),
        next=command_of(*words, otherwise="the same with --out") if out is None and task.kind == "image" else None,
        values={"trigger": trigger, "task": view.task, "changed": view.changed, "measured": view.measured}
        | dict(view.values),
    )


def _build(trigger: str, parameters: list[str]) -> Trigger:
    """The trigger that is named, with the parameters of its text and of ``--set``."""
    from anchorlab.settings import parse_spec
    from anchorlab.triggers import TRIGGERS

    spec = parse_spec(trigger)
    within = spec.values_for(TRIGGERS[spec.name], f"trigger '{spec.name}'")
    return TRIGGERS.build(spec.name, within | set_parameters(parameters, TRIGGERS[spec.name]))


def _given(parameters: list[str] | None, own: ShownData) -> list[str]:
    """The words of the command line that say which trigger and which data."""
    pairs = [word for pair in parameters or [] for word in ("--set", pair)]
    return [*pairs, *(word for name, value in own.given().items() for word in (f"--{name}", str(value)))]


add_command(app, "show", show)
