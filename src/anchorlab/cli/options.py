"""The options that several commands share. An option is declared here once, and reaches all its commands."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anchorlab.cli.groups import OptionGroup
from anchorlab.cli.shared import detail, flags_of, is_verbose, remark
from anchorlab.errors import AnchorlabError, shell_word, shortened
from anchorlab.settings import check_seed, options_of, parse_pairs

if TYPE_CHECKING:
    from torch import nn

    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.data import DataColumns, Task
    from anchorlab.models.own_modules import ModuleMaker

TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="The task, see 'anchorlab list tasks'; or data of your own: a file, a folder, or a hub name.",
    ),
]
TaskOption = Annotated[
    str | None, typer.Option("--task", help="The task to use, or data of your own; the manifest's if left out.")
]
Reference = Annotated[Path, typer.Argument(metavar="REFERENCE", help="The folder of the trained clean model.")]
Run = Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of the model to examine; any model will do.")]
Out = Annotated[Path, typer.Option(help="The model folder to write. It must not hold anything yet.")]


def _seed(given: int | None) -> int | None:
    return None if given is None else check_seed(given, "--seed")


def seed_option(sentence: str) -> Any:
    """An option of a seed, with its sentence in the help."""
    return typer.Option(callback=_seed, help=sentence)


Seed = Annotated[int, seed_option("Seed of all random draws.")]


def set_option(owner: str, section: str | None = None) -> Any:
    """The option that sets parameters, with the name of what they belong to and the section that lists them."""
    listed = "" if section is None else f", see 'anchorlab list {section}'"
    return typer.Option("--set", metavar="NAME=VALUE", help=f"Sets a parameter of {owner}{listed}; may be repeated.")


Split = Annotated[
    str | None,
    typer.Option(metavar="test|selection|defender|owner|held-out", help="The split to measure on; test if left out."),
]
DefenderData = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help="Number of clean examples that the defender has, from the split 'defender'; 640 if left out, or all if "
        "there are fewer.",
    ),
]

Data = Annotated[
    str | None,
    typer.Option(
        help="Your own data, for a model without a manifest, or where a task's data are: a file, a folder, a hub name."
    ),
]


@dataclass(frozen=True)
class DataOptions(OptionGroup):
    """Where the data are, and what is where in data of the user's own."""

    heading = "Your own data"

    data: Data = None
    text_column: Annotated[str | None, typer.Option(help="The column of texts, in data of your own.")] = None
    image_column: Annotated[
        str | None, typer.Option(help="The column of images, in data of your own; 'image' in a folder of images.")
    ] = None
    label_column: Annotated[
        str | None, typer.Option(help="The column of labels, in data of your own; 'label' if left out.")
    ] = None
    max_length: Annotated[
        int | None,
        typer.Option(help="Largest number of tokens of a text, in data of your own; the model's limit if left out."),
    ] = None

    def columns(self, location: str | None = None) -> DataColumns | None:
        """What is where in the user's own data; None if no option says it.

        Each option but ``--data`` is a field of ``DataColumns``, under the same name without ``_column``.

        Args:
            location: the data, if they are the user's own: the column of texts or images is inferred if only others are
                named.

        Raises:
            AnchorlabError: if a column of labels is named, but neither one of texts nor one of images, or both are.
        """
        from anchorlab.data import DataColumns
        from anchorlab.data.inferred import inferred_columns
        from anchorlab.files import kind_at, user_path
        from anchorlab.settings import build

        values = {field.name.removesuffix("_column"): getattr(self, field.name) for field in fields(self)}
        given = {name: value for name, value in values.items() if name != "data" and value is not None}
        if given and not {"text", "image"} & set(given) and location and kind_at(user_path(location)) is not None:
            inferred = inferred_columns(location, label=self.label_column)
            found = {"text": inferred.text, "image": inferred.image, "label": inferred.label}
            given = {name: value for name, value in found.items() if value is not None} | given
        return build(DataColumns, "own data", given) if given else None

    def place(self) -> list[object]:
        """Where the data are, as words of a command on a model whose manifest knows the rest."""
        return [] if self.data is None else ["--data", self.data]

    def load_task(self, name: str, seed: int) -> Task:
        """The named task, from where the options say."""
        from anchorlab.data import load_task

        return load_task(name, seed=seed, data=self.data, columns=self.columns(self.data or name))

    def task_of(
        self, model: Artifact | nn.Module, name: str | None, seed: int | None = None, *, other: bool = False
    ) -> Task | None:
        """The task that is named, or else the model's own, from where the options say; None if there is neither.

        The data of a model without a manifest are the user's own, and ``--data`` alone names them.

        Says on the error stream what was read of data of the user's own, and which output of a model without names is
        taken for which class.

        Args:
            model: whose manifest names its own task.
            name: of the task; None for the model's own.
            seed: that divides the data into splits; None for the manifest's.
            other: whether ``--data`` may hold other examples than the own data that the manifest names.
        """
        from anchorlab.artifacts.artifact import Artifact
        from anchorlab.artifacts.resolve import find_task, module_of, outputs_in_words
        from anchorlab.models.wrap import encoding_of

        columns = self.columns(self.data or name)
        if other and name is None and isinstance(model, Artifact) and model.manifest.task.columns is not None:
            name = self.data
            columns = columns or (None if name is None else model.manifest.task.data_columns())
        if name is None and not isinstance(model, Artifact):
            task = find_task(model, self.data, seed=seed, columns=columns)
        else:
            task = find_task(model, name, seed=seed, data=self.data, columns=columns)
        if task is not None:
            task = task.encoded(encoding_of(module_of(model)))
            say_reading(task)
        sentence = outputs_in_words(model, task)
        if sentence is not None:
            remark(sentence)
        return task


