"""The key ``stability``: which repairs are repeated, their frame and table, and that other results stay."""

from __future__ import annotations

from unittest import mock

import pandas as pd
import pytest
from pydantic import ValidationError

from anchorlab.repairs import FineTuning
from anchorlab.reports.suite.stability import stability_tables
from anchorlab.statistics.table import to_csv
from anchorlab.suites.plan import make_plan
from anchorlab.suites.results import load_results, write_results
from anchorlab.suites.runner import run_suite
from tests.suites.inline import Inline, tiny
from tests.suites.toys import evaluated_suite, toys

__all__ = ["toys"]  # a fixture


def test_the_key_is_checked_with_the_file(toys):
    with pytest.raises(ValidationError, match="stability varies repairs, but the suite has none"):
        tiny(stability=True)
    with pytest.raises(ValidationError, match="the repair shrunk has no other values of its settings to try"):
        evaluated_suite(stability=True)


def test_repairs_of_the_first_reference_and_seed_are_repeated_and_stand_apart(tmp_path, on_cpu):
    shared = {
        "methods": {"plain": None}, "references": [0, 1], "anchors": ["all"], "seeds": [0], "controls": False,
        "repairs": {"brief": {"repair": "fine-tuning", "set": {"epochs": 1}}}, "defender": ["all"],
    }  # fmt: skip
    executor = Inline()
    run_suite(tiny(**shared), tmp_path / "suite", executor=executor, command="anchorlab suite run tiny.yaml")
    before = load_results(tmp_path / "suite")
    assert before.stability.empty
    assert list(stability_tables(before)) == []
    assert len(executor.jobs) == 2 + 2 + 4

    again = Inline()
    with mock.patch.object(FineTuning, "stability_grid", {"epochs": (2,), "learning_rate": (1e-2,)}):
        suite = tiny(**shared, stability=True)
        run_suite(suite, tmp_path / "suite", executor=again, command="anchorlab suite run tiny.yaml")
        results = load_results(tmp_path / "suite")
        assert sorted(job.label for job in again.jobs) == ["brief (epochs=2)", "brief (learning_rate=0.01)"]
        assert (results.pending, len(results.failed)) == (0, 0)
        pd.testing.assert_frame_equal(results.repairs, before.repairs)
        frame = results.stability
        assert list(frame["setting"]) == ["", "epochs=2", "learning_rate=0.01"]
        assert set(frame["defence"]) == {"brief"}
        assert set(frame["reference_seed"]) == {0}
        own = results.repairs[(results.repairs["role"] == "method") & (results.repairs["reference_seed"] == 0)]
        assert frame["asr"].iloc[0] == own["asr"].item()
        (table,) = stability_tables(results)
        ((_, row),) = table.rows()
        first, second, third = frame["accuracy"]
        expected = (abs(first - second) + abs(first - third) + abs(second - third)) / 3
        assert row.cells[4].value == pytest.approx(expected)
        assert "accuracy_difference" in to_csv(table).splitlines()[0]
        assert "brief: epochs=2, learning_rate=0.01." in table.notes
        write_results(results, tmp_path / "tables")
        assert len(pd.read_csv(tmp_path / "tables" / "stability.csv")) == 3
        nothing = Inline()
        run_suite(suite, tmp_path / "suite", executor=nothing)
        assert nothing.jobs == []


def test_a_plan_counts_them_before_their_models_are_there():
    class Empty:
        def __getattr__(self, name):
            return lambda *_: None if name in ("result", "manifest") else ({} if name == "models" else False)

    shared = {"repairs": {"fine-tuning": None}, "references": [0, 1], "seeds": [0, 1], "defender": ["all"]}
    plain, varied = (tiny(**shared, stability=wanted) for wanted in (False, True))
    found = [make_plan(suite, Empty()).evaluations.expected for suite in (plain, varied)]  # type: ignore[arg-type]
    undecided = found[0]
    assert found[1] == undecided + 4 * undecided / 4
