"""Hyper-parameters: what is accepted, and how mistakes are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from anchorlab.errors import AnchorlabError
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import Anchoring
from anchorlab.perturbation.settings import AnalysisSettings
from anchorlab.settings import (
    LATER,
    NEW,
    STRICT,
    Option,
    build,
    check_seed,
    former_values,
    formerly,
    invalid,
    options_of,
    parse_pairs,
    parse_spec,
    strength_value,
    values_of,
)
from anchorlab.suites.spec import Suite
from anchorlab.training.reference import Training
from anchorlab.triggers import Square


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Oven:
    temperature: float = Field(default=180.0, ge=0, description="degrees Celsius")
    mode: Literal["fan", "grill"] = Field(default="fan", description="where the heat comes from")
    shelves: int = Field(default=2, ge=1, description="number of shelves")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Picture:
    path: str = Field(description="image file")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Nothing:
    """No hyper-parameter."""


def test_options_are_listed_in_order_with_type_default_and_description():
    assert options_of(Oven) == [
        Option("temperature", "float", 180.0, "degrees Celsius"),
        Option("mode", "fan | grill", "fan", "where the heat comes from"),
        Option("shelves", "int", 2, "number of shelves"),
    ]


def test_text_becomes_values():
    oven = build(Oven, "oven", {"temperature": "2e2", "mode": "grill", "shelves": "3"})
    assert oven == Oven(temperature=200.0, mode="grill", shelves=3)
    assert values_of(oven) == {"temperature": 200.0, "mode": "grill", "shelves": 3}
    assert eval(repr(oven)) == oven


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temprature": 1}, r"unknown parameter of oven 'temprature': did you mean 'temperature'\?"),
        ({"temperature": -1}, "oven: temperature=-1 is not possible: it should be greater than or equal to 0"),
        ({"temperature": "hot"}, "oven: temperature='hot' is not possible: it should be a valid number"),
        ({"temperature": "nan"}, "oven: temperature='nan' is not possible: it should be a finite number"),
        ({"mode": "steam"}, "oven: mode='steam' is not possible: it should be 'fan' or 'grill'"),
        ({"mode": "a\udcff"}, r"oven: mode='a\\udcff' is not possible: give it in UTF-8"),
        ({"shelves": "1.5"}, "oven: shelves='1.5' is not possible: it should be a valid integer"),
    ],
)
def test_mistakes_name_owner_parameter_value_and_what_is_expected(values, message):
    with pytest.raises(AnchorlabError, match=message):
        build(Oven, "oven", values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"deterministic": "maybe"}, "deterministic='maybe' is not possible: it should be true or false"),
        ({"steps": "a"}, "steps='a' is not possible: it should be a valid integer"),
        (
            {"precision": False},
            "precision=False is not possible: it should be 'no', 'bf16' or 'auto'; "
            'YAML reads a bare no as false, so write "no" in quotes',
        ),
    ],
)
def test_mistakes_are_told_without_the_terms_of_the_library(values, message):
    with pytest.raises(AnchorlabError) as refused:
        build(Tuning, "the tuning", values)
    assert str(refused.value) == f"the tuning: {message}"


def _refuse(kind, words):
    raise PydanticCustomError(kind, words)


class Inner(BaseModel):
    """A part of it."""


class Record(BaseModel):
    """One field of each kind whose complaint does not begin with what the value should be."""

    model_config = ConfigDict(extra="forbid")

    several: tuple[int, ...] = Field(default=(1,), min_length=1, max_length=2)
    named: dict[str, int] = Field(default={"a": 1}, min_length=1)
    short: str = Field(default="a", max_length=2, pattern="^a")
    count: int = 1
    even: Annotated[int, AfterValidator(lambda value: _refuse("odd_number", "No even number"))] = 2
    halved: Annotated[int, AfterValidator(lambda value: _refuse("odd_number", "must be even"))] = 2
    inner: Inner | None = None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("several", (), "it should have at least 1 item"),
        ("several", (1, 2, 3), "it should have at most 2 items"),
        ("several", 3, "it should be a valid list"),
        ("named", {}, "it should have at least 1 item"),
        ("named", 3, "it should be names with values"),
        ("inner", 3, "it should be names with values"),
        ("short", "aaa", "it should have at most 2 characters"),
        ("short", "b", "it should match pattern '^a'"),
        ("count", "9" * 5000, "it should be a valid integer of fewer digits"),
        ("even", 1, "it does not fit (no even number)"),
        ("halved", 1, "it must be even"),
    ],
)
def test_every_complaint_is_a_sentence(name, value, words):
    with pytest.raises(ValidationError) as refused:
        Record.model_validate({name: value})
    sentence = str(invalid("the record", refused.value))
    assert sentence.startswith(f"the record: {name}=")
    assert sentence.endswith(f" is not possible: {words}")


def test_a_name_that_is_not_known_there_is_no_impossible_value():
    with pytest.raises(ValidationError) as refused:
        Record.model_validate({"cuont": 1})
    assert str(invalid("the record", refused.value)) == (
        "the record has 'cuont', which is not known there: correct it, or remove it"
    )


def test_a_truth_value_is_no_number():
    with pytest.raises(AnchorlabError, match="the tuning: steps=True is not possible: it should be a number"):
        build(Tuning, "the tuning", {"steps": True})
    assert build(Tuning, "the tuning", {"deterministic": True}).deterministic is True


def test_a_missing_parameter_is_named():
    with pytest.raises(AnchorlabError, match=r"^picture lacks path, which has no default: give it$"):
        build(Picture, "picture", {})


def test_pairs():
    assert parse_pairs(["a=1", "b=x=y", "c="], "--set") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("pair", ["strength", "=2", ""])
def test_a_pair_without_name_or_sign_is_refused(pair):
    with pytest.raises(AnchorlabError, match=rf"--set '{pair}' is not of the form name=value"):
        parse_pairs([pair], "--set")


def test_a_name_given_twice_is_refused():
    with pytest.raises(AnchorlabError, match="--set gives a twice, as '1' and '2'"):
        parse_pairs(["a=1", "a=2"], "--set")


def test_specifications():
    assert parse_spec("five-pixel") == ("five-pixel", None, {})
    assert parse_spec("square:size=4,margin=1") == ("square", None, {"size": "4", "margin": "1"})
    assert parse_spec("picture:logo.png") == ("picture", "logo.png", {})
    assert parse_spec("picture:a,b.png") == ("picture", "a,b.png", {})
    assert parse_spec("picture:logo.png,margin=2") == ("picture", "logo.png", {"margin": "2"})


def test_a_value_without_a_name_is_the_first_parameter():
    assert parse_spec("picture:logo.png").values_for(Picture, "picture") == {"path": "logo.png"}
    assert parse_spec("oven:90,shelves=3").values_for(Oven, "oven") == {"temperature": "90", "shelves": "3"}
    with pytest.raises(AnchorlabError, match="nothing takes no parameter, but was given 'x'"):
        parse_spec("nothing:x").values_for(Nothing, "nothing")


def test_the_value_of_a_strength():
    assert strength_value(Oven(shelves=3), "shelves") == 3.0
    assert strength_value(Nothing(), None) is None


@pytest.mark.parametrize("seed", [-1, 2**63, 10**5000], ids=["negative", "64 bits", "5,000 digits"])
def test_a_seed_has_63_bits(seed):
    assert check_seed(2**63 - 1) == 2**63 - 1
    with pytest.raises(AnchorlabError, match=r"seed .* is not possible: give a whole number"):
        check_seed(seed)


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [(Tuning, "steps", 10**18), (Tuning, "batch_size", 10**12), (AnalysisSettings, "resamples", 10**9)],
)
def test_numbers_for_which_time_or_memory_cannot_do_are_refused(cls, name, value):
    with pytest.raises(AnchorlabError, match=f"{name}={value} is not possible: it should be less than or equal to"):
        build(cls, "it", {name: value})


def test_a_later_hyper_parameter_is_recorded_only_away_from_its_default():
    @dataclass(frozen=True, kw_only=True, config=STRICT)
    class Grown:
        first: int = Field(default=1, description="was always there")
        later: list[int] = Field(default=[], json_schema_extra=LATER, description="came with a later version")

    assert values_of(Grown()) == {"first": 1}
    assert former_values(Grown()) == {"first": 1}
    assert values_of(Grown(later=[2])) == {"first": 1, "later": [2]}
    assert build(Grown, "it", values_of(Grown(later=[2]))) == Grown(later=[2])


def test_what_earlier_versions_recorded_lacks_new_options_and_has_their_defaults():
    @dataclass(frozen=True, kw_only=True, config=STRICT)
    class Changed:
        kept: int = Field(default=1, description="is as it was")
        other: int | None = Field(default=None, json_schema_extra=formerly(20), description="had another default")
        new: str = Field(default="shift", json_schema_extra=NEW, description="changes what is computed")

    assert values_of(Changed()) == {"kept": 1, "other": None, "new": "shift"}
    assert former_values(Changed(kept=3)) == {"kept": 3, "other": 20}
    assert former_values(Changed(other=7)) == {"kept": 1, "other": 7}
    assert former_values(Changed(new="none")) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Tuning(steps=0), "Tuning: steps=0 is not possible: it should be greater than or equal to 1"),
        (lambda: Tuning(step=3), "unknown parameter of Tuning 'step': did you mean 'steps'?"),
        (lambda: Training(epoch=3), "unknown parameter of Training 'epoch': did you mean 'epochs'?"),
        (lambda: Anchoring(strength=-1), "Anchoring: strength=-1 is not possible"),
        (lambda: Square(siez=2), "unknown parameter of Square 'siez': did you mean 'size'?"),
        (lambda: Suite(name="x"), "Suite lacks title, which has no default: give it"),
        (lambda: Suite(nmae="x"), "Suite: unknown key 'nmae': did you mean 'name'?"),
    ],
)
def test_settings_that_python_makes_are_refused_in_one_sentence(make: Callable[[], object], words: str) -> None:
    with pytest.raises(AnchorlabError) as refused:
        make()
    assert str(refused.value).startswith(words)
