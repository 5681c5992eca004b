"""Options that are declared once and reach every command that takes their group."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field
from pydantic.dataclasses import dataclass as settings_class
from typer.testing import CliRunner

from anchorlab.cli import app
from anchorlab.cli.commands import add_command, new_app
from anchorlab.cli.groups import OptionGroup, OptionsOf
from anchorlab.cli.options import AttackOptions, DataOptions, ExecutionOptions, ModelOptions
from anchorlab.data import DataColumns
from anchorlab.injection.tuning import Tuning
from anchorlab.settings import STRICT, options_of


def options_of_command(name: str) -> dict[str, Any]:
    group = typer.main.get_command(app)
    for word in name.split():
        group = group.commands[word]
    return {option.name: option for option in group.params}


#: Group to the commands that take it.
TAKEN_BY: dict[type[OptionGroup], tuple[str, ...]] = {
    DataOptions: ("train", "adopt", "compare", "analyze", "repair", "detect", "audit", "population"),
    ModelOptions: ("train", "adopt", "inject", "compare", "analyze", "repair", "detect", "audit"),
    AttackOptions: ("compare", "analyze", "repair", "detect"),
    ExecutionOptions: ("suite run", "population"),
}


@pytest.mark.parametrize(("group", "command"), [(group, name) for group, names in TAKEN_BY.items() for name in names])
def test_every_option_of_a_group_reaches_every_command_that_takes_it(group, command):
    offered = options_of_command(command)
    for field in fields(group):
        assert offered[field.name].help
        assert offered[field.name].opts == ["--" + field.name.replace("_", "-")]


def test_every_field_of_the_columns_is_an_option():
    assert {field.name.removesuffix("_column") for field in fields(DataOptions)} == {
        "data",
        *(option.name for option in options_of(DataColumns)),
    }
    columns = DataOptions(text_column="review", max_length=64).columns()
    assert columns == DataColumns(text="review", max_length=64)
    assert DataOptions(data="folder").columns() is None


def test_the_options_of_inject_are_those_of_tuning():
    offered = options_of_command("inject")
    for option in options_of(Tuning):
        assert offered[option.name].help == option.description
        assert offered[option.name].default is None


@dataclass(frozen=True)
class ToyOptions(OptionGroup):
    needed: Annotated[int, typer.Option(help="A number.")]
    text_column: Annotated[str | None, typer.Option(help="A column.")] = None


@settings_class(frozen=True, kw_only=True, config=STRICT)
class ToySettings:
    mode: Literal["slow", "fast"] = Field(default="slow", description="how it goes")
    rate: float = Field(default=0.5, gt=0, description="how much")
    loud: bool = Field(default=False, description="whether it says so")


def run_toy(*arguments: str) -> tuple[int, str, list[object]]:
    seen: list[object] = []

    def toy(
        *, first: str = "a", group: ToyOptions, settings: Annotated[ToySettings, OptionsOf("the toy")], last: int = 0
    ) -> None:
        """A toy."""
        seen.extend((first, group, settings, last))

    toys = new_app()
    add_command(toys, "toy", toy)
    add_command(toys, "other", lambda: None)
    result = CliRunner().invoke(toys, ["toy", *arguments])
    return result.exit_code, result.output, [*seen, *([result.exception] if result.exception else [])]


def test_a_command_gets_its_groups_as_values():
    options = ("--last", "3", "--mode", "fast", "--no-loud", "--needed", "7", "--text-column", "words")
    code, _, seen = run_toy(*options)
    assert code == 0
    assert seen == ["a", ToyOptions(7, "words"), ToySettings(mode="fast", loud=False), 3]
    assert ToyOptions(7, "words").given() == {"needed": 7, "text-column": "words"}
    assert ToyOptions(7).given() == {"needed": 7}


def test_the_options_stand_in_the_help_in_the_places_of_their_groups():
    code, shown, _ = run_toy("--help")
    assert code == 0
    order = ["--first", "--needed", "--text-column", "--mode slow|fast", "--rate", "--loud", "--last", "--debug"]
    places = [shown.index(flag) for flag in order]
    assert places == sorted(places)
    assert "how it goes" in shown


def test_a_required_option_of_a_group_is_required():
    code, shown, _ = run_toy()
    assert code == 2
    assert "--needed" in shown


def test_a_class_of_hyper_parameters_checks_its_options_itself():
    _, _, seen = run_toy("--needed", "1", "--mode", "medium")
    assert str(seen[-1]) == "the toy: mode='medium' is not possible: it should be 'slow' or 'fast'"
    _, _, seen = run_toy("--needed", "1", "--rate", "-1")
    assert "the toy: rate=-1.0 is not possible" in str(seen[-1])
