"""Parts are measured once, as far as the budget goes."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from anchorlab import AnchorlabError
from anchorlab.notices import Notice
from anchorlab.perturbation import budget, parts
from anchorlab.perturbation.budget import Budget
from anchorlab.perturbation.parts import Part, measure


def part(name: str, calls: list[str], inputs=(1,), steps=1, pass_time=lambda: None) -> Part:
    def run(tick):
        for _ in range(steps):
            pass_time()
            tick()
        calls.append(name)
        return {"t": pd.DataFrame({"name": [name], "value": [0.1 + 0.2], "none": [math.nan], "far": [math.inf]})}

    return Part(name, inputs, steps, run)


def test_what_is_remembered_is_not_measured_again_and_is_the_same_to_the_bit(tmp_path):
    calls: list[str] = []
    first, _ = measure([part("a", calls), part("b", calls)], Budget(), tmp_path, "x")
    again, _ = measure([part("a", calls), part("b", calls), part("c", calls)], Budget(), tmp_path, "x")
    assert calls == ["a", "b", "c"]
    pd.testing.assert_frame_equal(again["t"].iloc[:2], first["t"], check_exact=True)
    measure([part("a", calls, inputs=(2,))], Budget(), tmp_path, "x")
    assert calls[3:] == ["a"]


def test_the_bar_counts_each_step_and_ends_each_part_where_it_said(monkeypatch):
    """The second part says that it takes three steps, and ticks twice."""
    reported: list[int] = []
    monkeypatch.setattr(parts, "progress_bar", lambda *_: nullcontext(lambda done, _: reported.append(done)))
    short = replace(part("b", [], steps=2), steps=3)
    measure([part("a", [], steps=2), short, part("c", [])], Budget(), None, "x")
    assert reported == [1, 2, 2, 3, 4, 5, 6, 6]


def test_an_interruption_keeps_what_was_finished(tmp_path):
    calls: list[str] = []

    def interrupted(_tick):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([part("a", calls), Part("b", (1,), 1, interrupted)], Budget(), tmp_path, "x")
    measure([part("a", calls), part("b", calls)], Budget(), tmp_path, "x")
    assert calls == ["a", "b"]


def without_tables(text: str) -> str:
    return json.dumps({name: value for name, value in json.loads(text).items() if name != "tables"})


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "\0\1",
        lambda text: "[1]",
        lambda text: "7",
        without_tables,
        lambda text: text.replace("value", "valve"),
        lambda text: text.replace("0.3000", "0.4000"),
        lambda text: json.dumps(json.loads(text)["tables"]),
    ],
    ids=["half", "empty", "binary", "list", "number", "no tables", "another column", "another value", "earlier form"],
)
def test_what_is_damaged_is_measured_again_with_a_notice(tmp_path, damage):
    calls: list[str] = []
    first, _ = measure([part("a", calls)], Budget(), tmp_path, "x")
    (path,) = tmp_path.iterdir()
    path.write_text(damage(path.read_text()))
    with pytest.warns(Notice, match=rf"{path.name} .*it is measured again"):
        again, _ = measure([part("a", calls)], Budget(), tmp_path, "x")
    assert calls == ["a", "a"]
    pd.testing.assert_frame_equal(again["t"], first["t"], check_exact=True)


def test_the_budget_ends_a_part_under_way_and_names_what_is_left_out(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def pass_time() -> None:
        clock[0] += 1

    calls: list[str] = []
    parts = [part("quick", calls), part("slow", calls, steps=1000, pass_time=pass_time), part("last", calls)]
    tables, left_out = measure(parts, Budget(seconds=5, _start=0.0), None, "x")
    assert calls == ["quick"]
    assert clock == [5.0]
    assert left_out == ["slow", "last"]
    assert tables["t"]["name"].tolist() == ["quick"]


def test_a_budget_that_suffices_for_nothing_is_an_error():
    with pytest.raises(AnchorlabError, match=r"the budget of 1e-09 seconds was spent before anything was measured"):
        measure([part("a", [])], Budget(seconds=1e-9), None, "x")
