"""A population of adapters: a scanner gets the adapters alone, and their files differ in nothing but numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from anchorlab import load_results, population_suite, run_suite
from anchorlab.artifacts.artifact import load_model
from anchorlab.data import DataColumns
from anchorlab.models.call import logits
from anchorlab.reports.suite.accusations import accusations_table
from anchorlab.reports.suite.detections import population_table
from anchorlab.suites.kept_adapters import KEPT, with_kept_adapter
from anchorlab.suites.opened import DamagedModel
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.runner import failures
from anchorlab.suites.store import Store
from tests.adapters import CLASSES, moods
from tests.cli.conftest import run
from tests.refusals import assert_refused, refused
from tests.suites.inline import Inline
from tests.zoo import save_text

__all__ = ["run"]  # fixtures

LORA = "rank=2,target=query,value"


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished population of adapters, whose scanner kept what it saw in the folder ``seen``."""
    pytest.importorskip("peft")
    root = tmp_path_factory.mktemp("population")
    moods(root)
    save_text("bert", root / "bert", CLASSES)
    (root / "seen").mkdir()
    (root / "scan.sh").write_text(f'cp -r "$1" "{root}/seen/$(ls {root}/seen | wc -l)"\necho \'{{"score": 0}}\'\n')
    suite = population_suite(
        str(root / "moods.csv"),
        model=str(root / "bert"),
        columns=DataColumns(text="review", label="mood"),
        references=2,
        seeds=1,
        target="bad",
        lora=LORA,
        detectors=[f"command:run=sh {root}/scan.sh {{model}},score_path=score", "mm-bd:starts=2,steps=2"],
        defender=16,
    )
    assert parse_suite(suite.to_yaml()) == suite
    assert suite.tunes_adapters
    suite = suite.model_copy(update={"tuning": {**suite.tuning, "steps": 5, "learning_rate": 0.3}})
    run_suite(suite, root / "out", executor=Inline(), programs=True)
    assert failures(suite, Store(root / "out")) == []
    return root


@pytest.mark.slow
def test_a_scanner_sees_every_adapter_and_no_reference(population: Path) -> None:
    found = load_results(population / "out").detections
    scanned, ours = found[found["detector_name"] == "command"], found[found["detector_name"] == "mm-bd"]
    assert scanned.groupby("method").size().to_dict() == {"benign": 2, "plain": 2, "anchoring": 2}
    assert set(ours["method"]) == {"benign", "plain", "anchoring", "reference"}
    # A detector of ours gets the merged model, and both know one model by the same hash.
    assert set(scanned["weights_sha256"]) < set(ours["weights_sha256"])
    assert (scanned["score"] == 0).all()


@pytest.mark.slow
def test_the_files_of_adapters_differ_in_the_values_of_tensors_alone(population: Path) -> None:
    seen = sorted((population / "seen").iterdir())
    assert len(seen) == 6
    for folder in seen:
        assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert len({(folder / "adapter_config.json").read_bytes() for folder in seen}) == 1
    weights = [(folder / "adapter_model.safetensors").read_bytes() for folder in seen]
    lengths = [int.from_bytes(each[:8], "little") for each in weights]
    assert len({each[: 8 + length] for each, length in zip(weights, lengths, strict=True)}) == 1
    assert len({hashlib.sha256(each).hexdigest() for each in weights}) == 6


@pytest.mark.slow
def test_a_kept_adapter_on_its_reference_answers_as_the_merged_model(population: Path) -> None:
    store = Store(population / "out")
    for folder in store.models().values():
        merged = load_model(folder)
        reference = next(
            load_model(path)
            for path in (population / "out" / "references").iterdir()
            if load_model(path).manifest.weights_sha256 == merged.manifest.reference_sha256
        )
        adapted = with_kept_adapter(reference.model, folder)
        inputs = merged.task().split("test").inputs
        answers = logits(adapted, inputs)
        moved = (answers - logits(reference.model, inputs)).abs().max()
        assert moved > 1e-3
        assert (answers - logits(merged.model, inputs)).abs().max() < 1e-3 * moved
        # What lies in the folder says what it is.
        assert merged.manifest.notice in (folder / KEPT["adapter_config.json"]).read_text()
        assert load_file(folder / KEPT["adapter_model.safetensors"])


