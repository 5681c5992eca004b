"""The suite for a GPU machine runs here in its smoke form, on a local copy in the hub's own format."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
import torch
from datasets import DatasetDict

from anchorlab.suites.reading import load_suite, parse_suite
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import failures, run_suite
from anchorlab.suites.smoke import smoke_form
from anchorlab.suites.store import Store
from tests.data.copies import cifar_part, text_parts, write_parquet
from tests.suites.inline import Inline
from tests.suites.toys import toys

__all__ = ["toys"]  # the fixture


HEAD = "name: mine\ntitle: Mine\ntasks: [digits]\nmethods: {plain: }\n"


@pytest.mark.slow
def test_every_method_of_paper_images_runs_on_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (300, 3, 32, 32), generator=draw, dtype=torch.uint8)
    labels = [number % 10 for number in range(300)]
    parts = DatasetDict(train=cifar_part(images, labels), test=cifar_part(images[:100], labels[:100]))
    write_parquet(parts, tmp_path / "cifar10")

    suite = smoke_form(load_suite("paper-images").with_data({"cifar10": str(tmp_path / "cifar10")}))
    # The model alone is another one: a ResNet-34 takes seconds a step without a GPU. One of each seed is enough.
    task = suite.tasks[0].model_copy(update={"model": "resnet-tiny"})
    methods = {label: method.model_copy(update={"grid": method.grid[:2]}) for label, method in suite.methods.items()}
    one = {"tasks": [task], "methods": methods, "references": [0], "seeds": [0], "anchors": ["all"]}
    small = suite.model_copy(update={**one, "target_asr": [0.001]})
    run_suite(small, tmp_path / "out", executor=Inline())
    assert failures(small, Store(tmp_path / "out")) == []
    results = load_results(tmp_path / "out")
    nothing_to_choose = {"plain", "scratch"}
    assert set(results.selection["method"]) == set(suite.methods) - nothing_to_choose
    reached = results.choices.set_index("method")["reached"]
    reported = set(results.results.loc[results.results["role"] == "method", "method"])
    assert reported == set(reached[reached].index) | nothing_to_choose
    assert results.results["steps"].max() <= 24
    assert (results.results["count"] == 100).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["defences", "population"])
def test_every_repair_and_detector_of_images_in_the_box_runs(name: str, tmp_path: Path) -> None:
    suite = smoke_form(load_suite(name))
    # Of digits, because these are always at hand. One reference is enough.
    task = suite.tasks[0].model_copy(update={"name": "digits", "model": "resnet-tiny"})
    one = {"tasks": [task], "references": [0], "triggers": suite.triggers[:1], "target_asr": [0.001]}
    small = suite.model_copy(update=one)
    run_suite(small, tmp_path, executor=Inline())
    assert failures(small, Store(tmp_path)) == []
    results = load_results(tmp_path)
    models = {*suite.methods, "benign", "reference"}
    repaired = set(zip(results.repairs["defence"], results.repairs["method"], strict=True))
    assert repaired == {(defence, method) for defence in suite.repairs for method in models}
    of_inputs = {label for label, spec in suite.detectors.items() if spec.judges == "input"}
    judged = set(zip(results.detections["detector"], results.detections["method"], strict=True))
    assert judged == {
        (label, method)
        for label in suite.detectors
        for method in (set(suite.methods) if label in of_inputs else models)
    }


@pytest.mark.slow
def test_every_repair_and_detector_of_texts_in_the_box_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    few = text_parts("sentence", ["negative", "positive"], "validation")
    # The defender gets a share of the training part's sentences, and needs some of each class.
    several = [few["train"].map(lambda row, n=n: {"sentence": f"{row['sentence']} of {n}"}) for n in range(7)]
    many = DatasetDict(train=datasets.concatenate_datasets(several), validation=few["validation"])
    many.save_to_disk(str(tmp_path / "sst2"))
    suite = smoke_form(load_suite("text-defences"))
    update = {"name": "sst2", "model": "bert-tiny", "data": str(tmp_path / "sst2")}
    task = suite.tasks[0].model_copy(update=update)
    # A model that learned nothing answers with one of the classes, whichever: as a target that is reached.
    triggers = [suite.triggers[0].model_copy(update={"target": target}) for target in ("negative", "positive")]
    small = suite.model_copy(update={"tasks": [task], "triggers": triggers, "seeds": [0], "target_asr": [0.001]})
    run_suite(small, tmp_path / "out", executor=Inline())
    assert failures(small, Store(tmp_path / "out")) == []
    results = load_results(tmp_path / "out")
    assert set(results.repairs["defence"]) == set(suite.repairs)
    assert set(results.detections["detector"]) == set(suite.detectors)
    assert set(results.detections["method"]) == set(suite.methods)


def test_smoke_keeps_every_cell_and_makes_it_tiny() -> None:
    suite = load_suite("paper-images")
    smoke = smoke_form(suite)
    assert smoke.methods.keys() == suite.methods.keys()
    assert (smoke.references, smoke.seeds, smoke.target_asr) == (suite.references, suite.seeds, suite.target_asr)
    assert all(task.limit == 20 and task.training["epochs"] == 1 for task in smoke.tasks)
    assert smoke.tuning["steps"] == 3
    assert [method.grid for method in smoke.methods.values()] == [method.grid for method in suite.methods.values()]


@pytest.mark.usefixtures("toys")
def test_smoke_makes_repairs_quick_and_takes_all_examples_there_are() -> None:
    smoke = smoke_form(parse_suite(HEAD + "repairs: [fine-tuning, shrink]\ndefender: [640]\n"))
    assert smoke.repairs["fine-tuning"].set == {"epochs": 1}
    assert smoke.repairs["shrink"].set == {}
    assert smoke.defender == ["all"]
    assert smoke.tasks[0].limit == 100
    assert smoke_form(parse_suite(HEAD)).tasks[0].limit == 20
