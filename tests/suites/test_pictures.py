"""A suite's folder keeps the pictures of its triggers: reports need no file of them, and places do not count."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anchorlab import AnchorlabError
from anchorlab.notices import Notice
from anchorlab.suites.cells import NoiseCell
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import run_suite
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import PICTURES
from anchorlab.triggers import Picture
from tests.suites.inline import Inline, tiny
from tests.triggers.table import png, random_rgba


def write_picture(path: Path, *, seed: int) -> None:
    path.write_bytes(base64.b64decode(png(random_rgba(3, 3, seed))))


def suite_with(path: str) -> Suite:
    return tiny(
        triggers=[f"picture:{path}"],
        references=[0],
        methods={"plain": {"method": "plain"}},
        anchors=[10],
        seeds=[0],
        controls=False,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a finished suite whose picture is in the working folder."""
    monkeypatch.chdir(tmp_path)
    write_picture(Path("logo.png"), seed=0)
    run_suite(suite_with("logo.png"), tmp_path / "suite", executor=Inline())
    return tmp_path / "suite"


@pytest.mark.parametrize("change", ["removed", "other"])
def test_results_are_read_whatever_has_become_of_the_picture(folder: Path, change: str) -> None:
    before = load_results(folder)
    write_picture(Path("logo.png"), seed=1) if change == "other" else Path("logo.png").unlink()
    after = load_results(folder)
    assert len(after.results) == 1
    assert after.pending == 0
    pd.testing.assert_frame_equal(after.results, before.results)
    (shown,) = after.examples.values()
    assert np.array_equal(shown.triggered, before.examples["digits, picture:logo.png"].triggered)


def test_a_run_reads_the_picture_again_and_its_place_does_not_count(folder: Path) -> None:
    write_picture(Path("elsewhere.png"), seed=0)
    moved, changed = Inline(), Inline()
    run_suite(suite_with("elsewhere.png"), folder, executor=moved)
    assert moved.jobs == []
    assert load_results(folder).results["trigger"].tolist() == ["picture:elsewhere.png"]
    write_picture(Path("elsewhere.png"), seed=1)
    run_suite(suite_with("elsewhere.png"), folder, executor=changed)
    assert [job.trigger["data"] for job in changed.jobs] == [Picture(path="elsewhere.png").data]
    run_suite(tiny(triggers=["five-pixel"], methods={"plain": None}), folder, executor=Inline())
    assert not (folder / PICTURES).exists()


@pytest.mark.parametrize("damage", ["{", '{"picture:logo.png": "AAAA"}', '{"picture:logo.png": 7}'])
def test_a_damaged_copy_counts_as_missing_and_is_named(folder: Path, damage: str) -> None:
    (folder / PICTURES).write_text(damage)
    with pytest.warns(Notice, match=PICTURES):
        assert len(load_results(folder).results) == 1
    Path("logo.png").unlink()
    with pytest.warns(Notice, match=PICTURES), pytest.raises(AnchorlabError, match=r"no file logo\.png"):
        load_results(folder)


def test_the_identities_of_earlier_versions_stay_and_have_the_place() -> None:
    """A hash noted before the place was no part of it."""

    def identity(path: str, examples: str | None) -> str:
        where = {"reference": "r", "reference_sha256": "ab", "label": "l", "rule": "all-to-one", "target": 0}
        trigger = {"name": "picture", "path": path, "data": "aa"}
        return NoiseCell(
            **where, trigger=trigger, split="test", batch_size=37, precision="no", examples_sha256=examples
        ).identity

    assert identity("logo.png", None) == "4f3bdb2e85aa9ba373bdfa07fbc2f90fc5e974bc73374584cc17484a15b16225"
    assert identity("logo.png", None) != identity("a.png", None)
    assert identity("logo.png", "cd") == identity("a.png", "cd")
