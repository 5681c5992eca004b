"""What a report is made from: the results of a suite, and pictures to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """A few inputs to show with and without the trigger.

    Attributes:
        clean: images, uint8 ``[n, C, H, W]``, or n texts.
        triggered: the same with the trigger.
        labels: true labels, int64 ``[n]``.
        classes: names of the classes, by label.
        trigger: that of images on black, uint8 ``[C, H, W]``; None for texts, and where there is none to show.
    """

    clean: Tensor | Sequence[str]
    triggered: Tensor | Sequence[str]
    labels: Tensor
    classes: Sequence[str]
    trigger: Tensor | None = None


class Results(Protocol):
    """The results of a suite; ``anchorlab.suites.collect.SuiteResults`` is one and explains every column."""

    @property
    def name(self) -> str:
        """Short name of the suite."""

    @property
    def title(self) -> str:
        """Heading of the report."""

    @property
    def command(self) -> str:
        """The exact command line."""

    @property
    def spec_text(self) -> str:
        """The suite file."""

    @property
    def results(self) -> pd.DataFrame:
        """A row for each reported run and target attack success rate."""

    @property
    def selection(self) -> pd.DataFrame:
        """A row for each run that chose strengths, and scale, measured on ``selection``."""

    @property
    def choices(self) -> pd.DataFrame:
        """The strength chosen for each condition and method, and whether it reached the target."""

    @property
    def repairs(self) -> pd.DataFrame:
        """A row for each repair of a reported run, benign update or reference; empty where nothing is repaired."""

    @property
    def detections(self) -> pd.DataFrame:
        """A row for each time a detector was asked of a model; empty where there are no detectors."""

    @property
    def failed(self) -> pd.DataFrame:
        """Cells that failed: ``what``, ``stage``, ``error``, ``identity``."""

    @property
    def pending(self) -> int:
        """Reported cells that are not done yet."""

    @property
    def references(self) -> Sequence[Mapping[str, Any]]:
        """Task, model, seed, accuracy, weights_sha256 and seconds of each reference."""

    @property
    def examples(self) -> Mapping[str, Examples]:
        """Clean and triggered inputs, by task and trigger."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the libraries."""

    @property
    def machine(self) -> str:
        """The machine, in words."""

    def instances(self, identity: str) -> pd.DataFrame:
        """The per-instance table of a reported run; the same instances in the same order for all runs of a task."""

    def scores(self, identity: str) -> pd.DataFrame:
        """What a detector of inputs gave each: columns ``triggered`` and ``score``; empty where it is not known."""

    def inverted(self, identity: str) -> Sequence[tuple[int, Tensor]]:
        """The triggers that a detector of models found, the most suspicious first: label, picture on black."""

    def pictures(self, task: str, rows: list[int]) -> Examples | None:
        """Clean test instances by row number; None if they cannot be shown."""
