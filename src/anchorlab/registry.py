"""A registry is a dictionary from name to member, open to third parties through entry points."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from anchorlab.errors import unknown

Member = TypeVar("Member")


class Registry(Generic[Member]):
    """Names the members of one family: tasks, architectures, triggers or methods.

    A package outside anchorlab adds a member with an entry point in the group ``anchorlab.<family>``,
    for example ``[project.entry-points."anchorlab.methods"] mine = "my_package:MyMethod"``.
    """

    def __init__(self, kind: str, group: str, members: dict[str, Member]) -> None:
        self.kind = kind
        self.group = group
        self._own = members

    @cached_property
    def _members(self) -> dict[str, Member]:
        found = dict(self._own)
        for point in entry_points(group=self.group):
            if point.name in found:
                raise RuntimeError(f"entry point '{point.value}' redefines the {self.kind} '{point.name}'")
            found[point.name] = point.load()
        return found

    def __getitem__(self, name: str) -> Member:
        """The member of that name; raises AnchorlabError naming the nearest one if there is none."""
        if name not in self._members:
            raise unknown(self.kind, name, self._members)
        return self._members[name]

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._members)

    def name_of(self, member: Member) -> str:
        """The name under which ``member`` is registered; raises KeyError if it is not."""
        for name, candidate in self._members.items():
            if candidate is member:
                return name
        raise KeyError(f"{member!r} is not a registered {self.kind}")
