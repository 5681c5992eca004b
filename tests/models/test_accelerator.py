"""Which device a process computes on, and how those that it starts inherit that."""

from __future__ import annotations

import os
from unittest import mock

import pytest
import torch
from accelerate.state import AcceleratorState
from accelerate.utils import TorchDynamoPlugin
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.models.accelerator import Asked, asked, computing_on, find_accelerator, find_device
from anchorlab.suites.executors import LocalProcesses
from tests.devices import pretended_cards


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that seems to have two GPUs."""
    pretended_cards(monkeypatch, 2)


def environment() -> tuple[str | None, str | None]:
    return os.environ.get("ACCELERATE_USE_CPU"), os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.usefixtures("two_gpus")
def test_the_environment_says_the_device_inside_and_what_it_said_before_outside() -> None:
    with computing_on("cpu"):
        assert environment() == ("true", "")
    with computing_on("cuda:1"):
        assert environment() == (None, "1")
    with computing_on("cuda"):
        assert environment() == (None, None)
    assert environment() == (None, None)


@pytest.mark.usefixtures("two_gpus")
def test_a_number_counts_the_gpus_that_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with computing_on("cuda:1"):
        assert environment() == (None, "7")
    assert environment() == (None, "5,7")


@pytest.mark.usefixtures("two_gpus")
def test_a_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    words = "'cuda:2' is not there: give --device cpu or cuda or cuda:0 or cuda:1"
    with pytest.raises(AnchorlabError, match=words), computing_on("cuda:2"):
        pass


def test_one_of_several_processes_has_its_device_from_its_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(AnchorlabError, match="launcher has given each its own"), computing_on("cpu"):
        pass


@pytest.mark.usefixtures("on_cpu")
def test_what_was_asked_for_is_known_inside() -> None:
    with computing_on("cpu", 3):
        assert asked() == Asked("cpu", 3)
        assert torch.get_num_threads() == 3
        assert find_device().type == "cpu"
    assert asked() == Asked()


@pytest.mark.usefixtures("two_gpus")
def test_processes_of_a_suite_leave_the_gpus_alone_where_the_cpu_was_asked_for() -> None:
    with LocalProcesses() as executor:
        assert executor.slots == 2  # one a GPU
    with computing_on("cpu"), LocalProcesses(3) as executor:
        assert executor.slots == 3
        assert executor.submit(os.getenv, "ACCELERATE_USE_CPU").result() == "true"
        assert executor.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == ""


@pytest.mark.usefixtures("on_cpu")
def test_the_precision_that_a_launcher_sets_changes_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with mock.patch.dict(AcceleratorState._shared_state, clear=True):
        accelerator = find_accelerator()
        assert accelerator.mixed_precision == "no"
        assert find_accelerator().mixed_precision == "no"
        model = accelerator.unwrap_model(accelerator.prepare_model(nn.Linear(2, 2)))
        assert "forward" not in vars(model)


@pytest.mark.usefixtures("on_cpu")
def test_what_else_a_launcher_sets_changes_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``accelerate launch`` and its configuration do; no record would name it."""
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "eager")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    with mock.patch.dict(AcceleratorState._shared_state, clear=True):
        accelerator = find_accelerator()
        model = accelerator.prepare_model(nn.Linear(2, 2))
        assert type(model) is nn.Linear
        accelerator.backward(model(torch.ones(1, 2)).sum())
        torch.testing.assert_close(model.weight.grad, torch.ones(2, 2))


def test_an_accelerator_that_compiles_is_refused() -> None:
    find_device()
    words = r"compiles models \(eager\), which no record would name: make it with dynamo_backend='no'"
    with (
        mock.patch.dict(AcceleratorState._shared_state, {"dynamo_plugin": TorchDynamoPlugin(backend="eager")}),
        pytest.raises(AnchorlabError, match=words),
    ):
        find_accelerator()


def test_an_accelerator_of_mixed_precision_is_refused() -> None:
    find_device()
    words = r"mixed precision \(bf16\), which no record would name: make it with mixed_precision='no'"
    with (
        mock.patch.dict(AcceleratorState._shared_state, {"_mixed_precision": "bf16"}),
        pytest.raises(AnchorlabError, match=words),
    ):
        find_accelerator()
