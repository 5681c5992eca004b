"""What a contract is: rules that are tried one by one, and what was found of each."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from anchorlab.errors import AnchorlabError, printable, reason, shortened

Subject = TypeVar("Subject")

Outcome = Literal["kept", "broken", "not tried"]


@dataclass(frozen=True)
class Finding:
    """What was found of one rule.

    Attributes:
        rule: what the member must do.
        outcome: whether it does.
        sentence: what was found and how to mend it; empty where the rule is kept.
    """

    rule: str
    outcome: Outcome
    sentence: str = ""


@dataclass(frozen=True)
class Contract:
    """What was found of one member of a family.

    Attributes:
        kind: ``method``, ``trigger``, ``repair``, ``detector`` or ``metric``.
        name: its name.
        findings: one for each rule.
    """

    kind: str
    name: str
    findings: tuple[Finding, ...]

    @property
    def kept(self) -> bool:
        """Whether no rule is broken."""
        return not self.broken

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The rules that are broken."""
        return self.having("broken")

    def having(self, outcome: Outcome) -> tuple[Finding, ...]:
        """The findings with one outcome."""
        return tuple(finding for finding in self.findings if finding.outcome == outcome)

    def assert_kept(self) -> None:
        """For a test.

        Raises:
            AssertionError: if a rule is broken; its text names each and says how to mend it.
        """
        if self.broken:
            lines = (f"- {finding.rule}: {finding.sentence}" for finding in self.broken)
            raise AssertionError("\n".join([f"the {self.kind} {self.name} breaks its contract", *lines]))

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        findings = [{"rule": each.rule, "outcome": each.outcome, "sentence": each.sentence} for each in self.findings]
        return {"kind": self.kind, "name": self.name, "kept": self.kept, "findings": findings}


class BrokenError(Exception):
    """A rule is broken; the text says what was found and how to mend it."""


class NotTriedError(Exception):
    """A rule does not apply, or could not be tried; the text says why."""


def require(condition: object, sentence: str) -> None:
    """Raises BrokenError with the sentence unless the condition holds."""
    if not condition:
        raise BrokenError(sentence)


@dataclass(frozen=True)
class Rule(Generic[Subject]):
    """A rule.

    Attributes:
        name: what the member must do, as in "leaves the model as it is".
        check: raises BrokenError or NotTriedError; anything else that it raises breaks the rule too.
        needed: whether the rules after it make no sense where it is not kept.
    """

    name: str
    check: Callable[[Subject], None]
    needed: bool = False


def judge(rules: Iterable[Rule[Subject]], subject: Subject, *, where: str = "") -> list[Finding]:
    """What is found of each rule, in their order.

    Args:
        rules: of the subject.
        subject: what they are tried on.
        where: begins the names of the rules, as in "on texts: ".
    """
    findings: list[Finding] = []
    missing = ""
    for rule in rules:
        if missing:
            findings.append(Finding(where + rule.name, "not tried", missing))
            continue
        outcome, sentence = _tried(rule, subject)
        findings.append(Finding(where + rule.name, outcome, sentence))
        if rule.needed and outcome != "kept":
            missing = f"because it does not do this: {rule.name}"
    return findings


def _tried(rule: Rule[Subject], subject: Subject) -> tuple[Outcome, str]:
    try:
        rule.check(subject)
    except BrokenError as error:
        return "broken", str(error)
    except NotTriedError as error:
        return "not tried", str(error)
    except AnchorlabError as error:
        return ("not tried" if rule.needed else "broken"), f"it refuses: {error}"
    except Exception as error:  # whatever code of a third party raises
        return "broken", f"it raised {printable(shortened(reason(error), 300))} in {_place(error)}: correct that"
    return "kept", ""


def _place(error: Exception) -> str:
    """The file and line that raised an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    return printable(f"{Path(last.filename).name}, line {last.lineno}")
