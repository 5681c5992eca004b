"""A suite's own data are the ones that its references were trained on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anchorlab import AnchorlabError, load_model, load_task
from anchorlab.artifacts.manifest import MANIFEST, task_record
from anchorlab.notices import Notice
from anchorlab.suites import own_data
from anchorlab.suites.cells import ReferenceJob
from anchorlab.suites.own_data import check_data
from anchorlab.suites.parts import TaskSpec
from anchorlab.suites.plan import reference_job
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.runner import run_suite
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from tests.suites.inline import Inline
from tests.zoo import save_image

OWN = """
name: own
title: Reviews of our own
tasks: [{{name: {data}, model: bert-tiny, columns: {{text: review, label: mood}}}}]
triggers: [{{trigger: "word:cf", target: pos}}]
references: 2
methods: {{plain: }}
"""


def write_reviews(path: Path, word: str) -> None:
    rows = [f"a {word} film number {n},{'pos' if n % 2 else 'neg'}" for n in range(200)]
    path.write_text("\n".join(["review,mood", *rows]) + "\n", encoding="utf-8")


def trained(suite: Suite, seed: int) -> Any:
    """A store in which the reference of one seed is trained, on the data as they are now."""
    record = task_record(suite.tasks[0].load(seed=seed)).model_dump(mode="json")
    return SimpleNamespace(folder=Path("runs/own"), manifest=lambda job: {"task": record} if job.seed == seed else None)


@pytest.mark.parametrize("seed", [0, 1])
def test_data_that_changed_since_a_reference_was_trained_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    file = tmp_path / "reviews.csv"
    write_reviews(file, "fine")
    suite = parse_suite(OWN.format(data=file))
    store = trained(suite, seed)
    monkeypatch.setattr(own_data, "_has_work", lambda *_: True)
    check_data(suite, store)
    write_reviews(file, "poor")
    with pytest.raises(AnchorlabError, match=r"reviews.csv are others than .* runs.own .* restore the data, or run"):
        check_data(suite, store)


def test_data_that_changed_after_everything_was_done_are_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "reviews.csv"
    write_reviews(file, "fine")
    suite = parse_suite(OWN.format(data=file))
    store = trained(suite, 0)
    monkeypatch.setattr(own_data, "_has_work", lambda *_: False)
    write_reviews(file, "poor")
    check_data(suite, store)


@pytest.mark.parametrize(
    ("entry", "message"),
    [("{target: '11'}", "11"), ("{target: bird}", "bird"), ("{label_rule: 'source-to-target:12', target: 3}", "12")],
)
def test_labels_that_no_task_has_are_refused_before_anything_is_trained(
    tmp_path: Path, entry: str, message: str
) -> None:
    text = f"name: digits\ntitle: Digits\ntasks: [digits]\ntriggers: [{entry}]\nmethods: {{plain: }}\n"
    with pytest.raises(AnchorlabError, match=message):
        run_suite(parse_suite(text), tmp_path / "suite", executor=Inline())
    assert not (tmp_path / "suite").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("anchors: [10, 100000]", r"100,000 anchors are not possible: the split 'owner' of digits has 8"),
        ("anchors: 640\nanchors_from: held-out", r"640 anchors are not possible: the split 'held-out' of digits has 1"),
    ],
)
def test_more_anchors_than_examples_are_refused_before_anything_is_trained(
    tmp_path: Path, keys: str, message: str
) -> None:
    text = f"name: digits\ntitle: Digits\ntasks: [digits]\nmethods: {{plain: }}\n{keys}\n"
    with pytest.raises(AnchorlabError, match=message):
        run_suite(parse_suite(text), tmp_path / "suite", executor=Inline())
    assert not (tmp_path / "suite").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("repairs: [fine-tuning, anp]", "ANP .* BatchNorm.*, but the model has none"),
        ("detectors: [strip, ibd-psc]", "ibd-psc .* BatchNorm.*, but the model has none"),
        ("repairs: [npd]", "NPD filters what enters a convolution behind the first"),
        ("repairs: [nad]", "NAD compares maps of convolutions, but the model goes on with tokens"),
    ],
)
def test_a_network_that_a_defence_cannot_read_is_refused_before_anything_is_trained(
    tmp_path: Path, keys: str, message: str
) -> None:
    network = save_image("vit", tmp_path / "vit", [str(number) for number in range(10)])
    text = f"name: digits\ntitle: Digits\ntasks: [{{name: digits, model: {network}}}]\nmethods: {{plain: }}\n"
    text += f"defender: 100\n{keys}\n"
    with pytest.raises(AnchorlabError, match=message):
        run_suite(parse_suite(text), tmp_path / "suite", executor=Inline())
    assert not (tmp_path / "suite").exists()


def test_of_two_networks_one_may_lack_what_a_repair_reads(tmp_path: Path) -> None:
    """Its runs fail, and those of the other go on."""
    network = save_image("vit", tmp_path / "vit", [str(number) for number in range(10)])
    text = "name: two\ntitle: Two\nmethods: {plain: }\nrepairs: [anp]\ndefender: 100\n"
    store: Any = SimpleNamespace(manifest=lambda _: None)
    lacking = f"{{name: digits, model: {network}}}"
    check_data(parse_suite(f"{text}tasks: [digits, {lacking}]\n"), store)
    with pytest.raises(AnchorlabError, match="ANP"):
        check_data(parse_suite(f"{text}tasks: [{lacking}]\n"), store)


def test_a_network_that_fails_is_left_to_its_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr("anchorlab.suites.own_data.check_layers", fails)
    store: Any = SimpleNamespace(manifest=lambda _: None)
    text = "name: one\ntitle: One\ntasks: [digits]\nmethods: {plain: }\nrepairs: [anp]\ndefender: 100\n"
    with pytest.warns(Notice, match="was not found out, because it fails .*shapes cannot be multiplied"):
        check_data(parse_suite(text), store)


def test_a_detector_for_more_classes_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    write_reviews(tmp_path / "reviews.csv", "dull")
    text = OWN.format(data=tmp_path / "reviews.csv") + "defender: 8\ndetectors: [mm-bd, last-layer]\n"
    with pytest.raises(AnchorlabError, match=r"last-layer .* needs 3 at least, but the task .* has 2"):
        run_suite(parse_suite(text), tmp_path / "suite", executor=Inline())
    assert not (tmp_path / "suite").exists()


def test_fewer_clean_examples_than_a_detector_needs_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    text = "name: digits\ntitle: Digits\ntasks: [digits]\nmethods: {plain: }\ndefender: [8, all]\n"
    text += "detectors: [last-layer, neural-cleanse]\n"
    with pytest.raises(AnchorlabError, match=r"neural-cleanse needs 16 clean examples, .* gives the defender 8"):
        run_suite(parse_suite(text), tmp_path / "suite", executor=Inline())
    assert not (tmp_path / "suite").exists()


def test_a_network_that_cannot_be_built_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be on the hub, out of reach; the runs of other tasks go on."""
    text = "name: digits\ntitle: Digits\ntasks: [{name: digits, model: no/such}]\nmethods: {plain: }\nrepairs: [anp]\n"
    text += "defender: 100\n"
    store: Any = SimpleNamespace(manifest=lambda _: None)

    def unreachable(*_: Any, **__: Any) -> Any:
        raise AnchorlabError("no/such cannot be fetched")

    monkeypatch.setattr(own_data, "build_model", unreachable)
    check_data(parse_suite(text), store)


