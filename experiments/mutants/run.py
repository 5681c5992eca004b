"""Whether the tests notice when a line of the measuring code says something else.

    pip install cosmic-ray==8.7.0
    python experiments/mutants/run.py --folder /tmp/mutants

Draws mutants of the four rooms that measure (consistency, statistics, scoring, perturbation), seeded and stratified by
file: each file has as many as its share of the places that can be mutated, and at least one. First the place is drawn,
then what happens there, because cosmic-ray has a dozen mutants for one sign of arithmetic and one for a comparison. Left
out are places in docstrings, annotations, messages (f-strings and what is raised), ``__all__`` and type-checking blocks,
and bitwise operators, which crash on floats.

Each mutant runs the tests of its own room, in a clone of the last commit in the given folder, and a survivor the tests of
all rooms that read the measurements. It can be interrupted, and goes on. Writes mutants.csv beside this file: file, line,
operator, the changed line, whether a test noticed, and the seconds. ``verdict`` and ``reason`` are written by hand for
survivors, and kept when the script runs again.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pandas as pd

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUT = HERE / "mutants.csv"
ROOMS = ("consistency", "statistics", "scoring", "perturbation")
#: Seconds after which a mutant counts as noticed: it runs in circles.
LIMIT = 900
#: What a survivor meets too.
WIDER = [*(f"tests/{room}" for room in ROOMS), "tests/metrics", "tests/reports/suite", "tests/suites", "tests/detectors"]
BITWISE = ("BitOr", "BitAnd", "BitXor", "LShift", "RShift")


class Place(NamedTuple):
    """Where a mutant changes what."""

    file: str
    row: int
    column: int


def spared(file: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Begin and end of what is no code that measures."""
    found: list[ast.AST] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr | ast.Raise | ast.Import | ast.ImportFrom):
            found.append(node)
        elif isinstance(node, ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.arg) and node.annotation is not None:
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            found += [node.returns] if node.returns is not None else []
            found += node.decorator_list
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            found.append(node)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in found]  # type: ignore[attr-defined]


def places(session: Path, clone: Path) -> dict[Place, list[str]]:
    """The jobs of a session by their place, without what is spared."""
    jobs: dict[Place, list[str]] = defaultdict(list)
    silent: dict[str, list[tuple[tuple[int, int], tuple[int, int]]]] = {}
    columns = "module_path, operator_name, start_pos_row, start_pos_col, job_id"
    with sqlite3.connect(session) as data:
        for file, operator, row, column, job in data.execute(f"select {columns} from mutation_specs order by job_id"):
            if file not in silent:
                silent[file] = spared(clone / file)
            inside = any(begin <= (row, column) < end for begin, end in silent[file])
            if not inside and not operator.endswith(BITWISE) and "Decorator" not in operator:
                jobs[Place(file, row, column)].append(job)
    return dict(jobs)


def drawn(jobs: dict[Place, list[str]], number: int, draw: random.Random) -> set[str]:
    """So many jobs, each file with its share and at least one."""
    by_file: dict[str, list[Place]] = defaultdict(list)
    for place in sorted(jobs):
        by_file[place.file].append(place)
    chosen: set[str] = set()
    for file in sorted(by_file):
        share = max(1, round(number * len(by_file[file]) / len(jobs)))
        for place in draw.sample(by_file[file], min(share, len(by_file[file]))):
            chosen.add(draw.choice(sorted(jobs[place])))
    return chosen


