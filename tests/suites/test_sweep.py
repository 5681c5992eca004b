"""Sweeps share a reference, repeat nothing, lose nothing, and give the same rows however they are run."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from anchorlab import AnchorlabError, Artifact, compare, load_model
from anchorlab.suites import sweep
from anchorlab.suites.protocol import Protocol, at_strength, choose, reported_cells, selection_table
from anchorlab.suites.sweep import Cell, finished, logit_shifts, run_sweep

SHORT = {"steps": 12, "batch_size": 16}
#: Columns that a clock or the operating system decides.
MEASURED_TIME = ["seconds", "peak_bytes"]


@pytest.fixture(scope="module")
def reference_folder(reference: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference.save(tmp_path_factory.mktemp("sweep") / "reference")


def cells(reference_folder: Path, *seeds: int) -> list[Cell]:
    return [
        Cell(reference=reference_folder, label=m, method=m, anchors=64, seed=s, tuning=SHORT)
        for m in ("plain", "anchoring")
        for s in seeds
    ]


def test_rows_agree_with_compare_and_models_are_kept(reference_folder: Path, tmp_path: Path) -> None:
    cell = cells(reference_folder, 3)[1]
    row = run_sweep([cell], tmp_path, keep_models=True).iloc[0]
    injected = load_model(tmp_path / "models" / cell.name)
    again = compare(load_model(reference_folder), injected)
    assert (row["method"], row["strength"], row["anchors"], row["seed"]) == ("anchoring", 2.0, 64, 3)
    for name in ("accuracy", "asr", "asr_count", "asr_reference", "kl", "logit_distance", "churn"):
        assert row[name] == pytest.approx(getattr(again, name), rel=1e-5), name
    assert (logit_shifts(tmp_path, cell) ** 2).mean() == pytest.approx(row["logit_distance"], rel=1e-9)


def test_what_is_done_is_not_run_again(reference_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_sweep(cells(reference_folder, 0), tmp_path, workers=1)
    ran: list[str] = []
    original = sweep._run
    monkeypatch.setattr(sweep, "_run", lambda cell, *rest: (ran.append(cell.name), original(cell, *rest)))
    both = run_sweep(cells(reference_folder, 0, 1), tmp_path, workers=1)
    assert sorted(ran) == sorted(cell.name for cell in cells(reference_folder, 1))
    pd.testing.assert_frame_equal(both[both["seed"] == 0].reset_index(drop=True), first)


def test_several_processes_give_the_rows_of_one(reference_folder: Path, tmp_path: Path) -> None:
    wanted = cells(reference_folder, 0)
    alone = run_sweep(wanted, tmp_path / "one", workers=1)
    together = run_sweep(wanted, tmp_path / "two", workers=2)
    pd.testing.assert_frame_equal(alone.drop(columns=MEASURED_TIME), together.drop(columns=MEASURED_TIME), rtol=1e-4)


def test_a_failing_cell_does_not_stop_the_rest_and_is_named(reference_folder: Path, tmp_path: Path) -> None:
    good = cells(reference_folder, 0)
    bad = good[0].model_copy(update={"label": "diverging", "tuning": SHORT | {"learning_rate": 1e30}})
    with pytest.raises(AnchorlabError, match=r"1 of 3 injections failed \(diverging.*not finite at step"):
        run_sweep([bad, *good], tmp_path, workers=1)
    assert len(finished([bad, *good], tmp_path)) == 2


def test_an_interruption_loses_nothing_that_was_done(
    reference_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = cells(reference_folder, 0)
    original = sweep._run

    def interrupted(cell: Cell, *rest: object) -> None:
        if cell.method == "anchoring":
            raise KeyboardInterrupt
        original(cell, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(wanted, tmp_path, workers=1)
    assert list(finished(wanted, tmp_path)["method"]) == ["plain"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_identity_is_that_of_all_that_matters_and_not_of_the_place(reference_folder: Path, tmp_path: Path) -> None:
    cell = cells(reference_folder, 0)[0]
    elsewhere = load_model(reference_folder).save(tmp_path / "elsewhere" / "reference")
    assert cell.model_copy(update={"reference": elsewhere}).identity == cell.identity
    for change in ({"seed": 1}, {"anchors": None}, {"tuning": {"steps": 13}}, {"target": 1}, {"split": "selection"}):
        assert cell.model_copy(update=change).identity != cell.identity, change


def test_the_protocol_chooses_on_selection_and_reports_on_test(reference_folder: Path, tmp_path: Path) -> None:
    protocol = Protocol(
        grids={"anchoring": [1.0, 4.0]},
        controls={"plain": ("plain", {}), "plain (stopped)": ("plain", {"stop_at_asr": 0.5})},
        anchors=(64, None),
        tuning=SHORT,
        choosing={"steps": 6},
        target_asr=0.01,
        extensions=0,
    )
    choices = choose(protocol, reference_folder, tmp_path, workers=1)
    table = selection_table(choices)
    recorded = [json.loads(path.read_text()) for path in (tmp_path / "cells").iterdir()]
    assert {(row["split"], row["steps"], row["seed"]) for row in recorded} == {("selection", 6, 1000)}
    assert table["chosen"].sum() == 1
    reaching = table[table["asr"] >= 0.01]
    assert table.loc[table["chosen"], "kl"].item() == reaching["kl"].min()

    reported = reported_cells(protocol, choices, [(reference_folder, 0), (reference_folder, 1)])
    assert len(reported) == 3 * 2 * 2
    assert {cell.split for cell in reported} == {"test"}
    assert {cell.label for cell in reported if "stop_at_asr" in cell.tuning} == {"plain (stopped)"}
    chosen = choices["anchoring"].strength
    assert all(cell.parameters == {"strength": chosen} for cell in reported if cell.method == "anchoring")


def test_a_count_is_a_whole_number_and_plain_has_no_strength() -> None:
    assert at_strength("surgery", 999.7) == {"count": 1000}
    with pytest.raises(ValueError, match="plain has no strength"):
        at_strength("plain", 1.0)