def test_anchors_of_other_data_are_no_examples_of_the_task() -> None:
    text = "name: other\ntitle: Other\ntasks: [digits]\nmethods: {plain: {anchors_data: cifar10}}\nanchors: 5000\n"
    store: Any = SimpleNamespace(manifest=lambda _: None)
    check_data(parse_suite(text + "controls: false\n"), store)
    with pytest.raises(AnchorlabError, match="5,000 anchors are not possible"):
        check_data(parse_suite(text), store)


def test_a_suite_that_is_trained_needs_no_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its own file has other classes now."""
    file = tmp_path / "reviews.csv"
    write_reviews(file, "fine")
    suite = parse_suite(OWN.format(data=file))
    record = task_record(suite.tasks[0].load(seed=0)).model_dump(mode="json")
    store: Any = SimpleNamespace(folder=Path("runs/own"), manifest=lambda _: {"task": record})
    monkeypatch.setattr(own_data, "_has_work", lambda *_: False)
    file.write_text(file.read_text().replace(",pos", ",good").replace(",neg", ",bad"))
    check_data(suite, store)


def test_of_several_tasks_one_may_lack_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runs fail, and those of the other go on."""
    own = SimpleNamespace(classes=("cat", "dog"))
    monkeypatch.setattr(TaskSpec, "load", lambda spec, **_: own if spec.name == "cifar10" else load_task("digits"))
    text = "name: two\ntitle: Two\ntasks: [digits, cifar10]\ntriggers: [{{target: {}}}]\nmethods: {{plain: }}\n"
    store: Any = SimpleNamespace(manifest=lambda _: None)
    check_data(parse_suite(text.format("dog")), store)
    with pytest.raises(AnchorlabError, match="bird"):
        check_data(parse_suite(text.format("bird")), store)


