"""Registries: members by name, added by anybody, built, parsed and recorded."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.errors import AnchorlabError
from anchorlab.registry import ClassRegistry, Registry
from anchorlab.settings import STRICT


class Shape:
    """The base class."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Circle(Shape):
    radius: float = Field(default=1.0, gt=0, description="its radius")
    colour: str = Field(default="red", description="its colour")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Point(Shape):
    pass


class Pointed(Point):
    """A subclass that nobody registers."""


@pytest.fixture
def shapes() -> ClassRegistry[Shape]:
    return ClassRegistry("shape", "anchorlab.shapes", {"circle": Circle, "point": Point})


def entry_points(monkeypatch: pytest.MonkeyPatch, **points: tuple[str, str]) -> None:
    """Installs entry points: name to group and value."""
    installed = [EntryPoint(name, value, group) for name, (group, value) in points.items()]
    monkeypatch.setattr(
        "anchorlab.registry.entry_points", lambda group: [point for point in installed if point.group == group]
    )


def test_a_registry_is_a_dictionary() -> None:
    numbers: Registry[int] = Registry("number", "anchorlab.numbers", {"two": 2, "one": 1})
    assert numbers["two"] == 2
    assert numbers.names() == list(numbers) == ["two", "one"]
    assert "one" in numbers
    assert "three" not in numbers
    assert len(numbers) == 2
    with pytest.raises(AnchorlabError, match="unknown number 'tow': did you mean 'two'"):
        numbers["tow"]


def test_members_are_registered_by_a_call_or_a_decorator(shapes: ClassRegistry[Shape]) -> None:
    @shapes.register("square")
    @dataclass(frozen=True, kw_only=True, config=STRICT)
    class Square(Shape):
        side: int = 2

    assert shapes.register("dot", Pointed) is Pointed
    assert shapes.names() == ["circle", "point", "square", "dot"]
    assert shapes.build("square", {"side": "3"}) == Square(side=3)
    shapes.unregister("dot")
    assert "dot" not in shapes
    with pytest.raises(AnchorlabError, match="unknown shape 'dot'"):
        shapes.unregister("dot")


def test_a_name_is_given_once(shapes: ClassRegistry[Shape]) -> None:
    assert shapes.register("point", Point) is Point  # the same member again changes nothing
    with pytest.raises(AnchorlabError, match=r"cannot be registered as 'point'.*: choose another name, or call"):
        shapes.register("point", Circle)
    assert shapes["point"] is Point


def test_a_class_that_is_defined_again_replaces_itself(shapes: ClassRegistry[Shape]) -> None:
    def cell(default: int, qualname: str) -> type[Shape]:
        @dataclass(frozen=True, kw_only=True, config=STRICT)
        class Square(Shape):
            side: int = default

        Square.__qualname__ = qualname
        return shapes.register("square")(Square)

    cell(2, "Square")
    again = cell(3, "Square")
    assert shapes["square"] is again
    assert shapes.build("square") == again()
    with pytest.raises(AnchorlabError, match="cannot be registered as 'square'"):
        cell(4, "made.<locals>.Square")
    shapes.unregister("square")
    cell(5, "made.<locals>.Square")
    with pytest.raises(AnchorlabError, match="cannot be registered as 'square'"):
        cell(6, "made.<locals>.Square")  # a function may make different ones


def test_entry_points_of_every_group_are_members(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points(
        monkeypatch,
        new=("anchorlab.shapes", "tests.test_registry:Circle"),
        old=("anchorlab.forms", "tests.test_registry:Point"),
        other=("anchorlab.colours", "tests.test_registry:Missing"),
    )
    shapes: ClassRegistry[Shape] = ClassRegistry("shape", "anchorlab.shapes", {}, further_groups=("anchorlab.forms",))
    assert dict(zip(shapes.names(), (shapes[name] for name in shapes), strict=True)) == {"new": Circle, "old": Point}


def test_an_entry_point_replaces_no_member(monkeypatch: pytest.MonkeyPatch, shapes: ClassRegistry[Shape]) -> None:
    entry_points(monkeypatch, point=("anchorlab.shapes", "tests.test_registry:Circle"))
    with pytest.raises(AnchorlabError, match="cannot be registered as 'point'"):
        shapes.names()


def test_instances_are_built_from_names_and_text(shapes: ClassRegistry[Shape]) -> None:
    assert shapes.build("circle") == Circle()
    assert shapes.build("circle", {"radius": "2.5"}) == Circle(radius=2.5)
    circle = Circle(colour="blue")
    assert shapes.build(circle) is circle
    assert shapes.parse("circle") == Circle()
    assert shapes.parse("circle:3") == Circle(radius=3)
    assert shapes.parse("circle:radius=3,colour=blue") == Circle(radius=3, colour="blue")


@pytest.mark.parametrize(
    ("member", "parameters", "sentence"),
    [
        ("circl", {}, "unknown shape 'circl': did you mean 'circle'"),
        ("circle", {"radios": 1}, "unknown parameter of shape 'circle' 'radios': did you mean 'radius'"),
        ("circle", {"radius": -1}, "shape 'circle': radius=-1 is not possible"),
        (Circle(), {"radius": 1}, r"parameters \['radius'\] were given beside a built shape: put them into it"),
    ],
)
def test_what_cannot_be_built(shapes: ClassRegistry[Shape], member: Any, parameters: Any, sentence: str) -> None:
    with pytest.raises(AnchorlabError, match=sentence):
        shapes.build(member, parameters)


def test_records_are_read_back(shapes: ClassRegistry[Shape]) -> None:
    circle = Circle(radius=2)
    assert shapes.to_dict(circle) == {"name": "circle", "radius": 2.0, "colour": "red"}
    assert shapes.from_dict(shapes.to_dict(circle)) == circle
    with pytest.raises(AnchorlabError, match="a shape's record needs a name, but has None: known are circle, point"):
        shapes.from_dict({"radius": 2})


def test_unregistered_classes_have_a_label_but_no_record(shapes: ClassRegistry[Shape]) -> None:
    assert shapes.label(Circle()) == "circle"
    assert shapes.label(Pointed()) == "Pointed"
    with pytest.raises(AnchorlabError, match="Pointed is not a registered shape"):
        shapes.to_dict(Pointed())


def test_names_of_one_base_class(shapes: ClassRegistry[Shape]) -> None:
    assert shapes.names(Point) == ["point"]
    assert shapes.names(Shape) == ["circle", "point"]
