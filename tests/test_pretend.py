"""What fails on a GPU fails on the pretended one, what waits for it is noted, and all else has the CPU's values."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.func import grad, vmap
from torch.nn import functional

from anchorlab.models.accelerator import find_device
from anchorlab.models.device import in_double
from tests.pretend import CARD, pretend_card


def ones() -> torch.Tensor:
    return torch.ones(3, device=CARD)


def there(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers).to(CARD)


MISTAKES: dict[str, Callable[[], object]] = {
    "a sum": lambda: ones() + torch.ones(3),
    "a model and its input": lambda: nn.Linear(3, 2).to(CARD)(torch.ones(3)),
    "a model that was not moved": lambda: nn.Linear(3, 2)(ones()),
    "rows on the CPU by indices on the GPU": lambda: torch.ones(3)[ones().long()],
    "rows set on the CPU from the GPU": lambda: torch.ones(3).index_put_((torch.arange(3),), ones()),
    "rows gathered by indices on the CPU": lambda: ones().gather(0, torch.arange(3)),
    "numbers joined, one on the CPU": lambda: torch.stack([ones()[0], torch.tensor(1.0)]),
    "a sum in place, on the CPU": lambda: torch.ones(3).add_(ones()),
    "a mask": lambda: ones().masked_fill(torch.ones(3) > 0, 0.0),
    "a loss": lambda: functional.cross_entropy(torch.ones(2, 3, device=CARD), torch.tensor([0, 1])),
    "a generator of the CPU": lambda: torch.randn(3, device=CARD, generator=torch.Generator()),
    "a generator of the CPU in place": lambda: ones().uniform_(generator=torch.Generator()),
    "an array": lambda: ones().numpy(),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_fails_on_a_gpu_is_refused(mistake: str) -> None:
    with pretend_card(), pytest.raises((RuntimeError, TypeError), match=r"same device|'cuda' device|Use Tensor.cpu"):
        MISTAKES[mistake]()


def test_a_gpu_without_doubles_refuses_them() -> None:
    with pretend_card(doubles=False):
        assert in_double(ones()).device.type == "cpu"
        for made in (lambda: ones().double(), lambda: torch.zeros(1, dtype=torch.float64, device=CARD)):
            with pytest.raises(TypeError, match="float64"):
                made()
    with pretend_card():
        assert in_double(ones()).device == CARD


def test_what_a_gpu_takes_from_the_cpu_is_taken() -> None:
    with pretend_card():
        assert (ones() * 2 + torch.tensor(1.0)).tolist() == [3, 3, 3]
        assert ones()[torch.tensor([0, 1])].tolist() == [1, 1]  # indices may be on the CPU
        changed = ones()
        changed[1] = 5
        changed[torch.tensor([2])] = 7
        assert changed.cpu().numpy().tolist() == [1, 5, 7]
        assert torch.zeros(3).copy_(ones()).device.type == "cpu"
        assert torch.where(ones() > 0, ones(), 0.0).device == CARD


def test_what_is_made_of_tensors_of_the_gpu_is_there_too() -> None:
    with pretend_card():
        labels = torch.tensor([0, 2], device="cuda")
        made = [
            torch.zeros_like(labels),
            labels.new_full((2,), 1),
            labels.new_tensor([1.0]),
            functional.one_hot(labels),
        ]
        assert {tensor.device for tensor in made} == {CARD}
        assert torch.zeros(3).device.type == torch.zeros_like(ones(), device="cpu").device.type == "cpu"
        assert find_device() == CARD
        with torch.device("meta"):  # as transformers does, which asks where tensors are made
            assert torch.tensor([1.0]).device == torch.ones(1).to("meta").device == torch.device("meta")


def test_the_program_is_seen_to_wait() -> None:
    with pretend_card() as watch:
        values = ones()
        assert not watch.waits
        for wait in (
            lambda: bool(values.sum() > 2),
            lambda: values.cpu(),
            lambda: torch.tensor([1.0], device=CARD),
            lambda: torch.ones(3).to(CARD),
            lambda: values[values > 0],
            lambda: values.nonzero(),
            lambda: values[torch.arange(2)],
        ):
            before = len(watch.waits)
            wait()
            assert len(watch.waits) == before + 1
        count = len(watch.waits)
        torch.ones(3).pin_memory().to(CARD, non_blocking=True)
        values.masked_fill(values > 0, 2.0).clamp(min=0).sum()
        assert len(watch.waits) == count
    assert watch.waits[0].startswith("tests/test_pretend.py:")


class Norm(nn.Module):
    """A convolution in channels-last, BatchNorm and a layer whose weight is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.last = nn.Linear(4, 4)
        self.again = nn.Linear(4, 4)
        self.again.weight = self.last.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.again(self.last(torch.relu(self.norm(self.first(x))).mean((2, 3))))


def trained(device: torch.device | str) -> nn.Module:
    torch.manual_seed(0)
    model, images = Norm().train().to(device, memory_format=torch.channels_last), torch.rand(5, 2, 6, 6).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    for _ in range(3):
        functional.cross_entropy(model(images), torch.arange(5, device=device) % 4).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return model


def test_training_has_the_values_of_the_cpu() -> None:
    on_cpu = trained("cpu")
    with pretend_card():
        model = trained(CARD)
        assert model.again.weight is model.last.weight
        assert {value.device for value in model.state_dict().values()} == {CARD}
        copied = copy.deepcopy(model)
        assert copied.first.weight.data_ptr() != model.first.weight.data_ptr()
        back = copied.cpu().state_dict()
        assert {value.device for value in model.state_dict().values()} == {CARD}
    for name, value in on_cpu.state_dict().items():
        torch.testing.assert_close(back[name], value, rtol=1e-5, atol=1e-6)


def test_gradients_of_gradients_of_single_examples_and_across_devices() -> None:
    with pretend_card():
        weights = there(1.0, 2.0, 3.0).requires_grad_()
        (gradient,) = torch.autograd.grad((weights**3).sum(), weights, create_graph=True)
        (second,) = torch.autograd.grad(gradient.sum(), weights)
        assert second.tolist() == [6, 12, 18]
        squares = vmap(grad(lambda x: (x * x).sum()), in_dims=0)(there(1.0, 2.0))
        assert squares.device == CARD
        assert squares.tolist() == [2, 4]
        leaf = torch.ones(2, requires_grad=True)
        (leaf.to(CARD) * 3).sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.numpy().tolist() == [3, 3]


def test_afterwards_all_is_as_it_was() -> None:
    before = find_device()
    with pretend_card():
        pass
    assert find_device() == before
    assert type(nn.Linear(2, 2).to("cpu").weight) is nn.Parameter
    with torch.inference_mode():
        assert torch.ones(1).is_inference()
