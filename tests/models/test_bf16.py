from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from anchorlab import Training, load_task, train
from anchorlab.errors import AnchorlabError
from anchorlab.models.bf16 import check_bf16, computes_bf16, undefined_gradient
from anchorlab.notices import Notice
from anchorlab.training.precision import choose_precision

pytestmark = pytest.mark.usefixtures("on_cpu")


class Convolution(nn.Module):
    """A classifier of one convolution over whole maps of a side."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 16, kernel, stride, kernel // 2, bias=False)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.convolution(pixel_values).mean((2, 3))


def images(side: int, count: int = 16) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(0))}


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "is_undefined"),
    [(3, 2, 1, True), (3, 3, 2, True), (5, 2, 1, True), (3, 2, 2, False), (3, 1, 1, False), (1, 2, 1, False)],
)
def test_a_stride_longer_than_the_map_has_no_defined_gradient(
    kernel: int, stride: int, side: int, is_undefined: bool
) -> None:
    model = Convolution(kernel, stride)
    model.train()
    assert (undefined_gradient(model, images(side)) is not None) == is_undefined
    assert model.training
    assert not model.convolution._forward_pre_hooks


@pytest.mark.parametrize(("kernel", "stride", "side"), [(3, 2, 2), (3, 1, 1), (1, 2, 1), (5, 2, 2)])
def test_the_gradient_is_defined_where_nothing_is_refused(kernel: int, stride: int, side: int) -> None:
    """With not-a-number in the memory that PyTorch takes again, as it may happen to be there."""
    model = Convolution(kernel, stride)
    for _ in range(5):
        with torch.autocast("cpu", torch.bfloat16):
            answers = model(**images(side))
        for size in (2**power for power in range(6, 20)):
            torch.full((size,), torch.nan)
        answers.float().square().sum().backward()
        assert model.convolution.weight.grad is not None
        assert model.convolution.weight.grad.isfinite().all()
        model.convolution.weight.grad = None


def test_the_sentence_says_which_convolution_and_how_to_mend_it() -> None:
    with pytest.raises(AnchorlabError, match=r"stride 2 reads a map of 1 x 1.*leave --precision out"):
        check_bf16(Convolution(3, 2), images(1))


def test_a_network_without_convolutions_is_not_asked() -> None:
    assert undefined_gradient(nn.Linear(2, 2), {"inputs": torch.zeros(1, 2)}) is None


def test_digits_do_not_train_in_bf16_where_the_gradient_is_undefined() -> None:
    with pytest.raises(AnchorlabError, match="in bf16 undefined on a CPU"):
        train(load_task("digits"), model="resnet-mini", training=Training(epochs=1, precision="bf16"))


@pytest.mark.filterwarnings("ignore:precision auto")
def test_auto_takes_float32_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from anchorlab.models.accelerator import find_accelerator

    monkeypatch.setattr("anchorlab.training.precision.computes_bf16", lambda device: True)
    labels = torch.zeros(16, dtype=torch.int64)
    trial = choose_precision(Convolution(3, 2), images(1), labels, steps=10**6, accelerator=find_accelerator())
    assert trial.chosen == "no"
    assert "undefined" in trial.reason


@pytest.mark.parametrize(("has", "computes"), [("avx512_bf16", True), ("amx_bf16", True), ("avx512_f", False)])
def test_what_an_x86_processor_must_have(monkeypatch: pytest.MonkeyPatch, has: str, computes: bool) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {has: True, "avx512_bf16": has == "avx512_bf16"})
    assert computes_bf16(torch.device("cpu")) is computes
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        check_bf16(nn.Linear(2, 2), {"inputs": torch.zeros(1, 2)})
    assert [(each.category, "no instructions for it" in str(each.message)) for each in told] == (
        [] if computes else [(Notice, True)]
    )
