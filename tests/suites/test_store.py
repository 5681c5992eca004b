"""The folder of a suite: what is written is whole, and what is claimed is claimed once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anchorlab import AnchorlabError
from anchorlab.suites.cells import Measured, NoiseCell, ReferenceJob
from anchorlab.suites.store import Store
from tests.refusals import refused

CELL = NoiseCell(
    reference="r",
    reference_sha256="ab",
    label="a label / with a slash",
    trigger={"name": "five-pixel"},
    rule="all-to-one",
    target=0,
    split="test",
    batch_size=37,
    precision="no",
)
JOB = ReferenceJob(task="digits", model="resnet-tiny", seed=0, training={"epochs": 1})


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.result(CELL) is None
    assert not store.done(CELL)
    store.save(CELL, Measured([{"kl": 0.5}], b"PAR1, a table, PAR1", {"weights": b"w"}, {"torch": "2"}))
    for reader in (store, Store(tmp_path)):
        assert reader.result(CELL) == [{"kl": 0.5}]
        assert reader.versions(CELL) == {"torch": "2"}
    assert store.instances(CELL.identity).read_bytes() == b"PAR1, a table, PAR1"
    (model,) = store.models().items()
    assert model == (CELL.identity, tmp_path / "models" / f"a-label---with-a-slash-{CELL.identity}")
    assert (model[1] / "weights").read_bytes() == b"w"


def test_a_result_ends_the_failure_and_the_checkpoint(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail(CELL, "reported", AnchorlabError("too\n  few"))
    store.checkpoint(CELL).parent.mkdir()
    store.checkpoint(CELL).touch()
    assert store.failed(CELL)
    what = {"what": CELL.name, "stage": "reported", "error": "too few", "identity": CELL.identity}
    assert store.failures() == [what]
    store.save(CELL, Measured([], None, None, {}))
    assert not store.failed(CELL)
    assert not store.checkpoint(CELL).exists()


def test_failures_can_be_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail(JOB, "reference", ValueError("no"))
    assert store.failures()[0]["error"] == "ValueError: no"
    store.forget_failures()
    assert store.failures() == []


def test_a_job_is_claimed_once_until_it_is_released(tmp_path: Path) -> None:
    ours, theirs = Store(tmp_path), Store(tmp_path)
    lock = ours.claim(CELL)
    assert lock is not None
    assert theirs.claim(CELL) is None
    ours.release(CELL, lock)
    again = theirs.claim(CELL)
    assert again is not None
    theirs.release(CELL, again)


def test_a_reference_is_a_folder_with_a_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.manifest(JOB) is None
    manifest = next((Path(__file__).parent / "stored").glob("references/*/anchorlab.json")).read_bytes()
    store.save_reference(JOB, {"anchorlab.json": manifest, "weights": b"w"})
    assert store.manifest(JOB) is not None
    assert store.manifest(JOB)["weights_sha256"] == json.loads(manifest)["weights_sha256"]
    assert store.done(JOB)


def test_a_discarded_folder_counts_as_missing_until_it_is_replaced(tmp_path: Path) -> None:
    manifest = next((Path(__file__).parent / "stored").glob("references/*/anchorlab.json")).read_bytes()
    store = Store(tmp_path)
    store.save_reference(JOB, {"anchorlab.json": manifest, "weights": b"damaged"})
    store.discard(store.reference(JOB))
    assert not store.done(JOB)
    assert (store.reference(JOB) / "weights").read_bytes() == b"damaged"  # kept until there is another
    store.save_reference(JOB, {"anchorlab.json": manifest, "weights": b"whole"})
    assert store.done(JOB)
    assert (store.reference(JOB) / "weights").read_bytes() == b"whole"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(AnchorlabError, match="does not hold a suite"):
        Store(tmp_path).begin("name: mine", {})
    with pytest.raises(AnchorlabError, match=r"holds no suite\.yaml"):
        Store(tmp_path).suite()


OWN = "# mine\nname: mine\n"


def test_a_suite_file_of_somebody_s_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(OWN)
    (tmp_path / "results.csv").write_text("published")
    refused(r"suite\.yaml is a file that no run wrote, and a run would overwrite it", Store(tmp_path).begin, "n: 1", {})
    refused(r"suite\.yaml was not run in .*: give a folder that 'anchorlab suite run' filled", Store(tmp_path).suite)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "suite.yaml"]
    assert (tmp_path / "suite.yaml").read_text() == OWN


def test_a_run_that_was_killed_after_its_first_file_goes_on(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text("name: mine")
    Store(tmp_path).begin("name: mine", {"command": "again"})
    Store(tmp_path).begin("name: other", {"command": "anchorlab"})
    assert Store(tmp_path).suite() == "name: other"


@pytest.mark.parametrize("label", [".hidden", "x" * 300, "猫" * 100, "a/b\\c\nd\0e"])
def test_a_kept_model_is_found_whatever_its_label_is(tmp_path: Path, label: str) -> None:
    store, cell = Store(tmp_path), CELL.model_copy(update={"label": label})
    store.save(cell, Measured(rows=[], instances=None, model={"config.json": b"{}"}, versions={}))
    assert list(store.models()) == [cell.identity]
    assert (store.models()[cell.identity] / "config.json").is_file()
