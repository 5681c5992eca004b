"""What ``anchorlab audit`` reads: benign updates in folders that are opened one at a time, and stored answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab.errors import AnchorlabError, some
from anchorlab.notices import notice

if TYPE_CHECKING:
    from torch import nn

    from anchorlab.artifacts.artifact import Artifact

#: How the names of files of answers end.
STORED = (".npy", ".csv")


def is_stored(*paths: Path) -> bool:
    """Whether paths name files of answers, and not folders of models.

    Raises:
        AnchorlabError: if some do and some do not.
    """
    stored = [path.suffix.lower() in STORED for path in paths]
    if any(stored) and not all(stored):
        file, folder = paths[stored.index(True)], paths[stored.index(False)]
        raise AnchorlabError(
            f"{file} holds answers and {folder} does not: give model folders, or files of answers (.npy or .csv), alone"
        )
    return all(stored)


def expanded(given: Sequence[Path], *, stored: bool) -> list[Path]:
    """The benign updates that are meant: a folder of several stands for all that it holds, by their names.

    What else such a folder holds is named in a notice, hidden names aside.

    Args:
        given: model folders or files of answers, or folders that hold some.
        stored: whether files of answers are wanted.
    """
    found: list[Path] = []
    for path in given:
        inside = sorted(path.iterdir()) if path.is_dir() else []
        members = [one for one in inside if (one.suffix.lower() in STORED if stored else _is_model(one))]
        if not members or _is_model(path):
            found.append(path)
            continue
        found += members
        other = [one.name for one in inside if one not in members and not one.name.startswith(".")]
        if other:
            kind = "file of answers" if stored else "model folder"
            notice(f"left out of the benign updates in {path}: {some(other)}, as no {kind}")
    return found


def _is_model(folder: Path) -> bool:
    from anchorlab.models.adapter_settings import is_adapter  # it brings torch

    return (folder / "config.json").exists() or is_adapter(folder)


class OpenedWhenAsked(Sequence[Any]):
    """Models in folders, each of which is opened when it is asked for, because many large ones do not fit into memory.

    Args:
        folders: the folders.
        open_one: opens a model.
    """

    def __init__(self, folders: Sequence[Path], open_one: Callable[[Path], Artifact | nn.Module]) -> None:
        self.folders, self._open = folders, open_one

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, place: Any) -> Any:
        return self._open(self.folders[place])
