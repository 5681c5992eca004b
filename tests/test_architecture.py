"""The house, held by its imports: arrows between rooms run down only, in no circle, and no file grows too long."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "anchorlab"
FILES = sorted(SOURCE.rglob("*.py"))

#: From the ground up: a room imports only from rooms that stand before it.
ROOMS = [
    "errors",
    "settings",
    "arguments",
    "registry",
    "seeding",
    "files",
    "notices",
    "progress",
    "cache",
    "statistics",
    "data",
    "models",
    "triggers",
    "attacks",
    "artifacts",
    "training",
    "metrics",
    "methods",
    "consistency",
    "tokens",
    "samples",
    "injection",
    "perturbation",
    "defender",
    "repairs",
    "detectors",
    "scoring",
    "testing",
    "suites",
    "reports",
    "cli",
]

#: Rooms that may never be seen from another, although they stand below it.
WALLS = {
    "repairs": {"triggers", "attacks", "methods", "injection"},
    "detectors": {"triggers", "attacks", "methods", "injection", "repairs"},
    "defender": {"triggers", "attacks", "methods", "injection"},
    "methods": {"artifacts"},
}

MAX_LINES = 450


def module_of(path: Path) -> str:
    """The dotted name of a file, without the package's own."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path: Path, *, when_it_runs: bool = False) -> Iterator[str]:
    """What a file imports of the package, anywhere in it, without the package's own name.

    With ``when_it_runs``, imports for type checkers alone are left out.
    """
    tree = ast.parse(path.read_text())
    for_types: set[ast.AST] = set()
    if when_it_runs:
        blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If))
        guards = (block for block in blocks if ast.unparse(block.test) == "TYPE_CHECKING")
        for_types = {node for guard in guards for node in ast.walk(guard)}
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "anchorlab":
                yield name.partition(".")[2]


def file_of(name: str) -> str | None:
    """The module that an imported name lives in; None for a name of the package itself."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = SOURCE.joinpath(*parts[:end])
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return ".".join(parts[:end])
    return None


def test_every_room_is_named() -> None:
    found = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in FILES}
    assert found - {"__init__", "__main__"} == set(ROOMS)


@pytest.mark.parametrize("path", [path for path in FILES if path.parent != SOURCE or path.stem in ROOMS], ids=module_of)
def test_arrows_run_down_only(path: Path) -> None:
    """A room imports only what stands below it, never the package's face, and nothing behind a wall."""
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    below = set(ROOMS[: ROOMS.index(room) + 1]) - WALLS.get(room, set())
    for name in imports_of(path):
        if room == "cli" and name == "__version__":
            continue  # the command line shows it
        assert name.split(".")[0] in below, f"{module_of(path)} imports anchorlab.{name}"


def test_no_circle() -> None:
    """No file imports itself through others, imports inside functions included."""
    arrows = {
        module_of(path): {file_of(name) for name in imports_of(path, when_it_runs=True)}
        for path in FILES
        if path.parent != SOURCE
    }
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for target in sorted(name for name in arrows.get(module, set()) if name is not None and name != module):
            visit(target, (*way, module))
        done.add(module)

    for module in arrows:
        visit(module, ())


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_few_files_in_the_hallway() -> None:
    """The root holds the ground, the package's face and its door; everything else is in a room."""
    assert len(list(SOURCE.glob("*.py"))) <= 10
