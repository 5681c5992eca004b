"""Oracles: forms of pruning repairs. Test data and trigger choose their depth, which no defender can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anchorlab.errors import unknown
from anchorlab.repairs import REPAIRS
from anchorlab.repairs.base import Repair
from anchorlab.repairs.pruning import Pruning

#: Prefix of the names of oracles.
_PREFIX = "oracle-"


def is_oracle(repair: str | Repair) -> bool:
    """Whether a repair is named in its oracle form."""
    return isinstance(repair, str) and repair.startswith(_PREFIX)


def oracles() -> list[str]:
    """The names of all oracles."""
    return [f"{_PREFIX}{name}" for name in REPAIRS.names(Pruning)]


def build_repair(repair: str | Repair, parameters: Mapping[str, Any]) -> Repair:
    """The repair of a name, which may be an oracle's, and parameters; an instance is returned as it is.

    Raises:
        AnchorlabError: for an unknown name or parameter, or an impossible value.
    """
    if isinstance(repair, str):
        repair_class(repair)
        repair = repair.removeprefix(_PREFIX)
    return REPAIRS.build(repair, parameters)


def repair_class(repair: str) -> type[Repair]:
    """The class of a repair by its name, which may be an oracle's.

    Raises:
        AnchorlabError: for an unknown name.
    """
    if is_oracle(repair) and repair not in oracles():
        raise unknown("oracle", repair, oracles())
    return REPAIRS[repair.removeprefix(_PREFIX)]


def full_name(repair: str | Repair, built: Repair) -> str:
    """The name of a repair in records: the registered name of its class, with the oracle's prefix for an oracle."""
    return f"{_PREFIX if is_oracle(repair) else ''}{REPAIRS.label(built)}"
