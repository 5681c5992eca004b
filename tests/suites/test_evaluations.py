"""A suite with repairs and detectors on real cells: interrupted, broken, without its models, as bytes."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from anchorlab import AnchorlabError, Task, compare, load_model
from anchorlab.consistency.summary import Consistency
from anchorlab.repairs.repair import repair
from anchorlab.reports.suite.page import write_page
from anchorlab.reports.suite.settings import slug
from anchorlab.scoring.detect import detect
from anchorlab.suites.estimate import estimate
from anchorlab.suites.plan import make_plan
from anchorlab.suites.results import SuiteResults, load_results, write_results
from anchorlab.suites.runner import Progress, failures, run_suite
from anchorlab.suites.store import Store
from tests.devices import accelerated_by
from tests.suites.inline import Inline, tiny
from tests.suites.toys import Shrink, Sure, evaluated_suite, registered_toys, toys

__all__ = ["toys"]  # the fixture

# On the CPU, because what a suite measures is measured here again, with the same bits.
pytestmark = pytest.mark.usefixtures("toys", "on_cpu")

MEASURED_TIME = ["seconds", "peak_bytes"]


def frames(folder: Path) -> list[pd.DataFrame]:
    found = load_results(folder)
    frames = found.results, found.repairs, found.detections
    return [frame.drop(columns=[*MEASURED_TIME, "grown_bytes"], errors="ignore") for frame in frames]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the suite, finished; must not be changed."""
    folder = tmp_path_factory.mktemp("done") / "suite"
    with registered_toys(), accelerated_by(torch.device("cpu")):
        run_suite(evaluated_suite(), folder, executor=Inline())
    return folder


@pytest.fixture
def results(done: Path) -> SuiteResults:
    return load_results(done)


def test_every_model_has_its_rows(results: SuiteResults) -> None:
    assert results.failed.empty
    assert results.pending == 0
    assert Counter(results.repairs["role"]) == {"method": 1, "control": 1, "reference": 1}
    by_kind = Counter(zip(results.detections["kind"], results.detections["role"], strict=True))
    assert by_kind == {
        ("model", "method"): 1,
        ("model", "control"): 1,
        ("model", "reference"): 1,
        ("input", "method"): 1,
    }
    assert set(results.repairs["defence"]) == {"shrunk"}
    assert set(results.repairs["defence_name"]) == {"shrink"}
    assert set(results.repairs["defender"]) == {"20"}
    assert set(Consistency.model_fields) <= set(results.repairs)
    run = results.results[results.results["role"] == "method"].iloc[0]
    row = results.repairs[results.repairs["role"] == "method"].iloc[0]
    assert row["of"] == run["identity"]
    for name in ("task", "model", "trigger", "rule", "target", "method", "target_asr", "anchors_asked", "seed"):
        assert row[name] == run[name], name
    for name in ("accuracy", "asr", "kl", "churn"):
        assert row[f"{name}_before"] == run[name], name


def test_a_repair_is_measured_against_the_clean_reference(done: Path, results: SuiteResults) -> None:
    """The same by hand: the model that was kept, repaired by the function for one model, compared."""
    reference = load_model(next((done / "references").iterdir()))
    row = results.repairs[results.repairs["role"] == "method"].iloc[0]
    (folder,) = (done / "models").glob(f"plain-{row['of']}")
    injected = load_model(folder)
    assert row["weights_sha256"] == injected.manifest.weights_sha256
    repaired = repair(injected, Shrink(), defender_data=20, seed=0, trusted=reference)
    *_, bias = repaired.model.parameters()
    *_, before = reference.model.parameters()
    assert np.allclose(bias.detach(), before.detach() / 2)
    by_hand = compare(reference, repaired)
    for name in ("accuracy", "asr", "asr_count", "kl", "logit_distance", "churn", "negative_flips"):
        assert row[name] == pytest.approx(getattr(by_hand, name), rel=1e-5, abs=1e-9), name


@pytest.mark.slow
def test_an_oracle_s_form_is_a_repair_of_its_own(tmp_path: Path) -> None:
    deep = {"repair": "oracle-anp", "set": {"steps": 3}}
    run_suite(evaluated_suite(repairs={"deep": deep}, detectors={}), tmp_path / "suite", executor=Inline())
    found = load_results(tmp_path / "suite")
    assert set(found.repairs["defence_name"]) == {"oracle-anp"}
    assert Counter(found.repairs["role"]) == {"method": 1, "control": 1, "reference": 1}


