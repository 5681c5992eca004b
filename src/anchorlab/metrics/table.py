"""The columns of the per-instance table as metrics read them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from anchorlab.statistics.arrays import Floats, Integers, Truths

if TYPE_CHECKING:
    import pandas as pd


class InstanceTable:
    """A per-instance table, a row a clean instance, and what follows from its columns.

    Args:
        frame: the table, see ``anchorlab.consistency.instances``.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def __len__(self) -> int:
        """Number of instances."""
        return len(self.frame)

    def __contains__(self, column: str) -> bool:
        return column in self.frame

    def __getitem__(self, column: str) -> Floats:
        """A column as float64 ``[N]``."""
        return np.asarray(self.frame[column].to_numpy(), dtype=np.float64)

    def integers(self, column: str) -> Integers:
        """A column of integers, int64 ``[N]``."""
        values: Any = self.frame[column].to_numpy()
        return np.asarray(values, dtype=np.int64)

    @cached_property
    def label(self) -> Integers:
        """The true class of each instance."""
        return self.integers("label")

    @cached_property
    def prediction_reference(self) -> Integers:
        """The reference's prediction."""
        return self.integers("prediction_reference")

    @cached_property
    def prediction(self) -> Integers:
        """The candidate's prediction."""
        return self.integers("prediction")

    @cached_property
    def right_reference(self) -> Truths:
        """Whether the reference is right."""
        return np.asarray(self.prediction_reference == self.label, dtype=np.bool_)

    @cached_property
    def right(self) -> Truths:
        """Whether the candidate is right."""
        return np.asarray(self.prediction == self.label, dtype=np.bool_)

    @cached_property
    def wanted(self) -> Integers:
        """The attacker's label; -1 if the instance is not attacked."""
        return self.integers("wanted")

    @cached_property
    def attacked(self) -> Truths:
        """Whether the instance is attacked."""
        return np.asarray(self.wanted >= 0, dtype=np.bool_)

    @cached_property
    def target(self) -> int | None:
        """The one label that the attacker wants; None if no instance is attacked, or several labels are wanted."""
        labels = np.unique(self.wanted[self.attacked])
        return int(labels[0]) if len(labels) == 1 else None

    @cached_property
    def elsewhere(self) -> Truths:
        """Whether there is one target and the reference does not predict it."""
        if self.target is None:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray(self.prediction_reference != self.target, dtype=np.bool_)
