"""Models of an architecture that the user registered, which is built again where one is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from anchorlab import (
    ARCHITECTURES,
    AnchorlabError,
    Architecture,
    Task,
    Training,
    Tuning,
    inject,
    load_model,
    repair,
    run_suite,
    train,
    wrap,
)
from anchorlab.models.architectures import build_model
from anchorlab.repairs import FineTuning
from tests.registering import registered
from tests.suites.inline import Inline, tiny


def perceptron(task: Task) -> nn.Module:
    channels, height, width = task.split("owner").inputs["pixel_values"].shape[1:]
    network = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, len(task.classes)))
    return wrap(network, mean=[0.5] * channels, std=[0.5] * channels)


PERCEPTRON = Architecture(perceptron, "one linear layer")


def test_a_trained_model_opens_while_its_architecture_is_registered(digits: Task, tmp_path: Path) -> None:
    with registered(ARCHITECTURES, perceptron=PERCEPTRON):
        trained = train(digits, model="perceptron", training=Training(epochs=1))
        trained.save(tmp_path / "model")
        before = torch.get_rng_state()
        opened = load_model(tmp_path / "model")
        assert torch.equal(torch.get_rng_state(), before)
    images = digits.split("test").inputs["pixel_values"][:5]
    assert torch.equal(opened.model(images), trained.model(images))
    with pytest.raises(AnchorlabError, match="a module of somebody's own Python"):
        load_model(tmp_path / "model")


def test_a_repaired_model_opens_too(digits: Task, tmp_path: Path) -> None:
    with registered(ARCHITECTURES, perceptron=PERCEPTRON):
        trained = train(digits, model="perceptron", training=Training(epochs=1))
        injected = inject(trained, tuning=Tuning(steps=5), task=digits)
        repaired = repair(injected, FineTuning(epochs=1), task=digits)
        for name, made in (("injected", injected), ("repaired", repaired)):
            opened = load_model(made.save(tmp_path / name))
            assert opened.manifest.kind == name
            assert opened.manifest.weights_sha256 == made.manifest.weights_sha256


def test_the_outputs_of_a_registered_architecture_get_the_names_that_they_learn(digits: Task, tmp_path: Path) -> None:
    def named(task: Task) -> nn.Module:
        model = build_model("resnet-tiny", task, seed=0)
        model.config.id2label = {label: f"other {label}" for label in range(len(task.classes))}
        return model

    with registered(ARCHITECTURES, other=Architecture(named, "a network with names of its own")):
        trained = train(digits, model="other", training=Training(epochs=1))
        assert load_model(trained.save(tmp_path / "model")).model.config.id2label[3] == digits.classes[3]


def test_a_suite_takes_a_registered_architecture(tmp_path: Path) -> None:
    task = {"name": "digits", "model": "perceptron", "limit": 20, "training": {"epochs": 1}}
    with registered(ARCHITECTURES, perceptron=PERCEPTRON):
        suite = tiny(tasks=[task], references=1, seeds=1, methods={"plain": {}}, anchors=[10], controls=False)
        run_suite(suite, tmp_path / "results", executor=Inline())
    failures = [path.read_text() for path in tmp_path.rglob("failed/*.json")]
    assert not failures