def test_what_a_repair_harms_is_the_reference_repaired(done: Path, results: SuiteResults) -> None:
    row = results.repairs[results.repairs["role"] == "reference"].iloc[0]
    assert row["method"] == "reference"
    assert (row["accuracy_before"], row["asr_before"]) == (row["accuracy_reference"], row["asr_reference"])
    assert (row["kl_before"], row["churn_before"]) == (0, 0)
    assert row["kl"] > 0
    assert row["weights_sha256"] == results.references[0]["weights_sha256"]


def test_detectors_of_models_score_and_those_of_inputs_are_rated(done: Path, results: SuiteResults) -> None:
    of_models = results.detections[results.detections["kind"] == "model"].set_index("role")
    reference = load_model(next((done / "references").iterdir()))
    *_, bias = reference.model.parameters()
    assert of_models.loc["reference", "score"] == pytest.approx(float(bias.detach().abs().sum()), rel=1e-6)
    assert of_models["score"].nunique() == 3
    assert set(of_models["note"]) == {"of 20 examples"}
    of_inputs = results.detections[results.detections["kind"] == "input"].iloc[0]
    for rate in ("auroc", "tpr_at_1", "tpr_at_5"):
        assert 0 <= of_inputs[f"{rate}_low"] <= of_inputs[rate] <= of_inputs[f"{rate}_high"] <= 1
    assert (of_inputs["clean_count"], of_inputs["defender_count"]) == (200, 20)  # half of the test split


def test_a_detector_of_inputs_is_rated_as_by_the_function_for_one_model(done: Path, results: SuiteResults) -> None:
    row = results.detections[results.detections["kind"] == "input"].iloc[0]
    injected = load_model(next((done / "models").glob("plain-*")))
    by_hand = detect(injected, Sure(), defender_data=20, seed=0)
    assert row["auroc"] == by_hand.auroc.value
    assert row["tpr_at_5"] == by_hand.tpr[0.05].value
    assert row["false_alarms_at_1"] == by_hand.fpr[0.01].value
    assert row["triggered_count"] == len(by_hand.triggered)


def test_what_a_detector_saw_is_kept(done: Path, results: SuiteResults) -> None:
    row = results.detections[results.detections["kind"] == "input"].iloc[0]
    seen = results.scores(row["identity"])
    by_hand = detect(load_model(next((done / "models").glob("plain-*"))), Sure(), defender_data=20, seed=0)
    np.testing.assert_array_equal(seen["score"][~seen["triggered"]], by_hand.clean)
    np.testing.assert_array_equal(seen["score"][seen["triggered"]], by_hand.triggered)
    of_model = results.detections[results.detections["role"] == "reference"].iloc[0]
    *_, bias = load_model(next((done / "references").iterdir())).model.parameters()
    ((label, picture),) = results.inverted(of_model["identity"])
    assert label == int(bias.argmax())
    assert picture.unique().tolist() == [7]
    assert results.inverted("of no cell") == []
    assert results.scores("of no cell").empty


@pytest.mark.slow
def test_the_report_shows_curves_and_triggers(results: SuiteResults, tmp_path: Path) -> None:
    relearned = results.repairs.assign(asr_relearned_5=0.4, asr_relearned_5_reference=0.3)
    page = write_page(replace(results, repairs=relearned), tmp_path / "report").read_text()
    (trigger,) = results.examples
    for words in (
        "ROC curves over the population",
        f"{trigger}: triggers found in the first model of each kind",
        "attack success after each repair and after relearning",
    ):
        assert words in page
    tables = {path.stem for path in (tmp_path / "report" / "tables").glob("*.csv")}
    assert {"relearning", "repairs-matrix", "accusations"} <= tables
    names = {path.stem for path in (tmp_path / "report" / "figures").glob("*.png")}
    assert {"roc-models", f"found-{slug(trigger)}", f"roc-inputs-{slug(trigger)}-20"} <= names
    assert f"relearning-{slug(trigger)}-20" in names
    seen = np.asarray(Image.open(tmp_path / "report" / "figures" / f"found-{slug(trigger)}.png").convert("L"))
    assert (seen == 7).mean() > 0.01


