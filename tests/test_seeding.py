"""Seeds: a generator for each purpose, and torch's global generators left as they were."""

from __future__ import annotations

import pytest
import torch

from anchorlab.seeding import derive, generator, seeded_globally


def test_a_derived_seed_depends_on_seed_and_purpose_alone() -> None:
    """The value is part of every stored result: the first eight bytes of SHA-256 of "3/batches/0", halved."""
    assert derive(3, "batches", 0) == 8344438898081075259
    assert (
        len({derive(3, "batches", 0), derive(4, "batches", 0), derive(3, "batches", 1), derive(3, "anchors", 0)}) == 4
    )


def test_generators_of_one_purpose_draw_the_same() -> None:
    first, again, other = (torch.rand(5, generator=generator(0, purpose)) for purpose in ("a", "a", "b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_generator_is_restored() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded_globally(0, "weights"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded_globally(0, "weights"):
        assert torch.equal(torch.rand(3), inside)


def test_the_generator_of_apples_gpu_is_seeded_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[object] = ["before"]
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: states[-1])
    monkeypatch.setattr(torch.mps, "set_rng_state", states.append)
    monkeypatch.setattr(torch.mps, "manual_seed", states.append)
    with pytest.raises(KeyError), seeded_globally(0, "dropout", device=torch.device("mps")):
        raise KeyError
    assert states == ["before", derive(0, "dropout"), "before"]
    with seeded_globally(0, "dropout", device=torch.device("cpu")):
        pass
    assert len(states) == 3