def cosmic_ray(clone: Path, *words: str) -> None:
    """Runs a command of cosmic-ray in the clone, whose package goes before an installed one."""
    surroundings = {**os.environ, "PYTHONPATH": str(clone / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-m", "cosmic_ray.cli", *words], cwd=clone, check=True, env=surroundings)


def configure(clone: Path, name: str, module: str, tests: list[str]) -> Path:
    """Writes a configuration and returns its file."""
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider -p no:xdist -W ignore {' '.join(tests)}"
    text = (
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {LIMIT}.0\nexcluded-modules = []\n'
        f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    file = clone / f"{name}.toml"
    file.write_text(text)
    return file


def keep_only(session: Path, jobs: set[str]) -> None:
    """Takes all other jobs out of a session."""
    with sqlite3.connect(session) as data:
        data.execute("create temp table kept (job_id text primary key)")
        data.executemany("insert into kept values (?)", [(job,) for job in jobs])
        for table in ("work_results", "mutation_specs", "work_items"):
            data.execute(f"delete from {table} where job_id not in (select job_id from kept)")


def survivors(session: Path) -> set[str]:
    """The jobs that no test noticed."""
    with sqlite3.connect(session) as data:
        return {job for (job,) in data.execute("select job_id from work_results where test_outcome = 'SURVIVED'")}


def sampled(folder: Path, clone: Path, number: int, seed: int) -> None:
    """Makes a session for each room, with its share of the mutants."""
    found = {}
    for room in ROOMS:
        session = folder / f"{room}.sqlite"
        config = configure(clone, room, f"src/anchorlab/{room}", [f"tests/{room}"])
        cosmic_ray(clone, "init", str(config), str(session))
        found[room] = places(session, clone)
    together = {place: jobs for room in ROOMS for place, jobs in found[room].items()}
    chosen = drawn(together, number, random.Random(seed))
    for room in ROOMS:
        keep_only(folder / f"{room}.sqlite", {job for jobs in found[room].values() for job in jobs} & chosen)
    (folder / "sampled").write_text(json.dumps({"number": number, "seed": seed}))


def run(folder: Path, clone: Path, room: str) -> None:
    """Runs what is left of a room: its own tests, then the wider ones for what survived."""
    session, wider = folder / f"{room}.sqlite", folder / f"{room}-wider.sqlite"
    module = f"src/anchorlab/{room}"
    cosmic_ray(clone, "exec", str(configure(clone, room, module, [f"tests/{room}"])), str(session))
    if not wider.exists():
        copy = wider.with_suffix(".new")
        shutil.copy(session, copy)
        keep_only(copy, survivors(session))
        with sqlite3.connect(copy) as data:
            data.execute("delete from work_results")
        copy.rename(wider)
    cosmic_ray(clone, "exec", str(configure(clone, f"{room}-wider", module, WIDER)), str(wider))


def results(folder: Path) -> pd.DataFrame:
    """A row a mutant that has run."""
    found = []
    for room in ROOMS:
        wider = folder / f"{room}-wider.sqlite"
        late = {} if not wider.exists() else _outcomes(wider)
        for job, (file, row, operator, outcome, diff) in _outcomes(folder / f"{room}.sqlite").items():
            last = late[job][3] if job in late else outcome
            new = [line[1:].strip() for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
            noticed = last != "SURVIVED" if outcome != "SURVIVED" or job in late else None
            found.append((file, row, operator.removeprefix("core/"), " ".join(new), noticed))
    columns = ["file", "line", "operator", "changed", "noticed"]
    return pd.DataFrame(found, columns=columns).sort_values(["file", "line", "operator"], ignore_index=True)


def _outcomes(session: Path) -> dict[str, tuple[str, int, str, str, str]]:
    query = (
        "select m.job_id, m.module_path, m.start_pos_row, m.operator_name, r.test_outcome, r.diff "
        "from mutation_specs m join work_results r on m.job_id = r.job_id"
    )
    with sqlite3.connect(session) as data:
        return {job: rest for job, *rest in data.execute(query)}  # type: ignore[misc]


def write(table: pd.DataFrame) -> None:
    """Writes the CSV, with the verdicts that stand there already."""
    written = ["verdict", "reason"]
    if OUT.exists():
        old = pd.read_csv(OUT, keep_default_na=False)
        table = table.merge(old[["file", "operator", "changed", *written]], how="left")
    else:
        table = table.assign(verdict="", reason="")
    table.fillna({"verdict": "", "reason": ""}).to_csv(OUT, index=False)


def main() -> None:
    """Draws, runs, and writes after each room."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "mutants", help="clone, sessions")
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    clone = folder / "clone"
    if not (folder / "sampled").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        sampled(folder, clone, arguments.number, arguments.seed)
    # A mutant stays in the file when a run is killed.
    subprocess.run(["git", "checkout", "-q", "src"], cwd=clone, check=True)
    for room in ROOMS:
        run(folder, clone, room)
        write(results(folder))


if __name__ == "__main__":
    main()
