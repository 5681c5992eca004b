"""The hours of docs/scaling.md follow from the suites and the measured steps."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from anchorlab.suites.expected import runs_to_choose
from anchorlab.suites.plan import make_plan
from anchorlab.suites.reading import load_suite
from anchorlab.suites.store import Store
from tests.test_results import rows

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def scaling() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scaling", ROOT / "experiments/scaling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scaling"] = module
    spec.loader.exec_module(module)
    return module


def test_the_hours_of_the_page_are_those_of_the_script(scaling: ModuleType) -> None:
    found = scaling.table()
    shown = rows("docs/scaling.md", "<!-- hours -->", "<!-- end of hours -->")
    assert len(shown) == len(found)
    for cells, (_, row) in zip(shown, found.iterrows(), strict=True):
        assert cells[:2] == [row["suite"], row["device"]]
        assert [int(cell) for cell in cells[2:5]] == [row["references"], row["choosing"], row["reported"]]
        for cell, part in zip(cells[5:], ("references", "tuning", "measuring", "all"), strict=True):
            hours = row[f"hours_{part}"]
            assert cell == (f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}"), (cells, part)


def test_the_hours_are_committed(scaling: ModuleType) -> None:
    pd.testing.assert_frame_equal(pd.read_csv(ROOT / "experiments/scaling/hours.csv"), scaling.table())


def test_the_page_shows_what_the_suites_of_the_evidence_cost() -> None:
    shown = rows("docs/scaling.md", "<!-- evidence -->", "<!-- end of evidence -->")
    found = pd.read_csv(ROOT / "experiments/scaling/evidence.csv")
    for cells, (_, row) in zip(shown, found.iterrows(), strict=True):
        assert cells == [row["suite"], str(row["references"]), str(row["jobs"]), f"{row['hours']:.1f}"]


def test_the_page_quotes_the_measured_steps() -> None:
    pace = pd.read_csv(ROOT / "experiments/scaling/pace.csv").set_index(["model", "device"])
    page = (ROOT / "docs/scaling.md").read_text()
    for model, what in (("resnet-34", "an image"), ("bert-base", "a text")):
        seconds = pace.loc[(model, "cpu"), "training_seconds_per_example"]
        assert f"{seconds:.3f} seconds {what}" in page
    card = 1000 * pace.xs("NVIDIA H200", level="device").drop(columns=["threads", "batch", "steps"])
    image_step, text_step = card.loc[["resnet-34", "bert-base"], "training_seconds_per_example"]
    image, text = card.loc[["resnet-34", "bert-base"], "predicting_seconds_per_example"]
    page = " ".join(page.split())
    assert f"A step takes {image_step:.2f} ms an image and {text_step:.1f} ms a text." in page
    assert f"a prediction takes {image:.2f} ms an image, nearly twice as long as a step," in page
    assert f"and {text:.1f} ms a text. For your" in page
    assert 1.8 < image / image_step < 2


def test_the_reports_of_many_cells_are_those_of_the_benchmark() -> None:
    measured = pd.read_csv(ROOT / "benchmarks/report.csv")
    page = " ".join((ROOT / "docs/scaling.md").read_text().split())
    report, idle = (measured[measured["what"] == what] for what in ("report", "nothing to do"))
    assert f"a suite of {_three(report['cells'], ',.0f')} cells took {_three(report['seconds'], '.0f')} s" in page
    assert f"with a peak of {_three(report['peak_bytes'] / 1e9, '.2f')} GB" in page
    assert f"with nothing to do took {_three(idle['seconds'], '.1f')} s" in page


def _three(values: pd.Series, form: str) -> str:
    first, second, third = (format(value, form) for value in values)
    return f"{first}, {second} and {third}"


@pytest.mark.parametrize("name", ["images", "texts"])
def test_runs_are_counted_as_the_plan_counts_them(scaling: ModuleType, name: str, tmp_path: Path) -> None:
    """An empty folder's plan knows the references, and the methods' reported runs as those not decided yet."""
    suite = load_suite(ROOT / f"experiments/scaling/{name}.yaml")
    plan, work = make_plan(suite, Store(tmp_path)), scaling.work_of(suite)
    controls = 2 * len(suite.anchors) * len(suite.references) * len(suite.seeds)
    assert len(plan.trained) == work.references
    assert runs_to_choose(suite, plan) == work.choosing
    assert plan.undecided == work.reported - controls
