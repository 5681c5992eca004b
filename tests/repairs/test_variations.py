"""The grid of each repair: small, of its own settings, and possible."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic.dataclasses import dataclass

from anchorlab import AnchorlabError
from anchorlab.repairs import REPAIRS, FineTuning, Repair
from anchorlab.repairs.variations import variations
from anchorlab.settings import STRICT, values_of


@pytest.mark.parametrize("name", REPAIRS.names())
def test_every_repair_has_a_small_grid_around_its_defaults(name):
    repair = REPAIRS[name]()
    grid = type(repair).stability_grid
    found = variations(repair, name)
    assert 1 <= len(grid) <= 2
    assert len(found) == sum(map(len, grid.values())) <= 2 * len(grid)  # three values of each with the default
    own = values_of(repair)
    for setting, other in found:
        changed = {key for key, value in values_of(other).items() if value != own.get(key)}
        assert changed == {setting.partition("=")[0]}
    for setting, values in grid.items():
        if own[setting] is not None:
            assert min(values) < own[setting] < max(values)


def test_the_grid_goes_around_the_settings_that_are_asked_for():
    found = variations(FineTuning(epochs=10, batch_size=8), "fine-tuning")
    assert [setting for setting, _ in found] == ["epochs=40", "learning_rate=0.0003", "learning_rate=0.003"]
    assert found[1].repair == FineTuning(epochs=10, batch_size=8, learning_rate=0.0003)


def test_a_repair_without_a_grid_or_with_an_impossible_one_is_refused():
    @dataclass(frozen=True, kw_only=True, config=STRICT)
    class Bare(Repair):
        pass

    with pytest.raises(AnchorlabError, match="the repair bare has no other values of its settings to try: give its"):
        variations(Bare(), "bare")

    class Odd(FineTuning):
        stability_grid: ClassVar[dict[str, tuple[int, ...]]] = {"wings": (2,)}

    with pytest.raises(AnchorlabError, match="wings"):
        variations(Odd(), "odd")

    class Single(FineTuning):
        stability_grid: ClassVar[dict[str, int]] = {"epochs": 10}  # type: ignore[assignment]

    with pytest.raises(AnchorlabError, match=r"single has 10 for epochs: give a tuple of values, such as \(10,\)"):
        variations(Single(), "single")
