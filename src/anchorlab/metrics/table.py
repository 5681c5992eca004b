"""The columns of the per-instance table as metrics read them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.statistics.arrays import Floats, Integers, Truths

if TYPE_CHECKING:
    import pandas as pd


class InstanceTable:
    """A per-instance table, a row a clean instance, and what follows from its columns.

    Args:
        frame: the table, see ``anchorlab.consistency.instances``; or its columns by name, ``[N]`` each.
    """

    def __init__(self, frame: pd.DataFrame | Mapping[str, NDArray[Any]]) -> None:
        self._given = frame
        self._columns: dict[str, NDArray[Any]] = {}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table itself."""
        import pandas as pd

        return self._given if isinstance(self._given, pd.DataFrame) else pd.DataFrame(dict(self._given), copy=False)

    def __len__(self) -> int:
        """Number of instances."""
        return len(self.array("label"))

    def __contains__(self, column: str) -> bool:
        return column in self._given

    def array(self, column: str) -> NDArray[Any]:
        """A column as it is, ``[N]``."""
        if column not in self._columns:  # several metrics read one column, and pandas takes its time
            self._columns[column] = np.asarray(self._given[column])
        return self._columns[column]

    def __getitem__(self, column: str) -> Floats:
        """A column as float64 ``[N]``."""
        return np.asarray(self.array(column), dtype=np.float64)

    def integers(self, column: str) -> Integers:
        """A column of integers, int64 ``[N]``."""
        return np.asarray(self.array(column), dtype=np.int64)

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
