"""Models on a device: memory formats, and the way back."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.device import exact_arithmetic, in_double, move_to_cpu, move_to_device, run_arithmetic

#: Torch has the switches of CUDA on any machine.
CUDA = torch.device("cuda")

BACKENDS: Any = torch.backends


def test_convolutional_models_are_placed_channels_last_and_taken_back(digits, reference, linear):
    inputs = {name: value[:30] for name, value in digits.split("test").inputs.items()}
    model = move_to_device(copy.deepcopy(reference.model), torch.device("cpu")).train()
    weight = model.resnet.encoder.stages[1].layers[0].layer[0].convolution.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    np.testing.assert_allclose(predict(model, inputs), predict(reference.model, inputs), atol=1e-4)
    move_to_cpu(model)
    assert weight.is_contiguous()
    assert not model.training
    assert move_to_device(linear, torch.device("cpu")).layer.weight.is_contiguous()


def switches() -> dict[str, Any]:
    """All that decides how CUDA computes; ``refused`` where torch says that its older and newer switches disagree."""
    found: dict[str, Any] = {
        "enabled": BACKENDS.cudnn.enabled,
        "search": BACKENDS.cudnn.benchmark,
        "deterministic convolutions": BACKENDS.cudnn.deterministic,
        "deterministic": torch.get_deterministic_debug_mode(),
        "filling": torch.utils.deterministic.fill_uninitialized_memory,
        "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    }
    places = (BACKENDS, BACKENDS.cudnn, BACKENDS.cuda.matmul, BACKENDS.cudnn.conv, BACKENDS.cudnn.rnn)
    found["newer"] = [place.fp32_precision for place in (*places, *on_a_cpu())]
    for name, read in (
        ("products", torch.get_float32_matmul_precision),
        ("convolutions", lambda: BACKENDS.cudnn.allow_tf32),
    ):
        try:
            found[name] = read()
        except RuntimeError:
            found[name] = "refused"
    return found


def on_a_cpu() -> tuple[Any, ...]:
    """Where torch keeps the newer switches of a CPU."""
    return BACKENDS.mkldnn.matmul, BACKENDS.mkldnn.conv, BACKENDS.mkldnn.rnn


def precision_of_float32() -> tuple[set[str], str, bool]:
    """The newer switches of products and convolutions, and the two older ones, which must agree with them."""
    newer = {place.fp32_precision for place in (BACKENDS.cuda.matmul, BACKENDS.cudnn.conv, BACKENDS.cudnn.rnn)}
    return newer, torch.get_float32_matmul_precision(), BACKENDS.cudnn.allow_tf32


OUTSIDE = {
    "nothing": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "older": lambda: setattr(BACKENDS.cudnn, "allow_tf32", False),
    "newer products": lambda: setattr(BACKENDS.cuda.matmul, "fp32_precision", "tf32"),
    "newer convolutions": lambda: setattr(BACKENDS.cudnn.conv, "fp32_precision", "ieee"),
    "everywhere": lambda: setattr(BACKENDS, "fp32_precision", "tf32"),
    "a CPU's products": lambda: setattr(BACKENDS.mkldnn.matmul, "fp32_precision", "bf16"),
    "a CPU's convolutions": lambda: setattr(BACKENDS.mkldnn.conv, "fp32_precision", "bf16"),
    "search": lambda: setattr(BACKENDS.cudnn, "benchmark", True),
}


@pytest.fixture(params=sorted(OUTSIDE))
def outside(request) -> Iterator[dict[str, Any]]:
    """What a user set, by one of torch's ways."""
    places = (BACKENDS, BACKENDS.cudnn, *on_a_cpu(), BACKENDS.cuda.matmul)
    OUTSIDE[request.param]()
    yield switches()
    BACKENDS.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")
    BACKENDS.cudnn.allow_tf32 = True
    for place in places:
        place.fp32_precision = "none"


def test_measuring_is_exact_whatever_was_set_outside(outside):
    with exact_arithmetic(CUDA):
        assert precision_of_float32() == ({"ieee"}, "highest", False)
        assert (BACKENDS.cudnn.deterministic, BACKENDS.cudnn.benchmark) == (True, False)
    assert switches() == outside


def test_tuning_computes_in_tf32_with_the_fastest_algorithms_and_measures_exactly_within(outside):
    with run_arithmetic(CUDA):
        within = switches()
        assert precision_of_float32() == ({"tf32"}, "high", True)
        assert (BACKENDS.cudnn.deterministic, BACKENDS.cudnn.benchmark) == (False, True)
        with exact_arithmetic(CUDA):
            assert precision_of_float32() == ({"ieee"}, "highest", False)
        assert switches() == within
    assert switches() == outside


def test_deterministic_tuning_is_exact_and_refuses_other_algorithms(outside, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = switches()
    with run_arithmetic(CUDA, deterministic=True):
        assert precision_of_float32() == ({"ieee"}, "highest", False)
        assert (BACKENDS.cudnn.deterministic, BACKENDS.cudnn.benchmark) == (True, False)
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert switches() == before


def test_the_users_workspaces_stay_if_they_are_deterministic_and_come_back_if_not(monkeypatch):
    for own, within in ((":16:8", ":16:8"), (":0:0", ":4096:8")):
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", own)
        with run_arithmetic(CUDA, deterministic=True):
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == within
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == own


def test_a_part_without_a_deterministic_algorithm_is_refused_in_one_sentence():
    before = switches()
    refused = "put_ with accumulate=False does not have a deterministic implementation, but you set ..."
    with pytest.raises(AnchorlabError, match=r"cannot be deterministic \(put_.*: leave deterministic out"):  # noqa: SIM117
        with run_arithmetic(CUDA, deterministic=True):
            raise RuntimeError(refused)
    with pytest.raises(RuntimeError, match="something else"), run_arithmetic(CUDA, deterministic=True):
        raise RuntimeError("something else")
    assert switches() == before


def test_a_cpu_measures_and_tunes_exactly_whatever_was_set_outside(outside):
    cpu = torch.device("cpu")
    for arithmetic in (exact_arithmetic(cpu), run_arithmetic(cpu), run_arithmetic(cpu, deterministic=True)):
        with arithmetic:
            assert {place.fp32_precision for place in on_a_cpu()} == {"ieee"}
            assert precision_of_float32() == ({"ieee"}, "highest", False)
            assert torch.get_deterministic_debug_mode() == 0
        assert switches() == outside


def test_a_cpu_that_was_told_to_multiply_in_bf16_gives_the_same_bits(linear, digits):
    """On a processor without bf16 it would do so anyway."""
    inputs = digits.anchors(64, seed=0).inputs
    usual = predict(linear, inputs)
    try:
        torch.set_float32_matmul_precision("medium")
        assert torch.equal(predict(linear, inputs), usual)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_doubles_are_made_on_the_cpu_where_the_device_has_none() -> None:
    values = torch.tensor([0.1, 3.0])
    assert torch.equal(in_double(values), values.double())
    on_apple = Mock(spec=["device", "cpu"], device=torch.device("mps"))  # calling double() would fail
    on_apple.cpu.return_value = values
    assert torch.equal(in_double(on_apple), values.double())