def say_reading(task: Task) -> None:
    """Says what was read of data of the user's own, one line a part; of a named task too, if more is wanted."""
    if task.definition.columns is not None or is_verbose():
        for line in task.describe():
            remark(line)


@dataclass(frozen=True)
class ModelOptions(OptionGroup):
    """How model folders are opened."""

    heading = "Model folders"

    module: Annotated[
        str | None,
        typer.Option(
            "--module",
            metavar="FILE.py:NAME",
            help="For folders that were saved from a module of your own, or that hold weights alone: the Python file, "
            "which is run, and in it the class or function that makes the module.",
        ),
    ] = None
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="FOLDER",
            help="For adapters: the base model, a folder or a hub name; the one that they name if left out.",
        ),
    ] = None

    def maker(self) -> ModuleMaker | None:
        """What makes a module; None if the option was not given. Each call runs the file."""
        from anchorlab.models.own_modules import module_maker

        return None if self.module is None else module_maker(self.module)

    def module_for(self, folder: str | Path) -> nn.Module | None:
        """A module for one folder; None if it needs none, or the option was not given."""
        from anchorlab.files import user_path
        from anchorlab.models.own_modules import needed_module

        return needed_module(user_path(folder), self.maker())

    def start(self, model: str) -> str | nn.Module:
        """The model that a command begins with: the same name, or the module in a folder that was saved from one.

        A folder may hold weights alone, such as ``convert`` makes; the module gets them.
        """
        from anchorlab.artifacts.artifact import load_model
        from anchorlab.files import user_path
        from anchorlab.models.own_modules import has_weights_alone, with_weights

        if self.module is not None and has_weights_alone(user_path(model)):
            maker = self.maker()
            assert maker is not None
            return with_weights(maker(), user_path(model))
        module = self.module_for(model)
        return model if module is None else load_model(model, into=module).model

    def open(self, *folders: Path) -> list[Artifact | nn.Module]:
        """The models in some folders, each with its manifest if it has one."""
        from anchorlab.artifacts.artifact import open_model

        maker = self.maker()
        for folder in folders:
            detail(f"the model {folder} is {folder.absolute()}")
        return [open_model(folder, module=maker, base=self.base) for folder in folders]


@dataclass(frozen=True)
class VerbalizerOptions(OptionGroup):
    """How a causal language model becomes a classifier."""

    heading = "A language model as a classifier"

    verbalizer: Annotated[
        str | None,
        typer.Option(
            metavar="WORD,WORD",
            help="For a causal language model: a word for each class, or CLASS=WORD. A class's logit is the one of its "
            "word as the next token.",
        ),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="What the language model reads, with {text} where the text stands; '{text}\\nAnswer:' if left out.",
        ),
    ] = None


