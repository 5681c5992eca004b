"""What a command answers: its result in words, a table, cautions, what was filled in and written, the next command.

A command returns an ``Answer``, and ``anchorlab.cli.commands.add_command`` gives it to the user: as words, and as JSON
with ``--json``. So all commands end in the same way.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab import __version__
from anchorlab.errors import AnchorlabError
from anchorlab.files import check_writable, write_atomically

if TYPE_CHECKING:
    from anchorlab.statistics.table import Table

#: The word in place of a file that means the standard output.
STANDARD_OUTPUT = Path("-")

#: Options besides ``--json`` that name a file to replace.
_REPLACED = ("junit", "sarif", "summary", "instances")


@dataclass(frozen=True)
class Answer:
    """The result of a command.

    Attributes:
        sentences: the result in words, the most important sentence first.
        table: the numbers, short enough for a screen.
        cautions: what was not reached, or cannot mean what it seems to; each with its likeliest cure.
        settings: settings that were filled in for the user, by their names.
        wrote: the file or folder that the command is for.
        already: whether ``wrote`` was there before, made by the same command.
        next: the next command, complete, as ``errors.command_of`` writes it.
        values: the measurements for ``--json``; its keys stand at the top level of the JSON.
        code: exit code of the process.
        data: whether the sentences are data, such as a list, so that nothing is said of the time.
    """

    sentences: tuple[str, ...] = ()
    table: Table | None = None
    cautions: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    wrote: Path | None = None
    already: bool = False
    next: str | None = None
    values: Mapping[str, Any] | None = None
    code: int = 0
    data: bool = False


def words_of(answer: Answer, seconds: float, json_file: Path | None = None, *, quiet: bool = False) -> list[str]:
    """The lines below the table, in the order of reading.

    Args:
        answer: the result.
        seconds: how long the command took.
        json_file: the file that the result is written to as well; None if there is none.
        quiet: whether only the result, the cautions and the places are wanted.
    """
    lines = [*answer.sentences, *(f"caution: {sentence}" for sentence in answer.cautions)]
    if answer.settings and not quiet:
        filled = ", ".join(f"{name.replace('_', ' ')} {_written(value)}" for name, value in answer.settings.items())
        lines.append(f"filled in: {filled}")
    lines += _places(answer, seconds, json_file, quiet=quiet)
    if answer.next is not None and not quiet:
        lines.append(f"next: {answer.next}")
    return lines


def _places(answer: Answer, seconds: float, json_file: Path | None, *, quiet: bool) -> list[str]:
    """What was written, and how long that took."""
    written = [] if answer.wrote is None or answer.already else [answer.wrote]
    written += [] if json_file is None or json_file == STANDARD_OUTPUT else [json_file]
    lines = []
    if answer.already and answer.wrote is not None:
        lines.append(f"nothing was left to do: {answer.wrote.absolute()} is there already, made by the same command")
    if written:
        lines.append(f"wrote {' and '.join(str(path.absolute()) for path in written)} in {elapsed(seconds)}")
    elif not lines and not quiet and not answer.data:
        lines.append(f"took {elapsed(seconds)}")
    return lines


def _written(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def elapsed(seconds: float) -> str:
    """A time that has passed, as in ``0.4 s``, ``12 s``, ``2 min 07 s`` or ``1 h 05 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def json_of(answer: Answer, seconds: float) -> str:
    """The result as JSON: its measurements, its words, and the version; what is no finite number is null.

    A measurement whose name is one of the added keys stays what it was, so that scripts that read it still work.
    """
    measured = dict(answer.values or {})
    added = {
        "sentences": list(answer.sentences),
        "cautions": list(answer.cautions),
        "settings": dict(answer.settings),
        "wrote": None if answer.wrote is None else str(answer.wrote.absolute()),
        "seconds": round(seconds, 3),
        "version": __version__,
    }
    return json.dumps(_plain(measured | {**added, **measured}), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """A value in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # an array, or a number of numpy's
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def check_json(file: Path | None) -> None:
    """Refuses a place for the JSON before any work is done; None and ``-`` are all right.

    Raises:
        AnchorlabError: if the file could not be made there.
    """
    if file is not None and file != STANDARD_OUTPUT:
        check_writable(file)


def check_apart(json_file: Path | None, values: Mapping[str, Any]) -> None:
    """Refuses to replace a file that the command names elsewhere, such as one that it reads.

    Args:
        json_file: the file of ``--json``.
        values: parameter of the command to its value.

    Raises:
        AnchorlabError: if an option that names a file to replace names one that is named twice.
    """
    written = {"json": json_file, **{name: values[name] for name in _REPLACED if name in values}}
    for option, file in written.items():
        if not isinstance(file, Path) or file == STANDARD_OUTPUT:
            continue
        for name, value in values.items():
            if name in _REPLACED and option != "json":
                continue  # their own check names both
            for other in value if isinstance(value, list) else [value]:
                if isinstance(other, Path) and os.path.realpath(other) == os.path.realpath(file):
                    raise AnchorlabError(
                        f"--{option} would replace {file}, which the command names elsewhere too: give --{option} a "
                        "file of its own"
                    )
                if isinstance(other, Path) and _is_record(file, other):
                    raise AnchorlabError(
                        f"--{option} would replace {file}, which tells what is in the folder {other}: give "
                        f"--{option} a file of its own"
                    )


def _is_record(file: Path, folder: Path) -> bool:
    """Whether a file is the one by which commands know a folder."""
    real = Path(os.path.realpath(file))
    if not real.exists() or Path(os.path.realpath(folder)) not in real.parents:
        return False
    from anchorlab.reports.folders import KINDS

    patterns = [kind.file for kind in KINDS] + ["config.json", "*.safetensors"]
    return any(Path(os.path.realpath(found)) == real for pattern in patterns for found in folder.glob(pattern))


def write_json_answer(answer: Answer, seconds: float, file: Path, echo: Callable[[str], None]) -> None:
    """Writes the JSON to the file, or gives it to ``echo`` where that is the standard output."""
    text = json_of(answer, seconds)
    if file == STANDARD_OUTPUT:
        echo(text)
    else:
        write_atomically(file, text)