def test_nothing_is_run_twice_and_only_needed_models_are_kept(done: Path) -> None:
    again = Inline()
    run_suite(evaluated_suite(), done, executor=again)
    assert again.jobs == []
    assert Counter(path.name.rpartition("-")[0] for path in (done / "models").iterdir()) == {"plain": 1, "benign": 1}
    assert estimate(evaluated_suite(), make_plan(evaluated_suite(), Store(done)), Store(done)).seconds == 0


def test_csv_files_hold_the_frames_and_a_suite_without_them_has_empty_ones(
    results: SuiteResults, finished: Path, tmp_path: Path
) -> None:
    write_results(results, tmp_path / "with")
    assert len(pd.read_csv(tmp_path / "with" / "repairs.csv")) == len(results.repairs)
    assert len(pd.read_csv(tmp_path / "with" / "detections.csv")) == len(results.detections)
    older = load_results(finished)
    assert older.repairs.empty
    assert older.detections.empty
    assert {"defence", "accuracy", "accuracy_before"} <= set(older.repairs)
    write_results(older, tmp_path / "without")
    written = {path.stem for path in (tmp_path / "without").iterdir()}
    assert written == {"choices", "results", "selection", "scales", "equal"}


class Interrupted(Inline):
    """Ctrl-C at the first job of a kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def submit(self, function: Any, /, *args: Any) -> Any:
        if args[0].kind == self.kind:
            raise KeyboardInterrupt
        return super().submit(function, *args)


@pytest.mark.slow
def test_interrupted_it_goes_on_and_ends_as_one_left_alone(done: Path, tmp_path: Path) -> None:
    first, second = Interrupted("defence"), Interrupted("detection")
    for executor in (first, second):
        with pytest.raises(KeyboardInterrupt):
            run_suite(evaluated_suite(), tmp_path, executor=executor)
    left = load_results(tmp_path).pending
    last = Inline()
    run_suite(evaluated_suite(), tmp_path, executor=last)
    assert "defence" in {job.kind for job in second.jobs}
    assert len(last.jobs) == left
    jobs = [job.identity for executor in (first, second, last) for job in executor.jobs]
    assert len(set(jobs)) == len(jobs)  # none that had ended before the interruption ran again
    for ours, theirs in zip(frames(tmp_path), frames(done), strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.slow
def test_an_older_suite_that_gets_repairs_makes_its_models_again_and_nothing_else(done: Path, tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    plain = evaluated_suite(repairs={}, detectors={})
    run_suite(plain, folder, executor=Inline())
    assert not (folder / "models").exists()
    before = {path.name for path in (folder / "cells").glob("*.json")}
    more = Inline()
    seen: list[Progress] = []
    run_suite(evaluated_suite(), folder, executor=more, report=seen.append)
    assert Counter(job.kind for job in more.jobs) == {"injection": 2, "defence": 3, "detection": 4}
    assert {job.label for job in more.jobs if job.kind == "injection"} == {"plain", "benign"}
    assert before < {path.name for path in (folder / "cells").glob("*.json")}
    for ours, theirs in zip(frames(folder), frames(done), strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


def test_a_model_deleted_by_hand_is_made_again_when_it_is_needed(done: Path, tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    shutil.copytree(done, folder)
    shutil.rmtree(next((folder / "models").glob("benign-*")))
    nothing = Inline()
    run_suite(evaluated_suite(), folder, executor=nothing)
    assert nothing.jobs == []
    grown = Inline()
    run_suite(evaluated_suite(defender=[20, "all"], detectors={}), folder, executor=grown)
    assert [job.label for job in grown.jobs if job.kind == "injection"] == ["benign"]
    assert Counter(job.kind for job in grown.jobs) == {"injection": 1, "defence": 3}
    assert failures(evaluated_suite(), Store(folder)) == []


def test_a_repair_that_refuses_is_a_failed_cell_and_the_others_go_on(tmp_path: Path) -> None:
    suite = evaluated_suite(repairs={"refusing": {"repair": "refusing"}, "shrunk": {"repair": "shrink"}}, detectors={})
    last: list[tuple[int, int, int]] = []
    run_suite(suite, tmp_path, executor=Inline(), report=lambda p: last.append((p.done, p.failed, p.total)))
    found = load_results(tmp_path)
    assert list(found.repairs["defence"]) == ["shrunk"] * 3
    assert list(found.failed["stage"]) == ["defended"] * 3
    assert set(found.failed["error"]) == {"the model has no wings, which are needed here: take another repair"}
    assert found.failed["what"].str.contains("refusing with 20 of the defender's examples, seed 0, on plain").any()
    done, failed, total = last[-1]
    assert (failed, done + failed) == (3, total)
    assert len(failures(suite, Store(tmp_path))) == 3
    quiet, retried = Inline(), Inline()
    run_suite(suite, tmp_path, executor=quiet)
    assert quiet.jobs == []
    run_suite(suite, tmp_path, executor=retried, retry_failed=True)
    assert [job.label for job in retried.jobs] == ["refusing"] * 3


def test_a_model_that_vanishes_in_mid_run_is_one_sentence(tmp_path: Path) -> None:
    class Vanishing(Inline):
        def submit(self, function: Any, /, *args: Any) -> Any:
            if args[0].kind == "injection" and args[0].split == "test":
                return super().submit(function, *args)
            if args[0].kind == "defence" and args[0].model is not None:
                args = (*args[:2], None)
            return super().submit(function, *args)

    suite = evaluated_suite(detectors={})
    run_suite(suite, tmp_path, executor=Vanishing())
    errors = [failure["error"] for failure in failures(suite, Store(tmp_path))]
    assert len(errors) == 2
    assert all("is gone from the suite's folder: run the suite again with --retry-failed" in one for one in errors)
    run_suite(suite, tmp_path, executor=Inline(), retry_failed=True)
    assert failures(suite, Store(tmp_path)) == []


@pytest.mark.slow
def test_a_scaled_run_is_repaired_as_it_was_reported(tmp_path: Path) -> None:
    suite = evaluated_suite(scales=[0.5], detectors={"bias": {"detector": "bias"}}, repairs={}, target_asr=[0.0001])
    run_suite(suite, tmp_path, executor=Inline())
    found = load_results(tmp_path)
    row = found.detections[found.detections["role"] == "method"].iloc[0]
    assert row["scale"] == 0.5
    biases = []
    for folder in (next((tmp_path / "references").iterdir()), next((tmp_path / "models").glob("plain-*"))):
        *_, bias = load_model(folder).model.parameters()
        biases.append(bias.detach())
    assert row["score"] == pytest.approx(float(((biases[0] + biases[1]) / 2).abs().sum()), rel=1e-5)


class Networked(Inline):
    """Hands folders out as a cluster does: as the content of their files."""

    def share(self, path: Path) -> Any:
        return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()}


def test_models_travel_as_bytes(done: Path, tmp_path: Path) -> None:
    executor = Networked()
    run_suite(evaluated_suite(), tmp_path, executor=executor)
    for ours, theirs in zip(frames(tmp_path), frames(done), strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


def test_a_defender_with_more_examples_than_there_are_is_refused_at_once(tmp_path: Path) -> None:
    executor = Inline()
    with pytest.raises(
        AnchorlabError,
        match=r"64 clean examples for the defender are not possible: .* of digits has 40 examples; give a number",
    ):
        run_suite(evaluated_suite(defender=[64, 20]), tmp_path, executor=executor)
    assert executor.jobs == []
    assert not any(tmp_path.iterdir())
    run_suite(tiny(defender=[64], references=[0], methods={"plain": {"method": "plain"}}), tmp_path, executor=executor)


def test_the_estimate_counts_repairs_and_detections(done: Path, tmp_path: Path, digits: Task) -> None:
    def left(**changes: Any) -> float:
        suite = evaluated_suite(**changes)
        return estimate(suite, make_plan(suite, Store(done)), Store(done)).seconds

    assert left(defender=[20, "all"]) > left() == 0


def test_a_repair_that_changes_nothing_fails_no_cell_and_is_noted(tmp_path: Path) -> None:
    idle = {"repair": "clp", "set": {"deviations": 1000}}
    run_suite(evaluated_suite(repairs={"idle": idle}, detectors={}), tmp_path / "suite", executor=Inline())
    found = load_results(tmp_path / "suite")
    assert found.failed.empty
    assert found.repairs["note"].str.startswith("the repair clp changed nothing; nothing was pruned, because").all()
    write_results(found, tmp_path)
    assert "nothing was pruned" in (tmp_path / "repairs.csv").read_text()
