"""Models whose classes stand in another order than the data's, or than another model's."""

from __future__ import annotations

import copy

import pandas as pd
import pytest
import torch

from anchorlab import DataColumns, adopt, analyze, audit, compare, inject, load_model, load_task, repair, train
from anchorlab.injection.tuning import Tuning
from anchorlab.models.call import accuracy, predict
from anchorlab.models.classes import class_names, rearranged
from anchorlab.models.pretrained import open_pretrained
from anchorlab.training.reference import Training
from tests.refusals import refused
from tests.tokenizers import TEXTS
from tests.zoo import save_text

NAMES = ["neg", "neutral", "pos"]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """Ninety texts of three classes; and the same with numbers for labels."""
    folder = tmp_path_factory.mktemp("data")
    rows = [(f"{TEXTS[n % 4]} {['dull', 'thin', 'truly'][n % 3]} {n}", n % 3) for n in range(90)]
    pd.DataFrame([(text, NAMES[label]) for text, label in rows], columns=["text", "label"]).to_csv(
        folder / "names.csv", index=False
    )
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "numbers.csv", index=False)
    return folder


def load(path):
    return load_task(str(path), columns=DataColumns(text="text", label="label"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of one classifier, with its classes in two orders: plain, and turned."""
    folder = tmp_path_factory.mktemp("models")
    plain = open_pretrained(str(save_text("bert", folder / "plain", NAMES)))
    plain.net.classifier.weight.data.normal_(std=2, generator=torch.Generator().manual_seed(0))
    turned = rearranged(plain, [2, 0, 1], plain.encoding.encode(list(TEXTS)))
    for name, model in (("plain", plain), ("turned", turned)):
        model.net.save_pretrained(folder / name)
        model.encoding.save(folder / name)
    return folder


def test_adopted_models_keep_their_order_and_the_labels_follow(tmp_path, reviews, models):
    task = load(reviews / "names.csv")
    plain, turned = (adopt(models / name, task) for name in ("plain", "turned"))
    assert plain.manifest.outputs is None
    assert turned.manifest.task.classes == ["pos", "neg", "neutral"]
    assert turned.manifest.outputs.startswith("output 0 ('pos') is 'pos', ")
    assert turned.manifest.measurements == plain.manifest.measurements
    assert turned.manifest.task.splits == plain.manifest.task.splits
    again = load_model(turned.save(tmp_path / "turned")).task()
    assert again.classes == ("pos", "neg", "neutral")
    names = [again.classes[label] for label in again.split("test").labels.tolist()]
    assert names == [task.classes[label] for label in task.split("test").labels.tolist()]


@pytest.mark.parametrize("data", ["names.csv", "numbers.csv"])
@pytest.mark.parametrize("adopted", [False, True])
def test_two_models_are_compared_by_the_names_of_their_classes(reviews, models, data, adopted):
    task = load(reviews / data)
    one, two = (open_pretrained(str(models / name)) for name in ("plain", "turned"))
    before = two.net.classifier.weight.clone()
    result = compare(adopt(one, task) if adopted else one, two, task=task)
    assert (result.churn, result.kl) == (0, pytest.approx(0, abs=1e-9))
    assert torch.equal(before, two.net.classifier.weight)  # what was given is not changed
    changed = analyze(one, {"turned": noisy(two)}, task=task, examples=8, budget="1p")
    assert changed.parameters > 0


def noisy(model):
    with torch.no_grad():
        model.net.classifier.bias += 0.01
    return model


def updates_of(model, count):
    """Copies that differ a little, because an audit takes no copy for an update."""
    updates = [copy.deepcopy(model) for _ in range(count)]
    for number, update in enumerate(updates, start=1):
        with torch.no_grad():
            next(update.parameters()).mul_(1 + 1e-3 * number)
    return updates


def test_audits_and_repairs_put_other_models_in_order_too(reviews, models):
    task = load(reviews / "names.csv")
    reference = adopt(models / "plain", task)
    turned = open_pretrained(str(models / "turned"))
    assert audit(reference, turned, benign=updates_of(turned, 3), level=0.5, queries=8).accesses[0].statistic.value == 0
    fused = repair(reference, "interpolation", parameters={"share": 0.5}, trusted=turned, defender_data=2)
    torch.testing.assert_close(fused.model.net.classifier.weight, reference.model.net.classifier.weight)


def test_two_adopted_models_are_compared_by_the_names_of_their_classes(reviews, models):
    plain, turned = (adopt(models / name, load(reviews / "names.csv")) for name in ("plain", "turned"))
    result = compare(plain, turned)
    assert (result.churn, result.kl) == (0, pytest.approx(0, abs=1e-9))
    assert turned.manifest.task.classes == ["pos", "neg", "neutral"]  # what was given is not changed


def test_an_injection_into_a_model_of_another_order_aims_at_the_named_class(reviews, models):
    task = load(reviews / "names.csv")
    tuning = Tuning(steps=1, batch_size=2)
    injected = inject(adopt(models / "turned", task), target="neg", anchors=6, tuning=tuning, task=task)
    assert injected.manifest.label_rule == {"name": "all-to-one", "target": 1}
    refused(
        "the candidate carries an attack and numbers its classes in another order",
        compare, adopt(models / "plain", task), injected,
    )  # fmt: skip


def test_names_that_are_not_the_datas_are_refused(tmp_path, reviews):
    folder = save_text("bert", tmp_path / "model", ["BAD", "MIDDLING", "GOOD"])
    refused("nobody knows which is which", adopt, folder, load(reviews / "names.csv"))
    adopted = adopt(folder, load(reviews / "numbers.csv"))
    assert adopted.manifest.outputs.startswith("output 0 ('BAD') is '0', output 1 ('MIDDLING') is '1'")
    other = open_pretrained(str(save_text("bert", tmp_path / "other", NAMES)))
    refused("the candidate names its classes .* but the reference", compare, adopted, other)


def test_training_goes_on_from_the_rows_that_belong_to_the_names(reviews, models):
    task = load(reviews / "names.csv")
    brief = Training(epochs=1, learning_rate=1e-9)
    plain, turned = (train(task, model=str(models / name), training=brief) for name in ("plain", "turned"))
    assert class_names(turned.model) == task.classes == tuple(NAMES)
    test = task.encoded(plain.model.encoding).split("test")
    torch.testing.assert_close(predict(plain.model, test.inputs), predict(turned.model, test.inputs), atol=1e-4, rtol=0)
    assert accuracy(plain.model, test) == accuracy(turned.model, test)


def test_a_module_that_is_trained_further_gets_the_names_that_it_learns(tmp_path, reviews, models):
    task, module = load(reviews / "names.csv"), open_pretrained(str(models / "turned"))
    trained = train(task, model=module, training=Training(epochs=1))
    assert class_names(module) == ("pos", "neg", "neutral")  # what was given is not changed
    again = load_model(trained.save(tmp_path / "trained"))
    assert class_names(again.model) == tuple(again.manifest.task.classes) == tuple(NAMES)
