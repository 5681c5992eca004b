"""Settings: a task with its model, trigger and label rule; and which rows of a suite's frames belong to one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

_COLUMNS = ("task", "model", "trigger", "rule", "target")


@dataclass(frozen=True)
class Setting:
    """A task with its model, trigger and label rule.

    Attributes:
        task: its name.
        model: its architecture; None while no run says it.
        trigger: as the suite names it.
        rule: the label rule.
        target: the target class, by number or name; None if the rule has no single one.
    """

    task: str
    model: str | None
    trigger: str
    rule: str
    target: int | str | None

    @property
    def words(self) -> str:
        """For headings."""
        target = "" if self.target is None else f", target {self.target}"
        return f"{self.task}, {self.trigger}, {self.rule}{target}"

    @property
    def slug(self) -> str:
        """For file names and anchors of links."""
        parts = (self.task, self.model, self.trigger, self.rule, self.target)
        return slug("-".join(str(part) for part in parts if part is not None))


def slug(text: str) -> str:
    """A text as part of a file name: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def settings_of(*frames: pd.DataFrame) -> list[Setting]:
    """Every setting that has a trigger, each once, in the order of the rows; earlier frames say what the model is."""
    settings: list[Setting] = []
    for stated in (stated for frame in frames for stated in _stated_by_row(frame)):
        if "trigger" in stated and not any(_agrees(setting, stated) for setting in settings):
            values: dict[str, Any] = {name: stated.get(name) for name in _COLUMNS}
            settings.append(Setting(**values))
    return settings


def at_setting(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """The rows of a setting: all whose columns agree with it where they say something.

    Choices name no model, and a noise floor names no trigger: it belongs to every setting of its task.
    """
    return frame[np.array([_agrees(setting, stated) for stated in _stated_by_row(frame)], dtype=bool)]


def _agrees(setting: Setting, stated: Mapping[str, Any]) -> bool:
    return all(getattr(setting, name) == value for name, value in stated.items())


def _stated_by_row(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What each row says of its setting; a column that is missing or empty in a row says nothing."""
    columns = [name for name in _COLUMNS if name in frame]
    rows = frame[columns].astype(object).itertuples(index=False, name=None)
    return [
        {
            name: _plain(name, value)
            for name, value in zip(columns, row, strict=True)
            if not (pd.isna(value) or value == "")
        }
        for row in rows
    ]


def _plain(name: str, value: Any) -> str | int:
    """The value as text; a target that is a number as int, because a column of numbers that lacks some holds floats."""
    return int(value) if name == "target" and not isinstance(value, str) else str(value)
