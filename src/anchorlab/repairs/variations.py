"""A repair with other values of its main settings, one at a time."""

from __future__ import annotations

from typing import NamedTuple

from anchorlab.errors import AnchorlabError
from anchorlab.repairs.base import Repair
from anchorlab.settings import build, values_of


class Variation(NamedTuple):
    """A repair that differs from another one in one setting: which, as ``epochs=10``, and the repair."""

    setting: str
    repair: Repair


def variations(repair: Repair, name: str) -> list[Variation]:
    """The repair with each value of its ``stability_grid`` that is not its own.

    Args:
        repair: the repair as it is.
        name: what it is called.

    Raises:
        AnchorlabError: if it has no such grid, or a value of it is impossible.
    """
    own = values_of(repair)
    for setting, values in type(repair).stability_grid.items():
        if not isinstance(values, tuple | list):
            raise AnchorlabError(
                f"the stability_grid of the repair {name} has {values!r} for {setting}: give a tuple of values, "
                f"such as ({values!r},)"
            )
    found = [
        Variation(f"{setting}={value}", build(type(repair), f"repair '{name}'", {**own, setting: value}))
        for setting, values in type(repair).stability_grid.items()
        for value in values
        if value != getattr(repair, setting, None)
    ]
    if not found:
        raise AnchorlabError(
            f"the repair {name} has no other values of its settings to try: give its class a stability_grid, or leave "
            "stability out"
        )
    return found
