"""Settings: a task with its model, trigger and label rule; and which rows of a suite's frames belong to one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

_COLUMNS = ("task", "model", "trigger", "rule", "target")

#: Signs that only separate words: a name that loses them alone is still known by its letters and digits.
_BETWEEN = re.compile(r"[a-zA-Z0-9 _.,:;=/()-]*")
#: Most characters of a name that stay in a file name, which file systems bound.
_LONGEST = 100

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Setting:
    """A task with its model, trigger and label rule.

    Attributes:
        task: its name.
        model: its architecture; None while no run says it.
        trigger: as the suite names it.
        rule: the label rule.
        target: the target class, by number or name; None if the rule has no single one.
        mark: ends its file names, if another setting of the report has the same ones otherwise.
    """

    task: str
    model: str | None
    trigger: str
    rule: str
    target: int | str | None
    mark: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """For headings."""
        target = "" if self.target is None else f", target {self.target}"
        return f"{self.task}, {self.trigger}, {self.rule}{target}"

    @property
    def slug(self) -> str:
        """For file names and anchors of links."""
        parts = (self.task, self.model, self.trigger, self.rule, self.target)
        return slug("-".join(str(part) for part in parts if part is not None)) + self.mark


def slug(text: str) -> str:
    """A text as part of a file name or an id: small letters, digits and dashes.

    A text that loses more than spaces and punctuation, or is too long, gets a hash of it at the end: C++ is not C.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if _BETWEEN.fullmatch(text) and len(plain) <= _LONGEST and (plain or not text):
        return plain
    return f"{plain[:_LONGEST]}-{_digest(text)}".lstrip("-")


def distinct(slugs: Mapping[K, str]) -> dict[K, str]:
    """The same slugs, no two alike: of several that are, the plainest name keeps it, the others get a hash."""
    taken: dict[str, K] = {}
    for name in sorted(slugs, key=lambda name: (len(repr(name)), repr(name))):
        taken.setdefault(slugs[name], name)
    return {name: short if taken[short] == name else f"{short}-{_digest(repr(name))}" for name, short in slugs.items()}


def slugs_of(texts: Iterable[str]) -> dict[str, str]:
    """The slug of each text, no two alike."""
    return distinct({text: slug(text) for text in texts})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def settings_of(*frames: pd.DataFrame) -> list[Setting]:
    """Every setting that has a trigger, each once, in the order of the rows; earlier frames say what the model is."""
    settings: list[Setting] = []
    for stated in (stated for frame in frames for stated in _stated(frame)[0]):
        if "trigger" in stated and not any(_agrees(setting, stated) for setting in settings):
            values: dict[str, Any] = {name: stated.get(name) for name in _COLUMNS}
            settings.append(Setting(**values))
    slugs = {setting: setting.slug for setting in settings}
    marked = distinct(slugs)
    return [replace(setting, mark=marked[setting].removeprefix(slugs[setting])) for setting in settings]


def at_setting(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """The rows of a setting: all whose columns agree with it where they say something.

    Choices name no model, and a noise floor names no trigger: it belongs to every setting of its task.
    """
    statements, numbers = _stated(frame)
    agreeing = np.array([_agrees(setting, stated) for stated in statements], dtype=bool)
    rows: np.ndarray = agreeing[numbers]
    return frame[rows]


def _agrees(setting: Setting, stated: Mapping[str, Any]) -> bool:
    return all(getattr(setting, name) == value for name, value in stated.items())


def _stated(frame: pd.DataFrame) -> tuple[list[dict[str, Any]], np.ndarray]:
    """What rows say of their settings, each thing once, in the order of the rows; and which of them each row says.

    A column that is missing or empty in a row says nothing.
    """
    columns = [name for name in _COLUMNS if name in frame]
    known: dict[tuple[Any, ...], int] = {}
    rows = frame[columns].astype(object).itertuples(index=False, name=None)
    numbers = np.array([known.setdefault(row, len(known)) for row in rows], dtype=int)
    statements = [
        {
            name: _plain(name, value)
            for name, value in zip(columns, row, strict=True)
            if not (pd.isna(value) or value == "")
        }
        for row in known
    ]
    return statements, numbers


def _plain(name: str, value: Any) -> str | int:
    """The value as text; a target that is a number as int, because a column of numbers that lacks some holds floats."""
    return int(value) if name == "target" and not isinstance(value, str) else str(value)
