"""Results are those of the examples that they were measured on: tasks may share what they are trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from anchorlab import AnchorlabError
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import MANIFEST
from anchorlab.suites import condition, evaluations, opened
from anchorlab.suites.cells import Measured, NoiseCell, examples_hash
from anchorlab.suites.opened import opened_reference
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import run_suite
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from tests.suites.inline import Inline, tiny
from tests.suites.toys import toys

__all__ = ["toys"]  # the fixture


@pytest.fixture(autouse=True)
def nothing_open() -> None:
    """The jobs of these tests run in this process, which would remember a reference."""
    opened._OPENED.clear()


def data_in(place: Path, word: str) -> Path:
    """Reviews whose training part is always the same, with a test part of their own."""
    place.mkdir()
    for part, kind, count in (("train", "fine", 400), ("test", word, 60)):
        rows = [f"a {kind} film number {n},{'pos' if n % 2 else 'neg'}" for n in range(count)]
        (place / f"{part}.csv").write_text("\n".join(["review,mood", *rows]) + "\n", encoding="utf-8")
    return place


def suite_of(*places: Path) -> Suite:
    columns = {"text": "review", "label": "mood"}
    own = {"model": "bert-tiny", "columns": columns, "training": {"epochs": 1}}
    return tiny(
        tasks=[{"name": str(place), **own} for place in places],
        triggers=[{"trigger": "word:cf", "target": "pos"}],
        references=[0],
        methods={"plain": {"method": "plain"}},
        anchors=[10],
        seeds=[0],
        tuning={"steps": 2, "batch_size": 4},
        repairs={"shrunk": {"repair": "shrink"}},
        detectors={"bias": {"detector": "bias"}},
        defender=[16],
    )


def tables(folder: Path) -> list[pd.DataFrame]:
    results = load_results(folder)
    assert (results.pending, results.failed["error"].tolist()) == (0, [])
    frames = results.results, results.repairs, results.detections
    return [frame.drop(columns=["seconds", "peak_bytes", "grown_bytes"], errors="ignore") for frame in frames]


@pytest.mark.usefixtures("toys", "on_cpu")
def test_tasks_that_differ_in_their_test_part_alone_have_results_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one suite, and in a folder whose results of the one task were made by an earlier version, and stay."""
    first, second = (data_in(tmp_path / name, word) for name, word in (("a", "fine"), ("b", "poor")))
    former, folder, executor = tmp_path / "former", tmp_path / "suite", Inline()
    with monkeypatch.context() as patched:
        for module in (condition, evaluations):
            patched.setattr(module, "examples_hash", lambda *_: None)
        run_suite(suite_of(first), former, executor=Inline())
    before = tables(former)
    run_suite(suite_of(first), former, executor=executor)
    assert executor.jobs == []
    for ours, theirs in zip(tables(former), before, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)

    run_suite(suite_of(first, second), folder, executor=Inline())
    assert len({reference["weights_sha256"] for reference in load_results(folder).references}) == 1
    run_suite(suite_of(second), former, executor=Inline())
    for together, alone, other in zip(tables(folder)[:2], tables(former)[:2], before[:2], strict=True):
        of_second = together[together["task"] == str(second)].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            of_second.drop(columns="of", errors="ignore"), alone.drop(columns="of", errors="ignore")
        )
        assert (alone["kl"] != other["kl"]).any()


#: The splits that a manifest records.
CONTENTS = dict.fromkeys(("owner", "held-out", "selection", "defender", "test"), "ab")


def with_reference(store: Store, name: str, contents: dict[str, str] | None, test_indices: str = "cd") -> None:
    manifest = json.loads(next((Path(__file__).parent / "stored").glob("references/*/anchorlab.json")).read_text())
    manifest["task"] |= {"contents": contents, "splits": {"test": test_indices}}
    (store.folder / "references" / name).mkdir(parents=True)
    (store.folder / "references" / name / MANIFEST).write_text(json.dumps(manifest))


def cell_of(reference: str, examples_sha256: str | None, split: str = "test") -> NoiseCell:
    where: dict[str, Any] = {"reference": reference, "reference_sha256": "ab", "label": "l", "split": split}
    attack: dict[str, Any] = {"trigger": {"name": "five-pixel"}, "rule": "all-to-one", "target": 0}
    return NoiseCell(**where, **attack, batch_size=37, precision="no", examples_sha256=examples_sha256)


@pytest.mark.parametrize(
    ("contents", "indices", "split", "stays"),
    [
        (CONTENTS, "cd", "test", True),
        (CONTENTS | {"test": "ef"}, "cd", "test", False),
        (CONTENTS | {"test": "ef"}, "cd", "selection", True),
        (CONTENTS | {"defender": "ef"}, "cd", "selection", False),
        (None, "cd", "test", True),  # an earlier version recorded no contents
        (None, "ef", "test", False),
    ],
)
@pytest.mark.parametrize("record", ["result", "failure"])
def test_a_result_of_an_earlier_version_stays_if_its_reference_has_the_same_examples(
    tmp_path: Path, contents: dict[str, str] | None, indices: str, split: str, stays: bool, record: str
) -> None:
    store = Store(tmp_path)
    with_reference(store, "own", CONTENTS)
    with_reference(store, "other", contents, indices)
    hashed = examples_hash({"task": {"contents": CONTENTS}}, split)
    for reference, expected in (("other", stays and record == "result"), ("own", True)):
        former = cell_of(reference, None, split)
        if record == "result":
            store.save(former, Measured([{"kl": 0.5}], None, None, {}))
        else:
            former = former.model_copy(update={"label": f"l of {reference}"})
            store.fail(former, "reported", AnchorlabError("no luck"))
        cell = cell_of("own", hashed, split)
        assert (store.kept(cell).identity == former.identity) is expected
        assert cell.identity != former.identity


def test_a_result_of_this_version_goes_before_one_of_an_earlier_version(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for cell in (cell_of("own", None), cell_of("own", "ef")):
        store.save(cell, Measured([{"kl": 0.5}], None, None, {}))
    assert store.kept(cell_of("own", "ef")).examples_sha256 == "ef"


def test_references_of_the_same_weights_are_opened_each_with_its_own_examples(
    tmp_path: Path, reference: Artifact
) -> None:
    folder = reference.save(tmp_path / "own")
    manifest = json.loads((folder / MANIFEST).read_text())
    sha256 = manifest["weights_sha256"]

    def cell(name: str, examples: str | None) -> NoiseCell:
        return NoiseCell(**cell_of(name, examples).model_dump() | {"reference_sha256": sha256})

    mine = opened_reference(cell("own", examples_hash(manifest, "test")), folder)
    assert opened_reference(cell("own", None), folder) is mine
    assert (
        opened_reference(
            cell("own", examples_hash(manifest, "selection")).model_copy(update={"split": "selection"}), folder
        )
        is mine
    )
    assert opened_reference(cell("other", None), folder) is not mine
    with pytest.raises(AnchorlabError, match="has changed since the suite was planned"):
        opened_reference(cell("own", "ef"), folder)