SHORT = """
name: own
title: Reviews of our own
tasks: [{{name: {data}, model: bert-tiny, columns: {{text: review, label: mood}}, training: {{epochs: {epochs}}}}}]
triggers: [{{trigger: "word:cf", target: pos}}]
references: 1
methods: {{plain: }}
anchors: 10
tuning: {{steps: 4, batch_size: 8}}
controls: false
"""


@pytest.mark.parametrize("other", [None, "data", "training"])
def test_a_reference_is_not_trained_again_because_its_data_were_moved(tmp_path: Path, other: str | None) -> None:
    """Unless they are not the same, or the training is another; it then opens its data where they are now."""
    first, second = tmp_path / "a" / "reviews.csv", tmp_path / "b" / "reviews.csv"
    first.parent.mkdir()
    write_reviews(first, "fine")
    suite, executor = parse_suite(SHORT.format(data=first, epochs=1)), Inline()
    run_suite(suite, tmp_path / "out", executor=Inline())
    first.parent.rename(second.parent)
    if other == "data":
        write_reviews(second, "poor")
    moved = parse_suite(SHORT.format(data=second, epochs=2 if other == "training" else 1))
    run_suite(moved, tmp_path / "out", executor=executor)
    store = Store(tmp_path / "out")
    before, after = (store.manifest(reference_job(each.tasks[0], 0)) for each in (suite, moved))
    assert before is not None
    assert after is not None
    assert (after["weights_sha256"], after["seconds"]) != (before["weights_sha256"], before["seconds"]) or not other
    assert after["task"]["data"] == str(second)
    assert {job.kind for job in executor.jobs} == {"reference"} | ({"injection"} if other else set())
    assert not list((tmp_path / "out" / "failed").glob("*"))
    if other is None:
        assert after == before | {"task": after["task"]}
        assert load_model(store.reference(reference_job(moved.tasks[0], 0))).task().data == str(second)


@pytest.mark.parametrize("spelling", ["data", "name", "relative"])
def test_own_data_are_found_again_beside_a_named_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    """A named task has no place of its data in its manifest."""
    monkeypatch.chdir(tmp_path)
    columns = {"text": "review", "label": "mood"}
    base = "" if spelling == "relative" else f"{tmp_path}/"
    records: dict[Path, dict[str, Any]] = {}

    def trained(entry: dict[str, Any]) -> ReferenceJob:
        spec = TaskSpec.model_validate(entry)
        job = reference_job(spec, 0)
        store.reference(job).mkdir(parents=True)
        records[store.reference(job) / MANIFEST] = {"task": task_record(spec.load(seed=0)).model_dump(mode="json")}
        return job

    def own(folder: str) -> dict[str, Any]:
        path = f"{base}{folder}/reviews.csv"
        place = {"name": "reviews", "data": path} if spelling == "data" else {"name": path}
        return {**place, "model": "bert-tiny", "columns": columns}

    store = Store(tmp_path / "out")
    monkeypatch.setattr("anchorlab.suites.store.read_reference", records.get)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_reviews(tmp_path / folder / "reviews.csv", "fine")
    named, old = trained({"name": "digits", "limit": 20}), trained(own("a"))
    new = reference_job(TaskSpec.model_validate(own("b")), 0)
    assert store.with_data_elsewhere(new) == [store.reference(old)]
    assert store.with_data_elsewhere(named) == []