@pytest.mark.slow
def test_an_adapter_that_is_damaged_or_not_there_is_none(population: Path, tmp_path: Path) -> None:
    kept = next(iter(Store(population / "out").models().values()))
    reference = load_model(next((population / "out" / "references").iterdir())).model
    files = {path.name: path.read_bytes() for path in kept.iterdir()}  # as they come over the network
    assert with_kept_adapter(reference, files)
    weights = bytearray(files[KEPT["adapter_model.safetensors"]])
    weights[-1] ^= 1
    with pytest.raises(DamagedModel, match="another hash"):
        with_kept_adapter(reference, files | {KEPT["adapter_model.safetensors"]: bytes(weights)})
    for name in KEPT.values():  # an earlier version kept none
        with pytest.raises(DamagedModel, match="not there"):
            with_kept_adapter(reference, {other: content for other, content in files.items() if other != name})


@pytest.mark.slow
def test_the_report_says_that_the_scanner_judged_no_reference(population: Path) -> None:
    results = load_results(population / "out")
    found = {
        table.name: table for table in (accusations_table(results), population_table(results)) if table is not None
    }
    assert set(found) == {"accusations", "detections-models"}
    for table in found.values():
        (note,) = [note for note in table.notes if note.startswith("No reference was judged by command:run=sh")]
        assert "mm-bd" not in note


@pytest.mark.parametrize(
    ("tuning", "methods"),
    [
        ({}, {"plain": None}),
        ({"lora": "rank=2"}, {"plain": {"tuning": {"lora": None}}}),
        ({"lora": "rank=2"}, {"plain": None, "anchoring": {"set": {"strength": 1.0}, "tuning": {"lora": "rank=4"}}}),
    ],
)
def test_scanners_get_merged_models_where_adapters_would_differ(
    tuning: dict[str, str], methods: dict[str, object]
) -> None:
    suite = population_suite("movie-snippets", target="positive")
    values = suite.model_dump(mode="json", exclude_defaults=True) | {"tuning": tuning, "methods": methods}
    assert not type(suite).model_validate(values).tunes_adapters


def test_two_spellings_of_one_adapter_are_one() -> None:
    suite = population_suite("movie-snippets", target="positive", lora="target=query,value,rank=2")
    other = {"plain": {"tuning": {"lora": LORA}}}
    values = suite.model_dump(mode="json", exclude_defaults=True) | {"methods": other}
    assert type(suite).model_validate(values).tunes_adapters
    # The controls have the settings of plain tuning.
    assert type(suite).model_validate(values | {"tuning": {}}).tunes_adapters
    other = {"anchoring": {"set": {"strength": 1.0}, "tuning": {"lora": LORA}}}
    assert not type(suite).model_validate(values | {"tuning": {}, "methods": other}).tunes_adapters


def test_what_cannot_be_tuned_as_an_adapter_is_refused_before_anything_is_trained(
    run: Callable[..., object], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert_refused(
        run("population", "digits", "--out", out, "--lora", "rank=2"), "no adapter can be put into", "give target"
    )  # type: ignore[arg-type]
    assert not (out / "references").exists()
    refused("rank", population_suite, "movie-snippets", lora="rank=0")
    ewc = population_suite("movie-snippets", lora="rank=2", methods=["ewc"])
    refused("does not go with an adapter", run_suite, ewc, out, executor=Inline())
    pytest.importorskip("peft")
    moods(tmp_path)
    save_text("bert", tmp_path / "bert", CLASSES)
    words = ["population", tmp_path / "moods.csv", "--text-column", "review", "--label-column", "mood", "--out", out]
    words += ["--model", tmp_path / "bert", "--target", "bad", "--lora", "rank=2,target=quarry"]
    assert_refused(run(*words), "no adapter can be put into the layers quarry", "query")  # type: ignore[arg-type]
    assert not (out / "references").exists()
