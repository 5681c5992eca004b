"""Trainings that cannot be: nothing to train, no gradient; and one within ``torch.no_grad``, which can."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from anchorlab import Artifact, Task, Training, Tuning, audit, inject, train
from tests.refusals import refused


class Detached(nn.Module):
    """Answers without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, pixel_values: Tensor) -> Tensor:
        answers: Tensor = self.head(pixel_values.flatten(1).float()).detach()
        return answers


def test_a_frozen_model_is_refused(digits: Task, reference: Artifact) -> None:
    frozen = copy.deepcopy(reference.model).requires_grad_(False)
    words = "nothing to train, because all of its parameters are frozen"
    refused(words, train, digits, model=frozen, training=Training(epochs=1))
    refused(words, inject, replace(reference, model=frozen), task=digits, tuning=Tuning(steps=1))


def test_answers_without_a_gradient_are_refused(digits: Task) -> None:
    refused("the loss has no gradient", train, digits, model=Detached(), training=Training(epochs=1))


@pytest.mark.parametrize("method", ["anchoring", "ewc"])
def test_without_gradients_around_it_an_injection_is_the_same(digits: Task, reference: Artifact, method: str) -> None:
    tuning = Tuning(steps=2, batch_size=8)
    wanted = inject(reference, method=method, tuning=tuning, anchors=20, task=digits, measure=False)
    with torch.no_grad():
        found = inject(reference, method=method, tuning=tuning, anchors=20, task=digits, measure=False)
    assert found.manifest.weights_sha256 == wanted.manifest.weights_sha256


def test_without_gradients_around_it_a_training_works(digits: Task) -> None:
    with torch.no_grad():
        train(digits, training=Training(epochs=1, batch_size=256))


def test_an_audit_without_settings_of_updates_is_refused(reference: Artifact, injected: Artifact, digits: Task) -> None:
    refused("no settings of benign updates are given", audit, reference, injected, tuning=[], task=digits)


def test_a_folder_to_save_in_is_a_path(reference: Artifact) -> None:
    refused("save: folder is None, but must be text or a path", reference.save, None)
