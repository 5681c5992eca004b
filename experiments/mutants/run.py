"""Whether the tests notice when a line of the measuring code says something else.

    pip install cosmic-ray==8.7.0 pytest-cov==7.1.0
    python experiments/mutants/run.py --draw 300
    python experiments/mutants/run.py
    python experiments/mutants/run.py --again

``--draw`` takes mutants of the rooms that measure (consistency, metrics, statistics, scoring, perturbation), seeded and
stratified by file: each file has its share of the places that can be mutated, and at least one. First the place is
drawn, then what happens there, because cosmic-ray has a dozen mutants for one sign of arithmetic and one for a
comparison.

Left out by rule is what a reader sees and no number depends on: docstrings, messages (f-strings, notices, what is
raised) and ``statistics/plotting.py``, which draws figures. Left out, too, are annotations, imports, arguments of
decorators, and what says nothing of the tests: arithmetic that becomes bitwise, which crashes on floats, and
comparisons that become ``is``, which mean the same or crash.

Then each mutant meets the quick tests that execute its line, the quickest first, and the test file that mirrors its
file. A line that runs at import meets all tests that execute anything of the file. The tests run in a fork of a process
that has imported the libraries, in a clone of the last commit. A mutant that needs far longer than its tests counts as
noticed, because it runs in circles. The script can be interrupted, and goes on; ``--again`` takes a new clone of the
last commit, and runs those again that no test noticed.

The sample was drawn at commit d860304, and run with a ``--budget`` of 5 to 20 seconds; the last 47 of perturbation, the
slowest room, met the tests of their own file alone. What survived met the tests that were written against it, each
shown to pass without the mutant. All 300 have run. A line that changed since keeps its row, and is passed over.

mutants.csv beside this file is the sample and its results: file, line, operator, the code before and after, whether a
test noticed, which, and the seconds. For those that no test noticed, ``verdict`` (equivalent, left out as a figure, or
open) and ``reason`` are written by hand. Rows whose operator begins with "earlier review" are the survivors of a review
by hand; a new draw keeps them.
"""

from __future__ import annotations

import argparse
import ast
import csv
import gc
import importlib
import io
import itertools
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUT = HERE / "mutants.csv"
ROOMS = ("consistency", "metrics", "statistics", "scoring", "perturbation")
FIGURES = "src/anchorlab/statistics/plotting.py"
#: Tests outside the rooms that hold a rule of all verbs, of all values, or of the defaults that a page names.
ALSO = [
    "tests/test_arguments.py",
    "tests/test_values.py",
    "tests/test_docs.py::test_the_docs_explain_every_detail_and_table_of_an_analysis",
]
#: What tests import besides anchorlab.
LIBRARIES = [
    "hypothesis",
    "matplotlib.pyplot",
    "pandas",
    "pytest",
    "scipy.stats",
    "sklearn.datasets",
    "torch",
    "torch.func",
    "torchmetrics",
    "transformers.modeling_utils",
    "transformers.models.auto",
    "transformers.models.bert.modeling_bert",
]
#: Least seconds of the processor before a mutant runs in circles, and how many times as long it may wait for them.
LEAST, _STUCK = 90, 30
COLUMNS = ["file", "line", "operator", "before", "after", "noticed", "by", "seconds", "verdict", "reason"]


#: What marks the mutants that were written by hand.
BY_HAND = "earlier review"

#: A row of mutants.csv.
Row = dict[str, str]


# --- the sample


def spared(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Begin and end of what is no code that measures."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        notice = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "notice"
        if notice or isinstance(node, ast.JoinedStr | ast.Raise | ast.Import | ast.ImportFrom):
            found.append(node)
        elif isinstance(node, ast.AnnAssign) or (isinstance(node, ast.arg) and node.annotation is not None):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found += node.decorator_list
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                found.append(node.returns)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            found.append(node)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in found]  # type: ignore[attr-defined]


def telling(operator: str) -> bool:
    """Whether what an operator of cosmic-ray makes says something of the tests."""
    parts = operator.removeprefix("core/").split("_")
    bitwise, identity = {"BitOr", "BitAnd", "BitXor", "LShift", "RShift"}, {"Is", "IsNot"}
    if parts[0] == "ReplaceBinaryOperator":
        return (parts[1] in bitwise) == (parts[2] in bitwise)
    if parts[0] == "ReplaceComparisonOperator":
        return (parts[1] in identity) == (parts[2] in identity)
    return not parts[0].startswith("Variable")


