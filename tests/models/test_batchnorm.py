"""BatchNorm over several processes, against PyTorch's own on the whole batch; the processes are simulated here."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn

from anchorlab.models import batchnorm
from anchorlab.models.batchnorm import synchronised_batchnorm


class Meeting:
    """Threads that stand for processes: each asks for a sum and gets it when all have brought their part."""

    def __init__(self, processes: int) -> None:
        self.barrier = threading.Barrier(processes, timeout=30)
        self.parts: dict[int, torch.Tensor] = {}
        self.local = threading.local()

    def all_reduce(self, values: torch.Tensor) -> None:
        self.parts[self.local.rank] = values.clone()
        self.barrier.wait()
        total = sum(self.parts[rank] for rank in sorted(self.parts))
        self.barrier.wait()
        values.copy_(total)
        self.barrier.wait()


def on_all(processes, monkeypatch, work):
    """The results of ``work(rank)`` in as many threads."""
    meeting = Meeting(processes)
    monkeypatch.setattr(torch.distributed, "all_reduce", meeting.all_reduce)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: meeting.local.rank)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: processes)
    results = {}

    def begin(rank):
        meeting.local.rank = rank
        results[rank] = work(rank)

    threads = [threading.Thread(target=begin, args=(rank,)) for rank in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [results[rank] for rank in range(processes)]


def layer(momentum=0.1, affine=True):
    made = nn.BatchNorm2d(3, momentum=momentum, affine=affine).train()
    if affine:
        nn.init.normal_(made.weight, generator=torch.Generator().manual_seed(1))
        nn.init.normal_(made.bias, generator=torch.Generator().manual_seed(2))
    return made


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize(("momentum", "affine"), [(0.1, True), (None, True), (0.3, False)])
def test_outputs_gradients_and_statistics_are_those_of_the_whole_batch(monkeypatch, processes, momentum, affine):
    generator = torch.Generator().manual_seed(0)
    batch = 5 + 2 * torch.randn(6, 3, 4, 2, generator=generator)
    weights = torch.randn(6, 3, 4, 2, generator=generator)
    whole, inputs = layer(momentum, affine), batch.clone().requires_grad_()
    outputs = whole(inputs)
    (outputs * weights).sum().backward()

    copies = [copy.deepcopy(layer(momentum, affine)) for _ in range(processes)]

    def work(rank):
        own = batch[rank::processes].clone().requires_grad_()
        with synchronised_batchnorm(copies[rank], processes):
            answer = copies[rank](own)
            (answer * weights[rank::processes]).sum().backward()
        return answer.detach(), own.grad

    for rank, (answer, gradient) in enumerate(on_all(processes, monkeypatch, work)):
        torch.testing.assert_close(answer, outputs.detach()[rank::processes], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gradient, inputs.grad[rank::processes], rtol=1e-4, atol=1e-5)
        for name, value in whole.named_buffers():
            torch.testing.assert_close(dict(copies[rank].named_buffers())[name], value, rtol=1e-5, atol=1e-6)
    for name, value in whole.named_parameters():
        total = sum(dict(one.named_parameters())[name].grad for one in copies)
        torch.testing.assert_close(total, value.grad, rtol=1e-4, atol=1e-4)


def test_layers_in_evaluation_mode_and_single_processes_are_left_alone(monkeypatch):
    def forbidden(*_):
        raise AssertionError("the processes were asked")

    monkeypatch.setattr(batchnorm, "_sum_over_processes", forbidden)
    batch = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    frozen, tracked = layer().eval(), layer()
    with synchronised_batchnorm(frozen, 2), synchronised_batchnorm(tracked, 1):
        assert torch.equal(frozen(batch), copy.deepcopy(layer().eval())(batch))
        assert torch.equal(tracked(batch), layer()(batch))
    with synchronised_batchnorm(tracked, 2):
        pass
    assert torch.equal(tracked(batch), layer()(batch))
    assert "forward" not in vars(tracked)
