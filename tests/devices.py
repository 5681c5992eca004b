"""The device that tests run on, and machines that only seem to have GPUs."""

from __future__ import annotations

import pytest
import torch


def pretended_cards(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """From now on this machine seems to have a number of GPUs, none of which the user has hidden."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
