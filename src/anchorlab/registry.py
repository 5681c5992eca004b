"""A registry names the members of one family, and is open to third parties."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, overload

from anchorlab import settings
from anchorlab.errors import AnchorlabError, unknown

Member = TypeVar("Member")
T = TypeVar("T")


class Registry(Generic[Member]):
    """A dictionary from name to member, for example of tasks or architectures.

    A package outside anchorlab adds a member with ``register``, or with an entry point in the group of the family,
    for example ``[project.entry-points."anchorlab.tasks"] mine = "my_package:MY_TASK"``.

    Args:
        kind: what a member is, for messages, for example ``"task"``.
        group: the entry-point group of the family.
        members: the members that come with anchorlab.
        further_groups: other entry-point groups that are read too, such as former names of the group.

    Attributes:
        built_in: the names of the members that come with anchorlab.
    """

    def __init__(
        self, kind: str, group: str, members: Mapping[str, Member], *, further_groups: Sequence[str] = ()
    ) -> None:
        self.kind = kind
        self.group = group
        self._groups = (group, *further_groups)
        self.built_in = tuple(members)
        self._members: dict[str, Member] = dict(members)
        self._entry_points_loaded = False

    def __getitem__(self, name: str) -> Member:
        """The member of that name; raises AnchorlabError with the nearest name if there is none."""
        members = self._all()
        if name not in members:
            raise unknown(self.kind, name, members)
        return members[name]

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._all())

    @overload
    def register(self, name: str, member: Member) -> Member: ...

    @overload
    def register(self, name: str) -> Callable[[Member], Member]: ...

    def register(self, name: str, member: Member | None = None) -> Member | Callable[[Member], Member]:
        """Adds a member, as a call ``register("mine", member)`` or as a decorator ``@register("mine")``.

        Raises:
            AnchorlabError: if another member has the name. A class that was defined again, as by running a cell of a
                notebook twice, replaces itself.
        """
        if member is None:
            return lambda decorated: self.register(name, decorated)
        # Entry points are not loaded here: they may name the very module that is being imported.
        self._add(name, member)
        return member

    def unregister(self, name: str) -> None:
        """Removes a member, so that another one can take its name; raises AnchorlabError if there is none."""
        _ = self[name]
        del self._members[name]

    def _all(self) -> dict[str, Member]:
        if not self._entry_points_loaded:
            self._entry_points_loaded = True
            for group in self._groups:
                for point in entry_points(group=group):
                    self._add(point.name, point.load())
        return self._members

    def _add(self, name: str, member: Member) -> None:
        present = self._members.setdefault(name, member)
        if present is not member and _is_defined_again(present, member):
            self._members[name] = member
        elif present is not member:
            raise AnchorlabError(
                f"{member!r} cannot be registered as '{name}', because the {self.kind} '{name}' is {present!r}: "
                f"choose another name, or call unregister('{name}') first"
            )


def _is_defined_again(present: object, member: object) -> bool:
    """Whether both are classes of the same module and name; those that a function makes may be different ones."""
    names = [(one.__module__, one.__qualname__) for one in (present, member) if isinstance(one, type)]
    return len(names) == 2 and names[0] == names[1] and "<locals>" not in names[0][1]


class ClassRegistry(Registry[type[T]]):
    """A registry of classes of hyper-parameters, for example of methods: it builds instances and records them.

    Each member is a pydantic dataclass, see ``anchorlab.settings``.
    """

    def names(self, base: type | None = None) -> list[str]:
        """All names, or the names of subclasses of ``base``, in the order of registration."""
        return [name for name, member in self._all().items() if base is None or issubclass(member, base)]

    def build(self, member: str | T, parameters: Mapping[str, Any] | None = None) -> T:
        """An instance from a name and parameters; an instance is returned as it is.

        Args:
            member: a registered name, or an instance that is already built.
            parameters: hyper-parameter name to value, which may be a string as typed on a command line.

        Raises:
            AnchorlabError: for an unknown name or parameter, an impossible value, or parameters beside an instance.
        """
        if isinstance(member, str):
            return settings.build(self[member], f"{self.kind} '{member}'", parameters or {})
        if parameters:
            raise AnchorlabError(
                f"parameters {sorted(parameters)} were given beside a built {self.kind}: put them into it"
            )
        return member

    def parse(self, text: str, further: Mapping[str, Any] | None = None) -> T:
        """An instance from one line of text.

        Args:
            text: ``name``, ``name:key=value,key=value``, or ``name:value`` with a value for the first parameter, as in
                ``square:size=4,margin=0`` or ``picture:logo.png``.
            further: parameters that the text does not have.

        Raises:
            AnchorlabError: for an unknown name or parameter, or an impossible value.
        """
        spec = settings.parse_spec(text)
        values = spec.values_for(self[spec.name], f"{self.kind} '{spec.name}'")
        return self.build(spec.name, {**values, **(further or {})})

    def label(self, instance: T) -> str:
        """The registered name of an instance's class, or the class's own name if it is not registered."""
        return self._name_of(type(instance)) or type(instance).__qualname__

    def to_dict(self, instance: T) -> dict[str, Any]:
        """The registered name and the parameters of an instance, as JSON values for a manifest.

        Raises:
            AnchorlabError: if its class is not registered, because then the record could not be read.
        """
        name = self._name_of(type(instance))
        if name is None:
            raise AnchorlabError(
                f"{type(instance).__qualname__} is not a registered {self.kind}, so that no record can name it: "
                "register it under a name first"
            )
        return {"name": name, **settings.values_of(instance)}

    def from_dict(self, record: Mapping[str, Any]) -> T:
        """The instance that ``to_dict`` recorded.

        Raises:
            AnchorlabError: for a record without a name, or one that names what does not exist.
        """
        parameters = dict(record)
        name = parameters.pop("name", None)
        if not isinstance(name, str):
            raise AnchorlabError(
                f"a {self.kind}'s record needs a name, but has {name!r}: known are {', '.join(self.names())}"
            )
        return self.build(name, parameters)

    def _name_of(self, cls: type) -> str | None:
        return next((name for name, member in self._all().items() if member is cls), None)