@dataclass(frozen=True)
class FormOptions(OptionGroup):
    """In which form the model that is examined is deployed."""

    heading = "What is deployed"

    deployed: Annotated[
        str | None,
        typer.Option(
            metavar="bf16|int8|int4|onnx|onnx-int8",
            help="Take the model that is examined as it is deployed in this form: the candidate of compare and audit, "
            "whose reference stays as it is; the model of detect, and the clean models beside it. Its own form if left "
            "out.",
        ),
    ] = None

    def words_after(self) -> str:
        """What a title says of the form, after the model's name; nothing for the model itself."""
        return "" if self.deployed is None else f" in {self.deployed}"

    def apply(self, model: Artifact | nn.Module, task: Task | None) -> Artifact | nn.Module:
        """The model in the form that is asked for, or itself."""
        if self.deployed is None:
            return model
        from torch import nn

        from anchorlab.artifacts.artifact import Artifact
        from anchorlab.artifacts.deployed import deployed

        made = deployed(model, self.deployed, task=task)
        assert isinstance(made, Artifact | nn.Module)
        return made


@dataclass(frozen=True)
class AttackOptions(OptionGroup):
    """The attack that measurements are made with. No repair and no detector sees it."""

    heading = "The attack that is measured"

    trigger: Annotated[
        str | None,
        typer.Option(help="The trigger to measure with, see 'anchorlab list triggers'; the manifest's if left out."),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(help="The label that the attacker wants, by name or number; the manifest's if left out."),
    ] = None
    label_rule: Annotated[
        str | None,
        typer.Option(help="Who is attacked, see 'anchorlab list label-rules'; the manifest's if left out."),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """The same as keyword arguments of Python's verbs."""
        return {"trigger": self.trigger, "target": self.target, "label_rule": self.label_rule}


Track = Annotated[
    list[str] | None,
    typer.Option(metavar="wandb|mlflow|tensorboard", help="Tell this tracker loss, ASR and results; may be repeated."),
]


@dataclass(frozen=True)
class ExecutionOptions(OptionGroup):
    """Where the runs of a suite are worked on."""

    heading = "Where it runs"

    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine; one a core, or one a GPU, if left out.")
    ] = None
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS|auto", help="Send the runs to this Ray cluster instead.")
    ] = None
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run again what failed before.")] = False
    track: Track = None


def set_parameters(pairs: list[str] | None, *classes: type) -> dict[str, str]:
    """The parameters that ``--set`` gives, by name; the classes themselves refuse names that nobody knows.

    Args:
        pairs: ``NAME=VALUE`` each.
        classes: whose hyper-parameters these are.

    Raises:
        AnchorlabError: for a pair of another form, a name that stands twice, or one that has an option of its own.
    """
    given = parse_pairs(pairs or [], "--set")
    settable = {option.name for each in classes for option in options_of(each)}
    for name, value in given.items():
        flags = () if name in settable else flags_of(name)
        if flags:
            instead = f"{flags[0]} {shell_word(shortened(value))}" if len(flags) == 1 else " or ".join(flags)
            raise AnchorlabError(
                f"--set {name}={shortened(value)} is not possible, because {name} has an option of its own: "
                f"give {instead}"
            )
    return given


def number_or_all(text: str, flag: str) -> int | None:
    """A number of examples, or None for all of them; the task says which numbers it has examples for.

    Raises:
        AnchorlabError: for anything else.
    """
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise AnchorlabError(
            f"{flag} '{shortened(text)}' is not possible: give a number of examples, such as 640, or all"
        ) from error


def defender_count(given: str | None, task: Task) -> int | None:
    """The number of a defender's clean examples; None for all. Left out, it is 640, or what there is if that is less.

    Raises:
        AnchorlabError: for what is neither a number nor ``all``.
    """
    if given is not None:
        return number_or_all(given, "--defender-data")
    from anchorlab.defender.data import usual_count

    return usual_count(task)
