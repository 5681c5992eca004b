"""The parts of a suite within which methods are compared: a setting at a target ASR, with one number of anchors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from anchorlab.reports.suite.paired import capitalised
from anchorlab.reports.suite.settings import Setting, at_setting, settings_of
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.success import works

_RUNS = ("task", "trigger", "method", "role", "target_asr", "anchors_asked", "seed", "reference_seed", "asr", "kl")
_CHOICES = (
    *("task", "trigger", "method", "target_asr", "anchors_asked", "reached", "best_asr", "strength", "at_edge"),
    "tried",
)


@dataclass(frozen=True)
class Part:
    """A part of a suite.

    Attributes:
        words: what distinguishes it from the other parts; empty if there is no other.
        task: the name of its task.
        target_asr: the ASR that was asked for.
        runs: a row for each reported run of a method or control that belongs to it.
        choices: a row for each method whose strength was chosen, or that did not reach the target.
    """

    words: str
    task: str
    target_asr: float
    runs: pd.DataFrame
    choices: pd.DataFrame

    @property
    def methods(self) -> dict[str, pd.DataFrame]:
        """The runs of each method, whatever their ASR, in the order of the suite."""
        return self._of("method")

    @property
    def controls(self) -> dict[str, pd.DataFrame]:
        """The runs of each control."""
        return self._of("control")

    @property
    def missed(self) -> pd.DataFrame:
        """The choices of methods that did not reach the target on ``selection``."""
        return self.choices[~self.choices["reached"].astype(bool)]

    def working(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs whose backdoor works: their ASR on ``test`` is near the target, or above it."""
        return runs[works(runs)]

    def _of(self, role: str) -> dict[str, pd.DataFrame]:
        rows = self.runs[self.runs["role"] == role]
        return {str(label): of_label for label, of_label in rows.groupby("method", sort=False)}

    def say(self, sentence: str) -> str:
        """The sentence, with the part's words before it."""
        return f"{self.words}: {sentence}" if self.words else capitalised(sentence)


def parts_of(results: SuiteResults) -> list[Part]:
    """Every part of a suite, in the order in which they first appear."""
    runs = _with_columns(results.results, _RUNS)
    runs = runs[runs["role"] != "noise"]
    choices = _with_columns(results.choices, _CHOICES)
    settings = settings_of(runs, choices)
    keys = [key for setting in settings for key in _keys(setting, at_setting(runs, setting), choices)]
    words = [_words(setting, asked, target) for setting, asked, target, _, _ in keys]
    varying = [index for index, column in enumerate(zip(*words, strict=True)) if len(set(column)) > 1]
    return [
        Part(", ".join(filter(None, (each[index] for index in varying))), setting.task, target, *frames)
        for each, (setting, _, target, *frames) in zip(words, keys, strict=True)
    ]


def _keys(setting: Setting, runs: pd.DataFrame, every_choice: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Setting, anchors, target ASR, runs and choices of each part of a setting."""
    choices = at_setting(every_choice, setting)
    targets = sorted(float(t) for t in pd.concat([runs["target_asr"], choices["target_asr"]]).dropna().unique())
    sizes = dict.fromkeys([*choices["anchors_asked"].astype(str), *runs["anchors_asked"].astype(str)])
    for target in targets:
        for asked in sizes:
            at_target = (runs["target_asr"] == target) | runs["target_asr"].isna()
            ours = runs[at_target & (runs["anchors_asked"].astype(str) == asked)]
            chosen = choices[(choices["target_asr"] == target) & (choices["anchors_asked"].astype(str) == asked)]
            if len(ours) or len(chosen):
                yield setting, asked, target, ours, chosen


def _words(setting: Setting, asked: str, target: float) -> tuple[str, ...]:
    """What may distinguish a part, each in words."""
    label = "" if setting.target is None else f"target {setting.target}"
    attack = (setting.task, setting.model or "", setting.trigger, setting.rule, label)
    return (*attack, f"{asked} anchors", f"target ASR {target:g}")


def _with_columns(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    return frame.reindex(columns=[*dict.fromkeys([*frame.columns, *names])])
