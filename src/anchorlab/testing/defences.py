"""What the contracts of repairs and detectors share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_args

from anchorlab.data import Kind, Modality
from anchorlab.defender.defence import Defence
from anchorlab.errors import AnchorlabError
from anchorlab.settings import options_of
from anchorlab.testing.contract import BrokenError, Finding, Rule, Subject, judge, require
from anchorlab.testing.settings import SETTINGS


def _says_what_it_needs(defence: Defence) -> None:
    require(
        defence.modality in get_args(Modality),
        f"modality is {defence.modality!r}: write one of {', '.join(get_args(Modality))}",
    )
    require(
        isinstance(defence.min_examples, int) and defence.min_examples >= 0,
        f"min_examples is {defence.min_examples!r}: write a number from 0 on",
    )


def _is_quick(defence: Defence) -> None:
    names = {option.name for option in options_of(type(defence))}
    others = sorted(set(defence.quick_values) - names)
    require(not others, f"quick_values names {', '.join(others)}, which are no settings: name settings alone")
    try:
        defence.quick()
    except (AnchorlabError, ValueError, TypeError) as error:
        raise BrokenError(f"quick_values cannot be set ({error}): give values that the settings take") from error


#: Rules of the settings of any repair or detector.
DEFENCE: tuple[Rule[Any], ...] = (
    *SETTINGS,
    Rule("says which data it needs", _says_what_it_needs),
    Rule("has a quick form", _is_quick),
)


def judge_defence(defence: Defence, rules: Iterable[Rule[Subject]], trial: Callable[[Kind], Subject]) -> list[Finding]:
    """What is found of a defence's settings and, where they are in order, on each kind of data that it is for.

    Args:
        defence: a repair or a detector.
        rules: of its behaviour.
        trial: a trial of it on a kind of data.
    """
    findings = judge(DEFENCE, defence)
    if all(finding.outcome == "kept" for finding in findings):
        kinds: tuple[tuple[Kind, str], ...] = (("image", "on images: "), ("text", "on texts: "))
        for kind, where in kinds:
            if defence.modality in ("any", kind):
                findings += judge(rules, trial(kind), where=where)
    return findings
