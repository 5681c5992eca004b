"""What the endings of several commands share: the next command, names of classes, and settings that were filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab.errors import command_of

if TYPE_CHECKING:
    from torch import nn

    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.cli.options import AttackOptions
    from anchorlab.data import Task

#: Kinds of models of which their maker asks how large the change is; of others one asks whether they may be trusted.
_MADE = ("injected", "benign", "repaired")


def next_command(*words: object) -> str | None:
    """A command that a shell reads as these words after ``anchorlab``; None where it would be too long to print."""
    return command_of("anchorlab", *words, otherwise="") or None


def beside(folder: Path, ending: str) -> Path:
    """A folder that is not there yet, called after another: ``runs/ref-injected``, or ``runs/ref-injected-2``."""
    if folder.name in ("", ".."):
        folder = folder.resolve()
    number, found = 1, folder.parent / f"{folder.name}-{ending}"
    while found.exists():
        number += 1
        found = folder.parent / f"{folder.name}-{ending}-{number}"
    return found


def kind_of(model: Artifact | nn.Module) -> str | None:
    """The kind of a model, as its manifest says; None for a model without one."""
    from anchorlab.artifacts.artifact import Artifact

    return model.manifest.kind if isinstance(model, Artifact) else None


def examined_by(candidate: Artifact | nn.Module) -> str:
    """The command that looks closer at a candidate: ``analyze`` at one's own change, ``audit`` at somebody's model."""
    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.artifacts.resolve import module_of
    from anchorlab.models.forms import form_of

    made = isinstance(candidate, Artifact) and candidate.manifest.kind in _MADE
    return "analyze" if made and form_of(module_of(candidate)) is None else "audit"


def target_name(candidate: Artifact | nn.Module, task: Task | None, attack: AttackOptions) -> str | None:
    """The name of the class that the attacker wants; None where it is not one class, or no attack is known.

    Args:
        candidate: the model whose manifest may name an attack.
        task: the data; None where the command refuses for want of them.
        attack: what the user said of the attack.
    """
    from anchorlab.artifacts.resolve import attack_of

    found = None if task is None else attack_of(candidate, task, **attack.arguments())
    target = None if found is None else found.label_rule.target
    return None if target is None or task is None else task.classes[target]


def chance_of(task: Task, split: str) -> float:
    """The accuracy that needs no model on a split of a task, see ``cautions.chance_level``."""
    from anchorlab.consistency.cautions import chance_level

    return chance_level(task.split(split).labels.bincount().tolist())


def filled_in(values: Mapping[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """The settings that the user did not give, of those that have a value."""
    known = set(given)
    return {name: value for name, value in values.items() if name not in known and value is not None}


def data_words(task: Task) -> list[object]:
    """The data of a task as words of a command that names them: the task, and what is where in the user's own data."""
    columns = task.definition.columns
    if columns is None:
        return [task.name, *([] if task.data is None else ["--data", task.data])]
    flags = {"--text-column": columns.text, "--image-column": columns.image, "--label-column": columns.label}
    words = [word for flag, name in flags.items() if name is not None for word in (flag, name)]
    longest = [] if columns.max_length is None else ["--max-length", columns.max_length]
    return [task.data or task.name, *words, *longest]


def model_words(model: Artifact | nn.Module, task: Task) -> list[object]:
    """The architecture of a model as words of a command, where it has a name and is not the task's own."""
    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.models.architectures import ARCHITECTURES

    name = model.manifest.architecture if isinstance(model, Artifact) else task.definition.architecture
    return ["--model", name] if name in ARCHITECTURES.names() and name != task.definition.architecture else []
