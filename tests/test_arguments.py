"""Public verbs: an argument of a wrong type is refused at once, in a sentence that says what would be right."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import anchorlab
from anchorlab.arguments import checked
from anchorlab.errors import AnchorlabError
from anchorlab.scoring.detect import score_inputs
from tests.refusals import refused

VERBS = [getattr(anchorlab, name) for name in anchorlab.__all__ if inspect.isfunction(getattr(anchorlab, name))]
PARAMETERS = [
    (verb, name)
    for verb in VERBS
    for name, parameter in inspect.signature(verb).parameters.items()
    if parameter.annotation != "Any"
]


class Odd:
    """What no verb takes."""


@pytest.mark.parametrize(("verb", "name"), PARAMETERS, ids=lambda value: getattr(value, "__name__", value))
def test_every_verb_refuses_what_no_verb_takes(verb: Callable[..., object], name: str) -> None:
    required = [
        parameter.name
        for parameter in inspect.signature(verb).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    # The parameter that is looked at comes first, whatever the others would be refused for.
    arguments = {other: Odd() for other in (name, *required)}
    with pytest.raises(AnchorlabError, match=rf"^{verb.__name__}: \w+ is of type Odd, but must be .*: give one$"):
        verb(**arguments)


def test_of_arrays_of_logits_a_sentence_says_what_they_must_be() -> None:
    refused("logits", anchorlab.compare_logits, Odd(), np.zeros((2, 2)), [0, 1])
    refused("labels", anchorlab.compare_logits, np.eye(2), np.eye(2), Odd())


@checked
def verb(
    count: int = 0,
    share: float = 0.0,
    place: str | Path = "",
    size: tuple[int, int] | None = None,
    split: Literal["owner", "held-out"] = "owner",
    names: Sequence[str] = (),
    values: Mapping[str, int] | None = None,
    report: Callable[[int], None] | None = None,
    *,
    seed: int = 0,
    anything: Any = None,
) -> tuple[object, ...]:
    """A verb of each kind of parameter."""
    return count, share, place, size, split, names, values, report, seed, anything


def test_what_fits_passes_unchanged() -> None:
    given = (3, 1, Path("a"), [1, 2], "held-out", ["a"], {"a": 1}, print)
    assert verb(*given, seed=2, anything=Odd) == (*given, 2, Odd)
    assert verb.__doc__ == "A verb of each kind of parameter."
    assert list(inspect.signature(verb).parameters)[:2] == ["count", "share"]


def test_numbers_of_numpy_arrive_as_numbers_of_python() -> None:
    count, share, *_ = verb(np.int64(3), np.float32(0.5))  # type: ignore[arg-type]
    assert (count, type(count), share, type(share)) == (3, int, 0.5, float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": "3"}, "^verb: count is '3', but must be a whole number: give one$"),
        ({"count": True}, "count is True, but must be a whole number"),
        ({"count": 1.5}, "count is 1.5, but must be a whole number"),
        ({"share": None}, "share is None, but must be a number"),
        ({"place": 3}, "place is 3, but must be text or a path"),
        ({"place": b"a"}, "place is b'a', but must be text or a path"),
        ({"size": (1, 2, 3)}, r"size is \(1, 2, 3\), but must be 2 values or None"),
        ({"size": (1, "2")}, r"size is \(1, '2'\), but must be 2 values or None"),
        ({"split": "ownr"}, "unknown split of verb 'ownr': did you mean 'owner'?"),
        ({"split": 3}, "split is 3, but must be 'owner' or 'held-out'"),
        ({"names": "abc"}, "names is 'abc', but must be a list of text"),
        ({"names": ["a", 1]}, r"names is \['a', 1\], but must be a list of text"),
        ({"values": {1: 1}}, "values is {1: 1}, but must be a dictionary of a whole number or None"),
        ({"values": ["a"]}, r"values is \['a'\], but must be a dictionary"),
        ({"report": 3}, "report is 3, but must be a function or None"),
        ({"seed": -1}, "^verb: seed -1 is not possible: give a whole number from 0"),
        ({"seed": 2**63}, "seed 9223372036854775808 is not possible"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], message: str) -> None:
    refused(message, verb, **arguments)


def test_a_missing_or_unknown_argument_is_told_by_python() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'folder'"):
        anchorlab.load_model()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'sed'"):
        anchorlab.load_task(sed=3)  # type: ignore[call-arg]


def test_all_verbs_have_the_same_seed_unless_another_is_given() -> None:
    """So that two commands without a seed draw the same examples."""
    seeds = {
        verb.__name__: parameter.default
        for verb in (*VERBS, score_inputs)
        for parameter in inspect.signature(verb).parameters.values()
        if parameter.name == "seed" and parameter.default is not inspect.Parameter.empty
    }
    assert {"compare", "detect", "detect_inputs", "audit"} & set(seeds)
    assert set(seeds.values()) == {0}
