"""Seeded random generators, one for each purpose, so that no draw depends on another's number of draws."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that depends on ``seed`` and on the purpose, and on nothing else."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose, for example ``generator(seed, "batches", epoch)``."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


@contextmanager
def seeded_globally(seed: int, *purpose: str | int, device: torch.device | None = None) -> Iterator[None]:
    """Seeds torch's global generators inside the block and restores them after.

    For library code that takes no generator, such as the weight initialisation of transformers, and dropout.

    Args:
        seed: of the run.
        purpose: of the draws.
        device: a device whose own generator is meant too; None for the CPU's alone.
    """
    kind = "cpu" if device is None else device.type
    with torch.random.fork_rng(devices=[device] if kind == "cuda" else []), _mps_restored(kind == "mps"):
        torch.default_generator.manual_seed(derive(seed, *purpose))
        if kind == "cuda":
            torch.cuda.manual_seed(derive(seed, *purpose))
        elif kind == "mps":
            torch.mps.manual_seed(derive(seed, *purpose))
        yield


@contextmanager
def _mps_restored(used: bool) -> Iterator[None]:
    """Restores the generator of Apple's GPU after the block, if it is used."""
    if not used:
        yield
        return
    before = torch.mps.get_rng_state()
    try:
        yield
    finally:
        torch.mps.set_rng_state(before)
