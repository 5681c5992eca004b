"""One try: a command with an odd input, and what must hold however it ends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from anchorlab.cli import main
from anchorlab.errors import SCREEN
from tests.guard import nothing_run

#: Most lines before and with a refusal; a terminal has 24.
_LINES = 20


@dataclass(frozen=True)
class World:
    """Where the inputs of the sweep lie.

    Attributes:
        folder: all of them.
        places: word of ``places.py`` to what it stands for.
    """

    folder: Path
    places: dict[str, Path]

    def path(self, template: str) -> str:
        """A path of ``PATHS``."""
        return template.replace("{odd}", str(self.folder / "odd"))

    def words(self, command: list[str], hole: str) -> list[str]:
        """A command with its words filled in; NEW is a place in the folder that the test works in."""
        filled = {**{word: str(place) for word, place in self.places.items()}, "NEW": "new"}
        return [filled.get(word, word.replace("HOLE", hole)) for word in command]


def attempt(world: World, words: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    """Runs a command; returns its exit code.

    A refusal is one sentence, no longer than a screen, without control characters, and changes nothing on the disk.
    However the command ends, the inputs are as before, nothing is half-written, and nothing of the input was run.
    """
    here = Path.cwd()
    before, inputs = _contents(here), _contents(world.folder)
    capsys.readouterr()
    with nothing_run(world.folder), nothing_run(here), pytest.raises(SystemExit) as end:
        main(words)
    captured = capsys.readouterr()
    shown = f"{[word[:80] for word in words]} ended with {end.value.code}:\n{captured.err[-3000:]}"
    assert end.value.code in (0, 1, 2), shown
    assert end.value.code != 1 or "--fail-if" in words, shown
    assert "Traceback" not in captured.err, shown
    assert all(sign.isprintable() or sign in "\n\u200c\u200d" for sign in captured.err + captured.out), shown
    if end.value.code == 2:
        lines = captured.err.splitlines()
        if not lines or not lines[0].startswith("Usage: "):  # the help of a group
            assert sum(line.startswith("error: ") for line in lines) == 1, shown
            assert lines[-1].startswith("error: "), shown  # after what was read of the data
            assert len(lines) <= _LINES, shown
            assert len(lines[-1]) <= SCREEN + len("error: "), shown
        assert _contents(here) == before, shown
    assert not [path for path in _contents(here) if path.endswith((".tmp", ".partial"))], shown
    assert _contents(world.folder) == inputs, shown
    return int(end.value.code or 0)


def _contents(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every path below a folder, with what changes when it is written to."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)  # noqa: PTH118 (fast, because this is called thousands of times)
            state = os.lstat(path)
            found[path] = (state.st_mode, state.st_size, state.st_mtime_ns if name in files else 0)
    return found
