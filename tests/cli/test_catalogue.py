"""What can be chosen, without torch: the file is what the registries hold, and other packages are seen too."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from importlib.resources import files
from typing import Any

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.cli import catalogue, generated
from anchorlab.methods import METHODS, Method
from anchorlab.repairs import REPAIRS
from anchorlab.repairs.oracles import oracles
from anchorlab.settings import STRICT, options_of
from tests.cli.conftest import Run


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Spring(Method):
    """Holds the weights by springs.

    Hooke 1978.
    """

    stiffness: float = Field(default=1.5, gt=0, lt=9, description="how stiff they are")


def install(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Installs methods of another package: name to ``module:class``."""
    points = [EntryPoint(name, value, "anchorlab.methods") for name, value in values.items()]
    monkeypatch.setattr(
        "anchorlab.cli.catalogue.entry_points", lambda group: [point for point in points if point.group == group]
    )


@pytest.mark.parametrize("path", generated.FILES)
def test_the_files_are_what_the_registries_hold(path: str) -> None:
    stored = (files("anchorlab") / path).read_text(encoding="utf-8")
    assert stored == generated.FILES[path](), "python -m anchorlab.cli.generated writes the file again"


def test_names_and_oracles_are_the_registries_own() -> None:
    assert catalogue.names_in("methods") == METHODS.names()
    assert catalogue.names_in("repairs") == REPAIRS.names()
    assert catalogue.oracles() == oracles()


def test_an_entry_has_parameters_with_types_bounds_and_defaults_and_a_source() -> None:
    (anchoring,) = [entry for entry in catalogue.entries_of("methods") if entry["name"] == "anchoring"]
    assert anchoring["provider"] == "anchorlab"
    assert anchoring["source"].startswith("Zhang, Lyu, Wang, Sun and Sun 2022")
    assert anchoring["source"].endswith("arXiv 2109.01300")
    assert anchoring["parameters"][0] == {
        "name": "strength",
        "type": "float",
        "required": False,
        "default": 2.0,
        "description": "weight of the anchor loss, lambda in the paper",
        "minimum": 0,
    }
    (ball,) = [entry for entry in catalogue.entries_of("methods") if entry["name"] == "weight-ball"]
    assert [parameter.get("choices") for parameter in ball["parameters"]][1] == ["linf", "l2"]


def test_every_parameter_of_every_method_is_described() -> None:
    for entry in catalogue.entries_of("methods"):
        expected = [(option.name, option.type) for option in options_of(METHODS[entry["name"]])]
        assert [(one["name"], one["type"]) for one in entry["parameters"]] == expected


def test_a_method_of_another_package_is_listed_with_its_parameters(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, spring="tests.cli.test_catalogue:Spring")
    assert catalogue.names_in("methods")[-1] == "spring"
    assert catalogue.summaries_in("methods")["spring"] == "from the package tests"
    shown = run("list", "methods").out
    assert "spring: Holds the weights by springs. From the package tests." in shown
    assert "how stiff they are (above 0 below 9)" in " ".join(shown.split())


def test_the_names_of_another_package_are_known_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, broken="no_such_package:Thing")
    assert "broken" in catalogue.names_in("methods")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("broken", "no_such_package:Thing", "broken: cannot be loaded from the package no_such_package"),
        ("anchoring", "tests.cli.test_catalogue:Spring", "anchorlab has a member of this name"),
    ],
)
def test_a_package_that_cannot_be_used_is_named_and_the_others_are_listed(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    install(monkeypatch, **{name: value})
    shown = run("list", "methods")
    assert shown.code == 0
    assert words in " ".join(shown.out.split())
    assert "anchoring: Penalty" in shown.out


def test_a_source_is_the_first_reference_of_a_docstring() -> None:
    read: Any = catalogue._source
    assert read("Nothing.", "After Hooke 1978 (De potentia, arXiv 1978.00001). Then more.") == (
        "Hooke 1978, De potentia, arXiv 1978.00001"
    )
    assert read("Hooke and Wren 1978, De potentia: springs.") == "Hooke and Wren 1978, De potentia"
    assert read("No reference at all.") is None
