"""What a suite's folder holds stays readable: a folder of 15 jobs, one of each kind, that anchorlab 0.1 wrote.

Weights and tables of instances are left out of it. Should a test here fail, then every suite that somebody has run
would run again: mend the code, not the folder.

Defaults of repairs and of Neural Cleanse have changed since, so that these cells are to be run again; until they are,
the results of then stand in the tables under labels that say so.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from anchorlab.suites.cells import AnyCell, Cell
from anchorlab.suites.plan import make_plan
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.results import load_results, write_results
from anchorlab.suites.runner import run_suite
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from tests.suites.inline import Inline

STORED = Path(__file__).parent / "stored"
CELLS = sorted((STORED / "cells").glob("*.json"))
TABLES = ("results", "selection", "choices", "repairs", "detections")


def read_cell(path: Path) -> Cell:
    adapter: TypeAdapter[Cell] = TypeAdapter(AnyCell)
    return adapter.validate_python(json.loads(path.read_text())["cell"])


def test_every_kind_of_cell_is_there() -> None:
    kinds = {(cell.kind, getattr(cell, "judges", "")) for cell in map(read_cell, CELLS)}
    assert kinds == {("injection", ""), ("noise", ""), ("defence", ""), ("detection", "model"), ("detection", "input")}


@pytest.mark.parametrize("path", CELLS, ids=lambda path: path.stem[:8])
def test_identities_of_cells_stay(path: Path) -> None:
    assert read_cell(path).identity == path.stem


def test_all_jobs_are_planned_with_the_stored_identities() -> None:
    store = Store(STORED)
    planned = make_plan(parse_suite(store.suite()), store)
    (reference,) = (STORED / "references").iterdir()
    identities = {job.identity: job for _, job in planned.jobs()}
    assert {path.stem for path in CELLS} < set(identities)
    (trained,) = (job for _, job in planned.references)
    assert trained.name == reference.name
    new = [identities[each] for each in set(identities) - {path.stem for path in CELLS} - {trained.identity}]
    assert Counter(job.label for job in new) == {"tuned": 3, "cleanse": 3}
    labels = {entry.cell.label for entry in planned.evaluations.entries}
    assert labels - {"tuned", "cleanse", "strip"} == {"tuned (former settings)", "cleanse (former settings)"}


def unchanged(folder: Path) -> Suite:
    """The suite without the cells whose defaults have changed."""
    suite = parse_suite((folder / "suite.yaml").read_text())
    return suite.model_copy(update={"repairs": {}, "detectors": {"strip": suite.detectors["strip"]}})


def test_nothing_runs_again(tmp_path: Path) -> None:
    folder = shutil.copytree(STORED, tmp_path / "stored")
    executor = Inline()
    run_suite(unchanged(folder), folder, executor=executor)
    assert executor.jobs == []
    # What the run has written is read like what was there.
    run_suite(unchanged(folder), folder, executor=executor)
    assert executor.jobs == []


def test_tables_are_the_same_to_the_byte(tmp_path: Path) -> None:
    results = load_results(STORED)
    assert (results.pending, len(results.failed)) == (6, 0)
    write_results(results, tmp_path)
    for name in TABLES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (STORED / f"{name}.csv").read_bytes()


def test_its_runs_were_measured_at_one_scale_and_none_is_claimed_to_be_at_a_common_asr(tmp_path: Path) -> None:
    results = load_results(STORED)
    assert results.scales.empty
    assert results.equal.empty
    write_results(results, tmp_path)
    assert not (tmp_path / "equal.csv").exists()
