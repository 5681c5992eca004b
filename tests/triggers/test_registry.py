"""Triggers by name: as text, and as records of a manifest."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic.dataclasses import dataclass

from anchorlab.errors import AnchorlabError
from anchorlab.settings import STRICT
from anchorlab.triggers import (
    TRIGGERS,
    Blended,
    FivePixel,
    ImageTrigger,
    Sinusoid,
    Square,
    TextTrigger,
)
from anchorlab.triggers.insertion import Position
from tests.registering import registered
from tests.tokenizers import encoding
from tests.triggers.table import EVERY, images_of, triggered


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("five-pixel", FivePixel()),
        ("five-pixel:0", FivePixel(margin=0)),
        ("square:5", Square(size=5)),
        ("square:size=4,margin=0", Square(size=4, margin=0)),
        ("blended:0.5", Blended(alpha=0.5)),
        ("blended:alpha=0.1,pattern_seed=7", Blended(alpha=0.1, pattern_seed=7)),
        ("sinusoid:frequency=3", Sinusoid(frequency=3.0)),
    ],
)
def test_parses(text, trigger) -> None:
    assert TRIGGERS.parse(text) == trigger


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("five-pixle", "unknown trigger 'five-pixle': did you mean 'five-pixel'"),
        ("square:sise=4", "unknown parameter of trigger 'square' 'sise': did you mean 'size'"),
        (
            "square:size=0",
            "trigger 'square': size='0' is not possible: it should be greater than or equal to 1",
        ),
        ("five-pixel:value=256", "value='256' is not possible: it should be less than or equal to 255"),
        ("blended:0", "alpha='0' is not possible: it should be greater than 0"),
        ("blended:1.5", "alpha='1.5' is not possible: it should be less than or equal to 1"),
        ("sinusoid:amplitude=nan", "amplitude='nan' is not possible"),
        ("picture", "was given no picture"),
        ("picture:none.png", "there is no file none.png"),
    ],
)
def test_refuses(text, sentence) -> None:
    with pytest.raises(AnchorlabError, match=sentence):
        TRIGGERS.parse(text)


@pytest.mark.parametrize("name", EVERY)
def test_records_round_trip(name) -> None:
    record = TRIGGERS.to_dict(EVERY[name])
    assert record["name"] == name
    assert TRIGGERS.from_dict(json.loads(json.dumps(record))) == EVERY[name]


def test_a_record_is_a_name_and_the_parameters() -> None:
    assert TRIGGERS.to_dict(Square()) == {"name": "square", "size": 3, "margin": 1, "value": 255}


def test_records_that_are_wrong() -> None:
    with pytest.raises(AnchorlabError, match="a trigger's record needs a name, but has None: known are five-pixel"):
        TRIGGERS.from_dict({"margin": 1})
    with pytest.raises(AnchorlabError, match="unknown trigger 'wave'"):
        TRIGGERS.from_dict({"name": "wave"})
    with pytest.raises(AnchorlabError, match="unknown parameter of trigger 'blended' 'beta'"):
        TRIGGERS.from_dict({"name": "blended", "beta": 1})


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Corner(ImageTrigger):
    """A trigger of somebody else's: one pixel."""

    value: int = 255

    def constants(self, shape):
        return (torch.tensor(self.value, dtype=torch.uint8),)

    def apply(self, images, *constants):
        triggered = images.clone()
        triggered[:, :, 0, 0] = constants[0]
        return triggered


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exclamation(TextTrigger):
    """A trigger of somebody else's: a word at the end."""

    position: Position = "end"
    position_seed: int = 0

    def pieces(self):
        return ("cf",)


def test_a_trigger_of_ones_own_needs_two_methods_and_a_name() -> None:
    with registered(TRIGGERS, corner=Corner, exclamation=Exclamation):
        trigger = TRIGGERS.parse("corner:7")
        images = images_of(2, 1, 3, 3)
        made = triggered(trigger, images)
        assert (made != images).sum() <= 2
        assert made[:, 0, 0, 0].tolist() == [7, 7]
        assert TRIGGERS.from_dict(TRIGGERS.to_dict(trigger)) == trigger
        encoded = encoding("wordpiece")
        inputs = TRIGGERS.parse("exclamation").bind(encoded)(encoded.encode(["the plot"]))
        assert inputs["input_ids"][0].tolist() == encoded.tokenizer("the plot cf")["input_ids"]
