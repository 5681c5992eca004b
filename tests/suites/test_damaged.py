"""Files of a suite's folder that are damaged in any way: what can be made again is, and the file is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from anchorlab import AnchorlabError
from anchorlab.notices import Notice
from anchorlab.reports.write import write_report
from anchorlab.suites import opened
from anchorlab.suites.plan import make_plan
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import failures, run_suite
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from tests.damages import ANY, OF_JSON
from tests.devices import accelerated_by
from tests.suites.inline import Inline
from tests.suites.toys import evaluated_suite, toys

__all__ = ["toys"]

#: Pattern of a kind of file, in a folder in which everything is done.
FILES = {
    "run": "run.json",
    "selection": "cells/*.json",
    "table": "cells/*.parquet",
    "manifest": "references/*/anchorlab.json",
    "reference's configuration": "references/*/config.json",
    "reference's weights": "references/*/model.safetensors",
    "model's manifest": "models/*/anchorlab.json",
    "model's weights": "models/*/model.safetensors",
}
CASES = [
    (pattern, damage) for pattern in FILES.values() for damage in (ANY | OF_JSON if pattern.endswith(".json") else ANY)
]


@pytest.fixture(autouse=True)
def nothing_open() -> None:
    """The jobs of these tests run in this process, which would remember a reference."""
    opened._OPENED.clear()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "suite"
    with accelerated_by(torch.device("cpu")):
        run_suite(_suite(), folder, executor=Inline())
    return folder


def _suite() -> Suite:
    return evaluated_suite(repairs={"tuned": {"repair": "fine-tuning", "set": {"epochs": 1}}}, detectors={})


def _measured(folder: Path) -> pd.DataFrame:
    return load_results(folder).results.drop(columns=["seconds", "peak_bytes"])


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "damage"), CASES, ids=lambda value: str(value))
def test_whatever_is_damaged_the_suite_ends_as_it_was(whole: Path, tmp_path: Path, pattern: str, damage: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "suite")
    path = sorted(folder.glob(pattern))[0]
    path.write_bytes((ANY | OF_JSON)[damage](path.read_bytes()))
    try:
        load_results(folder)
    except AnchorlabError as error:
        assert path.name in str(error)  # noqa: PT017
    run_suite(_suite(), folder, executor=Inline())
    assert failures(_suite(), Store(folder)) == []
    pd.testing.assert_frame_equal(_measured(folder), _measured(whole))


@pytest.mark.parametrize("damage", ANY | OF_JSON)
def test_a_damaged_record_counts_as_not_done_and_is_named(whole: Path, tmp_path: Path, damage: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "suite")
    path = sorted(folder.glob("cells/*.json"))[0]
    path.write_bytes((ANY | OF_JSON)[damage](path.read_bytes()))
    with pytest.warns(Notice, match=f"{path.name}.*measures it again"):
        load_results(folder)
    executor = Inline()
    with pytest.warns(Notice, match=path.name):
        run_suite(_suite(), folder, executor=executor)
    assert [job.identity for job in executor.jobs] == [path.stem]


@pytest.mark.usefixtures("on_cpu")
def test_a_table_with_another_byte_in_its_middle_counts_as_not_done(whole: Path, tmp_path: Path) -> None:
    """The page shows the rest."""
    folder = shutil.copytree(whole, tmp_path / "suite")
    identity = load_results(folder).results.query("method == 'plain'")["identity"].iloc[0]
    table = folder / "cells" / f"{identity}.parquet"
    content = table.read_bytes()
    middle = len(content) // 2
    table.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.warns(Notice, match=f"{table.name}.*measures it again"):
        results = load_results(folder)
    assert identity not in set(results.results["identity"])
    assert results.pending == 1
    with pytest.warns(Notice, match=table.name):
        assert write_report(folder).is_file()
    executor = Inline()
    with pytest.warns(Notice, match=table.name):
        run_suite(_suite(), folder, executor=executor)
    assert [job.identity for job in executor.jobs] == [identity]
    assert table.read_bytes() == content


@pytest.mark.parametrize("change", ["no kl", "a text", "no rows", "by_class"])
def test_a_record_of_an_earlier_version_is_checked_by_its_form(whole: Path, tmp_path: Path, change: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "suite")
    paths = {path: json.loads(path.read_text()) for path in folder.glob("cells/*.json")}
    path, record = next(item for item in paths.items() if item[1]["cell"]["kind"] == "noise")
    del record["sha256"], record["table"]
    path.write_text(json.dumps(record))
    executor = Inline()
    run_suite(_suite(), folder, executor=executor)
    assert executor.jobs == []
    if change == "no kl":
        del record["rows"][0]["kl"]
    elif change == "a text":
        record["rows"][0]["asr"] = "all"
    elif change == "by_class":
        record["rows"][0]["by_class"] = [1]
    else:
        record["rows"] = []
    path.write_text(json.dumps(record))
    with pytest.warns(Notice, match=path.name):
        run_suite(_suite(), folder, executor=executor)
    assert [job.identity for job in executor.jobs] == [path.stem]


@pytest.mark.usefixtures("on_cpu")
def test_a_damaged_kept_model_is_made_again_when_a_repair_needs_it(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "suite")
    suite = evaluated_suite(repairs={"tuned": {"repair": "fine-tuning", "set": {"epochs": 2}}}, detectors={})
    for path in folder.glob("models/*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(Notice, match="is damaged .*it is made again"):
        run_suite(suite, folder, executor=Inline())
    assert failures(suite, Store(folder)) == []
    for path in folder.glob("models/*/model.safetensors"):
        assert path.read_bytes() == (whole / path.relative_to(folder)).read_bytes()


@pytest.mark.usefixtures("on_cpu")
def test_a_damaged_reference_is_trained_again_when_a_run_needs_it(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "suite")
    (weights,) = folder.glob("references/*/model.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # whole for safetensors, and still another
    sorted(folder.glob("cells/*.json"))[0].unlink()
    with pytest.warns(Notice, match="is damaged .*it is made again"):
        run_suite(_suite(), folder, executor=Inline())
    assert failures(_suite(), Store(folder)) == []
    assert weights.read_bytes() == content
    pd.testing.assert_frame_equal(_measured(folder), _measured(whole))


@pytest.mark.parametrize("damage", ["", "[1]", '{"what": 7}', "\0"])
def test_a_damaged_marker_of_a_failure_is_no_failure(whole: Path, tmp_path: Path, damage: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "suite")
    path = sorted(folder.glob("cells/*.json"))[0]
    path.unlink()
    marker = folder / "failed" / path.name
    marker.parent.mkdir(exist_ok=True)
    marker.write_text(damage)
    with pytest.warns(Notice, match=f"{path.name}.*runs it again"):
        assert len(load_results(folder).failed) == 0
    run_suite(_suite(), folder, executor=Inline())
    assert path.exists()
    assert not marker.exists()


def test_the_report_names_failures_where_no_reported_run_is_there(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "suite")
    store = Store(folder)
    for path in folder.glob("cells/*.json"):
        if json.loads(path.read_text())["cell"]["split"] == "test":
            path.unlink()
    for _, job in make_plan(_suite(), store).jobs():
        if not store.done(job):
            store.fail(job, "reported", ValueError("no luck"))
    page = write_report(folder).read_text()
    assert "no luck" in page
    assert "No method has a reported run so far" in page


@pytest.mark.parametrize("damage", [b"\x80\x81", b"", b"[1]", b"name: x"])
def test_a_damaged_suite_file_is_named_by_the_report_and_written_by_the_run(
    whole: Path, tmp_path: Path, damage: bytes
) -> None:
    folder = shutil.copytree(whole, tmp_path / "suite")
    (folder / "suite.yaml").write_bytes(damage)
    with pytest.raises(AnchorlabError, match=r"suite\.yaml"):
        load_results(folder)
    run_suite(_suite(), folder, executor=Inline())
    assert load_results(folder).pending == 0