def places(file: Path) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """What can happen at which line and column: an operator and the number of its occurrence in the file."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = file.read_text()
    silent = spared(ast.parse(source))
    found: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    nodes = list(ast_nodes(get_ast(source)))
    for name in filter(telling, operator_names()):
        operator, occurrence = get_operator(name)(), 0
        for node in nodes:
            for begin, _ in operator.mutation_positions(node):
                if not any(first <= begin < last for first, last in silent):
                    found[begin].append((name, occurrence))
                occurrence += 1
    return dict(found)


def changed(source: str, other: str) -> tuple[int, str, str]:
    """The first line that differs, and the differing lines of both."""
    ours, theirs = source.splitlines(), other.splitlines()
    first = next(n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    last = next(n for n, (a, b) in enumerate(zip(ours[::-1], theirs[::-1], strict=False)) if a != b)
    before, after = ours[first : len(ours) - last], theirs[first : len(theirs) - last]
    return first + 1, "\n".join(before), "\n".join(after)


def shared(number: int, places: dict[Path, int]) -> dict[Path, int]:
    """How many mutants each file has: one, and of the rest its share by largest remainders."""
    rest, total = number - len(places), sum(places.values())
    exact = {file: min(count - 1, rest * count / total) for file, count in places.items()}
    shares = {file: 1 + int(part) for file, part in exact.items()}
    by_remainder = sorted(exact, key=lambda file: int(exact[file]) - exact[file])
    for file in by_remainder[: number - sum(shares.values())]:
        shares[file] += 1
    return shares


def drawn(number: int, seed: int) -> Iterator[Row]:
    """So many mutants, each file with its share and at least one."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    files = sorted(file for room in ROOMS for file in (ROOT / "src/anchorlab" / room).rglob("*.py"))
    by_file = {file: found for file in files if str(file.relative_to(ROOT)) != FIGURES and (found := places(file))}
    shares = shared(number, {file: len(found) for file, found in by_file.items()})
    draw = random.Random(seed)
    for file, found in by_file.items():
        source = file.read_text()
        for place in draw.sample(sorted(found), shares[file]):
            name, occurrence = draw.choice(sorted(found[place]))
            other = mutate_code(source, get_operator(name)(), occurrence)
            line, before, after = changed(source, other)
            where = {"file": str(file.relative_to(ROOT)), "line": str(line)}
            yield where | {"operator": name.removeprefix("core/"), "before": before, "after": after}


def mutated(source: str, row: Row) -> tuple[str, int]:
    """The source with the change of a row, and its line today: the nearest place that reads as it did.

    Raises:
        LookupError: if the line is gone.
    """
    lines, before = source.splitlines(), row["before"].splitlines()
    found = [n for n in range(len(lines)) if lines[n : n + len(before)] == before]
    if not found:
        raise LookupError(f"{row['file']} has no such line any more: {row['before']}")
    first = min(found, key=lambda n: abs(n + 1 - int(row["line"])))
    lines[first : first + len(before)] = row["after"].splitlines()
    return "\n".join([*lines, ""]), first + 1


# --- the tests of each line


class Tests(NamedTuple):
    """Which test executes which lines, and how long each takes."""

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def of(self, file: str, line: int, source: str) -> list[str]:
        """The tests that execute the line, the quickest first."""
        lines = self.lines.get(file, {})
        for span in ([line], statement(source, line), list(lines)):
            if found := {test for line in span for test in lines.get(line, ())}:
                return sorted(found, key=lambda test: self.seconds.get(test, 0))
        return []


def statement(source: str, line: int) -> list[int]:
    """The lines of the smallest statement around a line, without the statements that lie in it."""

    def span(node: ast.stmt) -> range:
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)

    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    around = min((node for node in statements if line in span(node)), key=lambda node: len(span(node)), default=None)
    if around is None:  # a decorator
        return []
    inner = {n for node in ast.walk(around) if isinstance(node, ast.stmt) and node is not around for n in span(node)}
    return [n for n in span(around) if n not in inner]


