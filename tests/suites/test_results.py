"""The frames that a report reads: complete, consistent with each other, and honest about what is missing."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from anchorlab import load_task
from anchorlab.consistency.compare import Comparison
from anchorlab.notices import Notice
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.results import load_results, write_results
from anchorlab.suites.runner import run_suite
from anchorlab.suites.selection import MARGIN
from anchorlab.suites.store import Store
from tests.refusals import refused
from tests.suites.inline import Inline, tiny


def test_every_reported_run_has_a_row_with_every_measurement(finished: Path) -> None:
    found = load_results(finished)
    results = found.results
    # Noise floor 2 x 2; methods, stopped and benign: 4 x 2 numbers of anchors x 2 references x 2 seeds.
    assert results["role"].value_counts().to_dict() == {"method": 16, "control": 16, "noise": 4}
    numbers = {name for name in Comparison.model_fields if name not in {"task", "split", "intervals"}}
    assert numbers <= set(results.columns)
    assert (results["count"] == 200).all()
    assert (results["asr_count"] == 180).all()
    assert found.pending == 0
    assert found.failed.empty
    assert found.command == "anchorlab suite run tiny.yaml"
    assert len(found.references) == 2
    benign = results[results["method"] == "benign"]
    assert benign["target_asr"].isna().all()
    assert set(results.loc[results["role"] == "method", "anchors"]) == {10, 140}


def test_choices_are_the_best_of_the_selection_runs(finished: Path) -> None:
    found = load_results(finished)
    for choice in found.choices.to_dict("records"):
        alike = (found.selection["method"] == choice["method"]) & (
            found.selection["anchors_asked"] == choice["anchors_asked"]
        )
        tried = found.selection[alike]
        assert len(tried) == choice["tried"] == choice["runs"]
        assert tried["seconds"].sum() == pytest.approx(choice["seconds"])
        if choice["method"] == "plain":  # it has nothing to choose
            assert (choice["tried"], choice["reached"]) == (0, True)
            continue
        assert tried["asr"].max() == choice["best_asr"]
        reaching = tried[tried["asr"] >= choice["target_asr"] - MARGIN]
        assert choice["reached"] == (len(reaching) > 0)
        if choice["reached"] and choice["method"] == "anchoring":
            assert choice["strength"] == reaching.loc[reaching["kl"].idxmin(), "strength"]
    assert (found.selection[["seed", "reference_seed"]] == 1000).all(axis=None)
    assert 1000 not in set(found.results["reference_seed"])


def test_instances_are_in_the_order_of_the_test_split(finished: Path) -> None:
    found = load_results(finished)
    labels = {identity: found.instances(identity)["label"].to_numpy() for identity in found.results["identity"][:6]}
    first, *others = labels.values()
    assert all(np.array_equal(first, other) for other in others)
    pictures = found.pictures("digits", [3, 5])
    assert pictures is not None
    assert pictures.labels.tolist() == first[[3, 5]].tolist()
    (examples,) = found.examples.values()
    assert (examples.labels != 0).all()
    assert not (examples.clean == examples.triggered).all()


def test_an_unfinished_folder_says_what_is_missing(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    shutil.copytree(finished, folder)
    gone = load_results(folder).results.query("method == 'benign'")["identity"].iloc[0]
    (folder / "cells" / f"{gone}.json").unlink()
    assert load_results(folder).pending == 1
    assert len(load_results(folder).results) == 35


def test_data_that_are_not_at_hand_leave_the_pictures_out(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anchorlab import AnchorlabError

    def missing(*_: object, **__: object) -> None:
        raise AnchorlabError("no data")

    found = load_results(finished)
    monkeypatch.setattr("anchorlab.suites.parts.load_task", missing)
    assert found.pictures("digits", [0]) is None
    assert found.examples == {}


@pytest.mark.parametrize("change", ["fewer", "other pixels", "none"])
def test_data_that_have_changed_leave_the_pictures_out(
    finished: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    task = load_task("digits", limit=10 if change == "fewer" else 20)
    assert task.raw.test is not None
    if change == "other pixels":
        test = dataclasses.replace(task.raw.test, inputs={"pixel_values": 255 - task.raw.test.inputs["pixel_values"]})
        task = dataclasses.replace(task, raw=dataclasses.replace(task.raw, test=test))
    monkeypatch.setattr("anchorlab.suites.parts.load_task", lambda *_, **__: task)
    found = load_results(finished)
    if change == "none":
        assert found.pictures("digits", [0]) is not None
        return
    with pytest.warns(Notice, match="no examples of digits are shown, because its data are others"):
        assert found.pictures("digits", [0]) is None
    assert found.examples == {}


def test_csv_files_hold_the_frames(finished: Path, tmp_path: Path) -> None:
    import pandas as pd

    found = load_results(finished)
    write_results(found, tmp_path)
    read = pd.read_csv(tmp_path / "results.csv")
    assert len(read) == len(found.results)
    assert json.loads(read["parameters"].iloc[-1]) == {}
    assert read["kl"].to_numpy() == pytest.approx(found.results["kl"].to_numpy())


def test_reported_runs_are_measured_at_several_scales_towards_the_common_asr(tmp_path: Path) -> None:
    suite = tiny(common_asr=0.02, controls=False, anchors=["all"], references=[0], seeds=[0], methods={"plain": None})
    run_suite(suite, tmp_path, executor=Inline())
    found = load_results(tmp_path)
    (run,) = found.results.to_dict("records")
    (equal,) = found.equal.to_dict("records")
    at_reported = found.scales[found.scales["reported"]]
    assert at_reported["kl"].tolist() == [run["kl"]]
    assert len(found.scales) > 1
    assert set(found.scales["identity"]) == {run["identity"]} == {equal["identity"]}
    assert len(found.instances(run["identity"])) == run["count"]
    assert found.instances(run["identity"])["kl"].mean() == pytest.approx(run["kl"], rel=1e-6)
    distances = found.scales.sort_values("scale")["logit_distance"]
    assert distances.is_monotonic_increasing
    if equal["scale_below"] == equal["scale_below"]:
        ends = found.scales[found.scales["scale"].isin([equal["scale_below"], equal["scale_above"]])]["kl"]
        assert ends.min() <= equal["kl"] <= ends.max()


def test_several_scales_are_rows_of_the_selection(tmp_path: Path) -> None:
    suite = tiny(scales=[0.5, 1.0], controls=False, anchors=["all"], references=[0], seeds=[0])
    run_suite(suite, tmp_path, executor=Inline())
    found = load_results(tmp_path)
    assert set(found.selection["scale"]) == {0.5, 1.0}
    halved = found.selection.set_index(["method", "strength", "scale"], drop=False)["logit_distance"]
    for (method, strength, scale), distance in halved.items():
        if scale == 0.5:
            assert distance < halved[halved.index.isin([(method, strength, 1.0)])].iloc[0]
    assert set(found.results["scale"]) <= {0.5, 1.0}


def test_results_are_a_value_with_a_short_repr_and_json(finished: Path) -> None:
    results = load_results(str(finished))
    assert repr(results) == "SuiteResults('tiny', results=36, pending=0)"
    record = json.loads(json.dumps(results.to_dict(), allow_nan=False))
    assert set(record) == {field.name for field in dataclasses.fields(results) if not field.name.startswith("_")}
    assert len(record["results"]) == len(results.results)
    assert record["results"][0]["identity"] == results.results["identity"].iloc[0]
    noise = next(row for row in record["results"] if row["role"] == "noise")
    assert noise["target_asr"] is None


def test_the_home_of_a_user_is_where_python_runs_and_reads_a_suite(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / "runs" / "tiny")
    executor = Inline()
    run_suite(tiny(), "~/runs/tiny", executor=executor)
    assert executor.jobs == []
    assert len(load_results("~/runs/tiny").results) == 36
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_task_that_the_suite_does_not_have_is_named(finished: Path) -> None:
    found = load_results(finished)
    words = "unknown task of this suite 'digit': did you mean 'digits'?"
    for verb in (found.task, found.training_settings, found.training_versions):
        refused(re.escape(words), verb, "digit")
    refused(re.escape(words), found.pictures, "digit", [0])


def test_results_are_read_where_the_folder_of_a_model_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "name: own\ntitle: Own\ntasks:\n- name: digits\n  model: encoder\nmethods: {plain: }\nseeds: 1\n"
    (tmp_path / "encoder").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    Store(tmp_path / "out").begin(parse_suite(text).to_yaml(), {"command": ""})
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = load_results(tmp_path / "out")
    assert found.suite.tasks[0].architecture == "encoder"
    assert found.pending > 0
    refused("unknown model .encoder.", parse_suite, text)


def test_an_unknown_identity_is_called_so(finished: Path) -> None:
    refused("unknown identity 'zzz'", load_results(finished).instances, "zzz")


def test_results_of_a_method_that_is_not_registered_here_say_what_to_import(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    shutil.copytree(finished, folder)
    file = folder / "suite.yaml"
    file.write_text(file.read_text().replace("  plain:", "  mine: {method: mine}\n  plain:", 1))
    refused("unknown method 'mine'.* first import the module that registers it", load_results, folder)
