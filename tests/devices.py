"""The device that tests run on, and machines that only seem to have GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState

from anchorlab.models.accelerator import find_device

#: Whether all tests run on the pretended GPU.
PRETENDED = os.environ.get("ANCHORLAB_TEST_DEVICE") == "pretend"

#: Marks a test that the pretended GPU cannot run, though a real one can: forward-mode derivatives of torch.func see the
#: machinery below Python, which is on the CPU there.
forward_mode = pytest.mark.skipif(PRETENDED, reason="the pretended GPU has no forward-mode derivatives")


@contextmanager
def accelerated_by(device: torch.device) -> Iterator[None]:
    """Inside, the accelerator takes a device, whatever the machine has.

    A process decides on its device once, so that ``Accelerator(cpu=True)`` is refused where a GPU was taken before. The
    processes that a test starts are told by the environment.
    """
    Accelerator()  # makes the state that all accelerators of a process share
    with (
        mock.patch.dict(os.environ, {"ACCELERATE_USE_CPU": str(device.type == "cpu").lower()}),
        mock.patch.dict(PartialState._shared_state, {"device": device}),
        mock.patch.dict(AcceleratorState._shared_state, {"device": device}),
    ):
        yield


def tolerance() -> dict[str, float]:
    """How far what the device under test computes may be from what the CPU does, for ``assert_close``.

    Not at all on the CPU. A GPU takes the sums of float32 in another order, which moves them by about 1e-5.
    """
    allowed = 0.0 if find_device().type == "cpu" else 1e-4
    return {"rtol": allowed, "atol": allowed}


def pretended_cards(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """From now on this machine seems to have a number of GPUs, none of which the user has hidden."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