def surroundings(clone: Path) -> dict[str, str]:
    """The clone's package goes before an installed one, and one core is enough."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(clone / "src")}


def measured(folder: Path, clone: Path) -> Tests:
    """Runs the quick tests of the rooms once, with the lines that each executes."""
    kept = folder / "tests.json"
    if not kept.exists():
        words = ["-q", "-m", "not slow", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
        words += ["--cov=src/anchorlab", "--cov-context=test", "--cov-report=", f"--junitxml={folder}/tests.xml"]
        command = [sys.executable, "-m", "pytest", *words, *(f"tests/{room}" for room in ROOMS), *ALSO]
        around = {**surroundings(clone), "COVERAGE_FILE": str(folder / "coverage")}
        subprocess.run(command, cwd=clone, env=around, check=False)
        kept.write_text(json.dumps(read_tests(folder, clone)))
    return Tests(*_with_numbers(json.loads(kept.read_text())))


def _with_numbers(stored: list[Any]) -> tuple[dict[str, dict[int, list[str]]], dict[str, float]]:
    lines, seconds = stored
    return {file: {int(line): tests for line, tests in found.items()} for file, found in lines.items()}, seconds


def read_tests(folder: Path, clone: Path) -> tuple[dict[str, dict[int, list[str]]], dict[str, float]]:
    """Reads what the run of the tests left."""
    from coverage import CoverageData

    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(folder / "tests.xml").getroot().iter("testcase"):
        file = case.attrib.get("file") or case.attrib["classname"].replace(".", "/") + ".py"
        seconds[f"{file}::{case.attrib['name']}"] += float(case.attrib["time"])
    data = CoverageData(str(folder / "coverage"))
    data.read()
    lines: dict[str, dict[int, list[str]]] = {}
    for path in data.measured_files():
        file = str(Path(path).relative_to(clone))
        if file.split("/")[2] in ROOMS:
            found = data.contexts_by_lineno(path)
            lines[file] = {n: sorted({c.rsplit("|", 1)[0] for c in contexts if c}) for n, contexts in found.items()}
    return lines, seconds


# --- the runs


def preload() -> None:
    """Imports what all tests import, and nothing of anchorlab."""
    for name in LIBRARIES:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    gc.freeze()  # so that pytest's collections of garbage do not walk through the libraries


def forked(clone: Path, words: list[str], limit: float) -> tuple[int | None, str]:
    """The exit status of pytest in a fork, None if it ran out of time, and what it printed."""
    log = clone.parent / "pytest.log"
    child = os.fork()
    if child == 0:
        os.setsid()
        # Seconds of the processor, because another program may keep a test waiting for as long as it likes.
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit)))
        with log.open("w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        import pytest

        os.chdir(clone)
        sys.path[:0] = [str(clone), str(clone / "src")]
        fixed = ["-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
        status: int = 3
        try:
            status = int(pytest.main([*fixed, "-W", "ignore", "-m", "not slow", *words]))
        finally:
            sys.stdout.flush()
            os._exit(status)
    end = time.monotonic() + _STUCK * limit
    while time.monotonic() < end:
        done, state = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(state)
            return (None if status in (-signal.SIGKILL, -signal.SIGXCPU) else status), log.read_text(errors="replace")
        time.sleep(0.1)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, ""


def run(clone: Path, row: Row, tests: Tests, budget: float = math.inf) -> Row:
    """Whether a test fails with the mutant in its place, and which."""
    path = clone / row["file"]
    source = path.read_text()
    try:
        other, line = mutated(source, row)
    except LookupError as error:
        print(error, flush=True)
        return row
    mirror = str(Path("tests", *path.relative_to(clone).parts[2:-1], f"test_{path.stem}.py"))
    words = tests.of(row["file"], line, source)
    spent = itertools.accumulate(tests.seconds.get(test, 0) for test in words)
    words = [test for test, seconds in zip(words, spent, strict=True) if seconds <= budget]
    if (clone / mirror).exists():
        words.append(mirror)
    known = sum(seconds for test, seconds in tests.seconds.items() if test in words or test.split("::")[0] == mirror)
    begin = time.monotonic()
    try:
        path.write_text(other)
        status, text = forked(clone, words or [f"tests/{path.relative_to(clone).parts[2]}"], LEAST + 6 * known)
    finally:
        path.write_text(source)
    by = [line.split(" ", 1)[1].split(" - ")[0] for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if status in (3, 5) or (status == 4 and "while loading conftest" not in text and "ERROR collecting" not in text):
        print(f"pytest ended with {status}, and not because of {row}:\n{text}", flush=True)
        return row
    name = "out of time" if status is None else by[0] if by else f"status {status}"
    result = {"noticed": "no", "by": ""} if status == 0 else {"noticed": "yes", "by": name}
    return row | result | {"seconds": f"{time.monotonic() - begin:.0f}"}


def read() -> list[Row]:
    """The rows that stand there."""
    with OUT.open(newline="") as stored:
        return list(csv.DictReader(stored))


def write(rows: list[Row]) -> None:
    """Writes the CSV in one move."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: (row["file"], int(row["line"]), row["operator"], row["after"])))
    new = OUT.with_suffix(".new")
    new.write_text(text.getvalue())
    new.replace(OUT)


def main() -> None:
    """Draws, or runs and writes after each mutant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "mutants", help="for a clone")
    parser.add_argument("--draw", type=int, metavar="NUMBER", help="draw a sample, and run nothing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds of tests for each mutant")
    parser.add_argument("--again", action="store_true", help="run those again that no test noticed")
    arguments = parser.parse_args()
    if arguments.draw:
        write([row for row in read() if row["operator"].startswith(BY_HAND)] + [*drawn(arguments.draw, arguments.seed)])
        return
    folder = arguments.folder.resolve()
    clone = folder / "clone"
    if arguments.again:
        shutil.rmtree(folder, ignore_errors=True)
    if not clone.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    # A mutant stays in the file when a run is killed.
    subprocess.run(["git", "checkout", "-q", "src"], cwd=clone, check=True)
    tests = measured(folder, clone)
    os.environ.update(surroundings(clone))
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True  # nothing of a mutant stays; the files of the clone were compiled with the first run
    preload()
    left = ("", "no") if arguments.again else ("",)
    for todo in [row for row in read() if row["noticed"] in left]:
        done = run(clone, todo, tests, arguments.budget)
        write([done if same(row, todo) else row for row in read()])


def same(one: Row, other: Row) -> bool:
    """Whether two rows are about one mutant."""
    return all(one[name] == other[name] for name in ("file", "line", "operator", "before", "after"))


if __name__ == "__main__":
    main()
