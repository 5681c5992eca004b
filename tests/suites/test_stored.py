"""What a suite's folder holds stays readable: a folder of 15 jobs, one of each kind, that anchorlab 0.1 wrote.

It is read as it was chosen then. A suite that runs again there chooses strengths by the present rule, and what is
finished is kept. Weights and tables of instances are left out of the folder. Should a test here fail, then the report
of every suite that somebody has run would change: mend the code, not the folder.

Defaults of repairs and of Neural Cleanse have changed since, so that these cells are to be run again; until they are,
the results of then stand in the tables under labels that say so.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from anchorlab.suites.cells import AnyCell, Cell, InjectionCell, ReferenceJob
from anchorlab.suites.former_choice import FormerChoice, former_choice
from anchorlab.suites.plan import make_plan
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.results import load_results, write_results
from anchorlab.suites.runner import run_suite
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from tests.suites.inline import Inline, tiny
from tests.suites.test_plan import Imagined

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
    planned = make_plan(parse_suite(store.suite()), store, former_choice(store.suite()))
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


def test_a_run_chooses_by_the_present_rule_and_keeps_what_is_finished(tmp_path: Path) -> None:
    """The best of the old folder is not the best of two more references: there is one more run to report."""
    folder = shutil.copytree(STORED, tmp_path / "stored")
    kept = {path.name: path.read_bytes() for path in (folder / "cells").glob("*.json")}
    executor = Inline()
    # The stored reference has no weights, so nothing else than what chooses can run here.
    run_suite(unchanged(folder).model_copy(update={"controls": False, "detectors": {}}), folder, executor=executor)
    trained = [job.seed for job in executor.jobs if isinstance(job, ReferenceJob)]
    chosen = [job for job in executor.jobs if isinstance(job, InjectionCell) and job.split == "selection"]
    assert trained == [1000, 1001]
    assert sorted((job.strength, job.seed) for job in chosen) == sorted(
        (strength, seed) for strength in (1.0, 4.0) for seed in (1000, 1001) for _ in trained
    )
    assert {name: (folder / "cells" / name).read_bytes() for name in kept} == kept
    # What the run has written is read by the present rule, and nothing of it runs twice.
    assert former_choice((folder / "suite.yaml").read_text()) is None
    again = Inline()
    run_suite(parse_suite((folder / "suite.yaml").read_text()), folder, executor=again)
    assert again.jobs == []


def test_tables_are_the_same_to_the_byte_but_for_the_effort_of_choosing(tmp_path: Path) -> None:
    results = load_results(STORED)
    assert (results.pending, len(results.failed)) == (6, 0)
    assert results.choices[["runs", "seconds"]].to_numpy().tolist() == [[2, pytest.approx(0.422)]]
    write_results(dataclasses.replace(results, choices=results.choices.drop(columns=["runs", "seconds"])), tmp_path)
    for name in TABLES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (STORED / f"{name}.csv").read_bytes()


def test_its_runs_were_measured_at_one_scale_and_none_is_claimed_to_be_at_a_common_asr(tmp_path: Path) -> None:
    results = load_results(STORED)
    assert results.scales.empty
    assert results.equal.empty
    write_results(results, tmp_path)
    assert not (tmp_path / "equal.csv").exists()


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("", FormerChoice(None, (1000,), 2)),
        ("selection: {references: 1, extensions: 0}", FormerChoice(1, (1000,), 0)),
        ("selection: {seeds: [7, 8]}", FormerChoice(None, (7, 8), 2)),
        ("selection: {references: [1000]}", None),
    ],
)
def test_what_an_older_version_wrote_is_recognised(selection: str, expected: FormerChoice | None) -> None:
    assert former_choice(f"name: mine\n{selection}\n") == expected


def test_the_former_rule_takes_means_and_finds_the_strengths_of_extended_grids() -> None:
    def front(cell: InjectionCell, _scale: float) -> tuple[float, float]:
        strength = cell.strength or 0
        return (0.5 if cell.seed == 1000 else 0.7), abs(strength - 64) + 0.1

    class Until64(Imagined):
        def result(self, cell: Cell) -> list[dict[str, Any]] | None:
            return super().result(cell) if (getattr(cell, "strength", None) or 0) <= 64 else None

    suite = tiny(target_asr=[0.6], controls=False)
    plan = make_plan(suite, Until64(front), FormerChoice(1, (1000, 1001), 2))
    (choice, *_) = [chosen.choice for chosen in plan.chosen if chosen.label == "anchoring"]
    assert (choice.strength, choice.reached, choice.tried, choice.at_edge) == (64.0, True, 6, True)
    assert choice.best_asr == pytest.approx(0.6)
    assert plan.choosing == []
