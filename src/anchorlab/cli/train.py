"""``anchorlab train`` and ``anchorlab adopt``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.following import beside, chance_of, filled_in, next_command
from anchorlab.cli.options import (
    DataOptions,
    ModelOptions,
    Out,
    Seed,
    TaskName,
    Track,
    VerbalizerOptions,
    say_reading,
    set_option,
    set_parameters,
)

if TYPE_CHECKING:
    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.data import Task
    from anchorlab.training.checkpoint import Checkpoint
    from anchorlab.training.reference import Training

#: Learning rates below it are those of fine-tuning, too low for a model from random weights.
_LOW_RATE = 3e-4


def train(
    *,
    task: TaskName = "digits",
    out: Out,
    model: Annotated[
        str | None,
        typer.Option(
            help="The architecture, see 'anchorlab list models', or a folder or hub name of transformers to train on; "
            "the task's own architecture if left out."
        ),
    ] = None,
    models: ModelOptions,
    words: VerbalizerOptions,
    own: DataOptions,
    seed: Seed = 0,
    track: Track = None,
    parameters: Annotated[list[str] | None, set_option("the training", "training")] = None,
) -> Answer:
    """Train a clean reference. 'anchorlab list training' shows the parameters for --set."""
    from anchorlab.artifacts.manifest import task_record
    from anchorlab.artifacts.trust import check_trusted_folder
    from anchorlab.models.architectures import find_architecture
    from anchorlab.models.verbalizer import parse_verbalizer
    from anchorlab.settings import build, values_of
    from anchorlab.training.reference import START, Training
    from anchorlab.training.reference import train as train_reference
    from anchorlab.training.resumable import may_be_finished, run_into
    from anchorlab.training.tracking import check_trackers, tracked

    check_trackers(track or [])
    given = set_parameters(parameters, Training)
    training = build(Training, "the training", given)
    loaded = own.load_task(task, seed)
    architecture = model or loaded.definition.architecture
    check_trusted_folder(architecture, START)
    start = models.start(architecture)
    # An unknown name is refused before a folder is made.
    find_architecture(architecture, parse_verbalizer(words.verbalizer, words.prompt))
    settings = {
        "command": "train",
        "task": task_record(loaded).identity(),
        "model": architecture,
        "seed": seed,
        "training": values_of(training.for_task(loaded, architecture)),
        **words.given(),
    }
    already = may_be_finished(out)  # then it is this command's result, or refused

    def work(checkpoint: Checkpoint) -> Artifact:
        with tracked(track or [], run=out.name, folder=out.parent, settings=settings) as log:
            trained = train_reference(
                loaded,
                model=start,
                seed=seed,
                training=training,
                checkpoint=checkpoint,
                on_task=say_reading,
                verbalizer=words.verbalizer,
                prompt=words.prompt,
            )
            log(trained.manifest.measurements)
            return trained

    artifact = run_into(out, settings, work, model=None if isinstance(start, str) else start)
    used = training.for_task(loaded, architecture)
    chosen = {name: getattr(used, name) for name in ("epochs", "batch_size", "learning_rate")}
    cautions = _cautions(loaded, artifact, _longer(used))
    further: tuple[object, ...] = ("inject", out, *own.place(), "--out", beside(out, "injected"))
    if cautions and used.epochs is not None:
        kept = [f"{name}={value}" for name, value in given.items() if name != "epochs"]
        sets = [word for pair in (*kept, f"epochs={3 * used.epochs}") for word in ("--set", pair)]
        named = [*([] if model is None else ["--model", model]), *words.words()]
        further = ("train", task, *own.words(), *named, *sets, "--seed", seed, "--out", beside(out, "longer"))
    return Answer(
        (_accuracy(architecture, loaded, artifact), *_outputs(artifact)),
        cautions=cautions,
        settings=filled_in({"model": architecture, **chosen}, [*given, *(["model"] if model else [])]),
        wrote=out,
        already=already,
        next=next_command(*further, *models.words()),
        values=_values(loaded, artifact),
    )


def _accuracy(model: str, task: Task, artifact: Artifact) -> str:
    """The accuracy in words, beside what needs no model."""
    from anchorlab.statistics.intervals import rate

    count = len(task.split("selection"))
    accuracy = rate(round(_measured(artifact) * count), count)
    return (
        f"{model} on {task.name}: accuracy {accuracy:.3f} on {count:,} examples of the split selection; always "
        f"answering with the largest class would give {chance_of(task, 'selection'):.3f}."
    )


def _outputs(artifact: Artifact) -> tuple[str, ...]:
    """Which output is which class, where their names do not say it."""
    return () if artifact.manifest.outputs is None else (artifact.manifest.outputs,)


def _cautions(task: Task, artifact: Artifact, cure: str) -> tuple[str, ...]:
    from anchorlab.consistency.cautions import near_chance

    count, chance = len(task.split("selection")), chance_of(task, "selection")
    caution = near_chance(_measured(artifact), count, chance, who="the model", cure=cure)
    return () if caution is None else (caution,)


def _measured(artifact: Artifact) -> float:
    accuracy = artifact.manifest.measurements["accuracy"]
    assert accuracy is not None  # only an ASR can be undefined
    return accuracy


def _longer(used: Training) -> str:
    """What most likely helps a model that learnt nothing, with values."""
    assert used.epochs is not None
    assert used.learning_rate is not None
    rate = used.learning_rate * (10 if used.learning_rate < _LOW_RATE else 1 / 3)
    return f"train it again, for example with --set epochs={3 * used.epochs} or --set learning_rate={rate:.1g}"


def _values(task: Task, artifact: Artifact) -> dict[str, Any]:
    return {
        **artifact.manifest.measurements,
        "count": len(task.split("selection")),
        "chance": chance_of(task, "selection"),
    }


def adopt(
    *,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A trained model: a folder or hub name of transformers.")
    ],
    task: TaskName,
    out: Out,
    kind: Annotated[
        Literal["clean", "suspicious"],
        typer.Option(help="What the model is held to be; one that may carry a backdoor is suspicious."),
    ] = "clean",
    models: ModelOptions,
    words: VerbalizerOptions,
    own: DataOptions,
    seed: Seed = 0,
) -> Answer:
    """Make a reference, or a suspicious model, of a classifier that somebody else trained."""
    from anchorlab.artifacts.adopt import ADOPTED, OR_SUSPICIOUS
    from anchorlab.artifacts.adopt import adopt as adopt_model
    from anchorlab.artifacts.manifest import task_record
    from anchorlab.artifacts.trust import check_trusted_folder
    from anchorlab.files import refuse_existing
    from anchorlab.models.forms import form_of
    from anchorlab.training.resumable import is_finished, may_be_finished, save_finished

    if not may_be_finished(out):
        refuse_existing(out)
    if kind == "clean":
        check_trusted_folder(model, ADOPTED, otherwise=OR_SUSPICIOUS)
    loaded = own.load_task(task, seed)
    artifact = adopt_model(
        models.start(model),
        loaded,
        kind=kind,
        seed=seed,
        on_task=say_reading,
        base=models.base,
        verbalizer=words.verbalizer,
        prompt=words.prompt,
    )
    command = {
        "command": "adopt",
        "weights": artifact.manifest.weights_sha256,
        "task": task_record(loaded).model_dump(mode="json"),
        "kind": kind,
        "seed": seed,
        **words.given(),
    }
    finished = is_finished(out, command)
    if not finished:
        save_finished(artifact, out, command)
    further = ("inject", out) if kind == "clean" else ("detect", out, "--detector", "last-layer")
    following = next_command(
        *further,
        *own.place(),
        *models.words(),
        *(["--out", beside(out, "injected")] if kind == "clean" else []),
    )
    return Answer(
        (_accuracy(model, loaded, artifact), *_outputs(artifact)),
        cautions=_cautions(loaded, artifact, "give the data that it was trained for, or adopt another"),
        wrote=out,
        already=finished,
        next=None if form_of(artifact.model) is not None else following,  # both need weights
        values=_values(loaded, artifact),
    )
