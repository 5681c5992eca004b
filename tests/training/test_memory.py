"""A batch that does not fit into memory is refused with the size to take, and one that is measured is halved."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from anchorlab import Training, Tuning, inject, train
from anchorlab.artifacts.artifact import Artifact
from anchorlab.cli.ending import ending
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.notices import Notice
from anchorlab.training.memory import batch_in_memory

#: What torch says on a GPU and on the CPU.
FULL = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
)


class Narrow(nn.Module):
    """Finds the memory too small for more than a number of images."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        self.most, self.error = most, error
        self.asked: list[int] = []

    def forward(self, pixel_values: Tensor) -> Tensor:
        self.asked.append(len(pixel_values))
        if len(pixel_values) > self.most:
            raise self.error
        return pixel_values.flatten(1).float()


@pytest.mark.parametrize("error", FULL)
@pytest.mark.parametrize(("size", "smaller"), [(128, 64), (100, 32), (3, 1), (2, 1)])
def test_a_batch_that_does_not_fit_is_one_sentence_with_a_smaller_size(
    error: Exception, size: int, smaller: int
) -> None:
    with pytest.raises(AnchorlabError) as refused, batch_in_memory("a run", size, torch.device("cuda", 1)):
        raise error
    assert str(refused.value).startswith(
        f"a run does not fit into the memory of cuda:1 with {size} examples in a batch ("
    )
    assert f"give a batch_size of {smaller} or less, or end what else" in str(refused.value)
    assert ending(refused.value)[0] == 2


def test_where_one_example_is_too_large_no_smaller_batch_is_proposed() -> None:
    with pytest.raises(AnchorlabError, match="take a smaller model"), batch_in_memory("a run", 1, torch.device("cpu")):
        raise FULL[1]


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), batch_in_memory("a run", 8, torch.device("cpu")):
        raise RuntimeError("shapes do not fit")


def test_training_and_injection_say_it(monkeypatch: pytest.MonkeyPatch, digits: Task, reference: Artifact) -> None:
    def fails(*_: object, **__: object) -> None:
        raise FULL[0]

    monkeypatch.setattr("anchorlab.training.fit.one_cycle", fails)
    with pytest.raises(AnchorlabError, match=r"training resnet-tiny does not fit .* give a batch_size of 32 or less"):
        train(digits, training=Training(epochs=1, batch_size=64))
    with pytest.raises(AnchorlabError, match=r"the injection by plain does not fit .* give a batch_size of 8 or less"):
        inject(reference, method="plain", tuning=Tuning(steps=1, batch_size=16), task=digits)


@pytest.mark.parametrize("error", FULL)
def test_measuring_takes_halves_until_they_fit_and_says_so(error: Exception) -> None:
    images = torch.arange(40, dtype=torch.uint8).view(10, 1, 2, 2)
    model = Narrow(3, error)
    with pytest.warns(Notice, match="a batch does not fit into the memory, so that"):
        answers = predict(model, {"pixel_values": images})
    assert torch.equal(answers, images.flatten(1).float())
    assert model.asked == [10, 5, 2, 3, 5, 2, 3]


def test_a_single_example_that_does_not_fit_is_refused() -> None:
    with (
        pytest.warns(Notice),
        pytest.raises(AnchorlabError, match=r"not enough for the model and one example \(CUDA out of memory"),
    ):
        predict(Narrow(0, FULL[0]), {"pixel_values": torch.zeros(2, 1, 2, 2)})
