"""The contracts of all that an installed package registers by entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, packages_distributions
from typing import Any

from anchorlab.detectors import DETECTORS
from anchorlab.errors import AnchorlabError, printable, reason, shortened
from anchorlab.methods import METHODS
from anchorlab.metrics import METRICS
from anchorlab.registry import Registry
from anchorlab.repairs import REPAIRS
from anchorlab.testing.contract import Contract, Finding
from anchorlab.testing.detectors import check_detector
from anchorlab.testing.methods import check_method
from anchorlab.testing.metrics import check_metric
from anchorlab.testing.repairs import check_repair
from anchorlab.testing.triggers import check_trigger
from anchorlab.triggers import TRIGGERS

#: Entry-point group to its registry and its contract.
_FAMILIES: dict[str, tuple[Registry[Any], Callable[[Any, str], Contract]]] = {
    "anchorlab.methods": (METHODS, check_method),
    "anchorlab.triggers": (TRIGGERS, check_trigger),
    "anchorlab.repairs": (REPAIRS, check_repair),
    "anchorlab.defences": (REPAIRS, check_repair),
    "anchorlab.detectors": (DETECTORS, check_detector),
    "anchorlab.model_detectors": (DETECTORS, check_detector),
    "anchorlab.input_detectors": (DETECTORS, check_detector),
    "anchorlab.metrics": (METRICS, check_metric),
}

#: Groups without a contract, and what their members are.
_OTHERS = {"anchorlab.tasks": "task", "anchorlab.models": "model", "anchorlab.label_rules": "label rule"}


def check_package(package: str) -> list[Contract]:
    """The contracts of a package's methods, triggers, repairs, detectors and metrics, in the order of their groups.

    The package is imported and its code is run, as it is whenever one of its names is used.

    Args:
        package: the name that it is installed under, or that it is imported by.

    Raises:
        AnchorlabError: if no such package is installed, or it registers nothing.
    """
    found = installed(package)
    points = [point for point in found.entry_points if point.group in _FAMILIES or point.group in _OTHERS]
    if not points:
        raise AnchorlabError(
            f"the package '{shortened(package)}' registers nothing: name its classes in its pyproject.toml, as under "
            '[project.entry-points."anchorlab.methods"], and install it again'
        )
    order = [*_FAMILIES, *_OTHERS]
    return [_contract(point) for point in sorted(points, key=lambda point: order.index(point.group))]


def installed(package: str) -> Distribution:
    """The installed package of a name, or the one that a module of that name belongs to.

    Raises:
        AnchorlabError: if there is none.
    """
    owners = packages_distributions().get(package, [])
    for name in (package, *owners):
        try:
            return distribution(name)
        except (PackageNotFoundError, ValueError):
            continue
    raise AnchorlabError(
        f"no package '{shortened(package)}' is installed here: install it beside anchorlab, as by "
        "'pip install -e FOLDER'"
    )


def _contract(point: EntryPoint) -> Contract:
    if point.group in _OTHERS:
        kind = _OTHERS[point.group]
        return Contract(kind, point.name, (Finding("has a contract", "not tried", f"there is none for a {kind} yet"),))
    registry, check = _FAMILIES[point.group]
    try:
        member = point.load()
    except Exception as error:  # whatever the import of a third party raises
        sentence = f"'{point.value}' cannot be imported ({printable(shortened(reason(error), 300))}): correct that"
        return Contract(registry.kind, point.name, (Finding("can be imported", "broken", sentence),))
    try:
        with _registered(registry, point.name, member):
            return check(member, point.name)
    except AnchorlabError as error:
        return Contract(registry.kind, point.name, (Finding("has a name of its own", "broken", str(error)),))


@contextmanager
def _registered(registry: Registry[Any], name: str, member: Any) -> Iterator[None]:
    """Inside, a member has its name in this process, whether it had it before or not."""
    new = name not in registry
    registry.register(name, member)
    try:
        yield
    finally:
        if new:
            registry.unregister(name)
