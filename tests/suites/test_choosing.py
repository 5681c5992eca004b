"""A search and a choice of learning rates end to end, on digits: they go on where they were stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from anchorlab.suites.plan import make_plan
from anchorlab.suites.results import load_results, write_results
from anchorlab.suites.runner import run_suite
from anchorlab.suites.store import Store
from tests.suites.inline import Inline, tiny


def test_a_stopped_search_goes_on_and_its_effort_stands_in_the_table(tmp_path: Path) -> None:
    suite = tiny(
        methods={"surgery": {"method": "surgery"}},
        controls=False,
        anchors=["all"],
        references=[0],
        seeds=[0],
        tuning={"steps": 4, "batch_size": 8},
        learning_rates=[0.003, 0.01],
        selection={"references": 1, "seeds": [1000], "tries": 4},
    )

    class Stopped(Inline):
        def submit(self, function: Any, /, *args: Any) -> Any:
            if len(self.jobs) == 5:
                raise KeyboardInterrupt
            return super().submit(function, *args)

    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, tmp_path / "out", executor=Stopped())
    run_suite(suite, tmp_path / "out", executor=(rest := Inline()))
    store = Store(tmp_path / "out")
    plan = make_plan(suite, store)
    assert plan.open == []
    assert all(store.done(job) for _, job in plan.jobs())
    assert len(rest.jobs) == len(list(plan.jobs())) - 5

    results = load_results(tmp_path / "out")
    (choice,) = results.choices.to_dict("records")
    assert 2 <= choice["tried"] == choice["runs"] <= 4 + 2
    # The first strength is a sixteenth of the model's parameters, and both rates were tried there.
    size = store.parameters(plan.choosing[0][1])
    assert size is not None
    first = plan.rates[0][2].strength
    assert first == pytest.approx(size / 16, rel=0.01)
    assert choice["rate_runs"] == 2
    assert choice["learning_rate"] in (0.003, 0.01)
    assert {entry.cell.tuning["learning_rate"] for entry in plan.reported} == {choice["learning_rate"]}  # type: ignore[union-attr]
    assert choice["seconds"] > 0
    write_results(results, tmp_path)
    written = pd.read_csv(tmp_path / "choices.csv")
    assert {"runs", "seconds", "rate_runs", "rate_seconds", "rates_tried"} <= set(written)
