"""The variance of a mean over references and instances, where all references are measured on the same instances.

With ``y_ri = m + a_r + b_i + e_ri`` for reference r of R and instance i of N, all effects random, the mean of all cells
varies by ``s_a^2 / R + s_b^2 / N + s_e^2 / (R N)``. Student's t over reference means estimates the first and the last
term, because all references share the second. From mean squares, with ``V = MS / (number of cells)``:

    V_references + V_instances - V_cells,    V_references = MS_r / (R N),  V_instances = MS_i / (R N),
                                             V_cells = MS_ri / (R N)

and Satterthwaite's degrees of freedom (1946) are ``V^2`` over the sum of each part's square by its own degrees of
freedom, ``V_references^2 / (R - 1) + V_instances^2 / (N - 1) + V_cells^2 / ((R - 1)(N - 1))``.

A measurement that is no mean over instances enters by its influence on each: what it would move by, N times, if the
instance counted a little more. Tests compare all this with a simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

from anchorlab.statistics.arrays import Floats

#: Instances that carry no more than this share of the variance of a mean are not counted.
LEAST_SHARE = 0.2


@dataclass(frozen=True)
class InstanceVariance:
    """What instances carry of the variance of a mean over references.

    Attributes:
        instances: their number N.
        columns: ``V_instances``, of the instances' means over references.
        cells: ``V_cells``, of what is left of each reference and instance.
    """

    instances: int
    columns: float
    cells: float

    def share(self, between: float) -> float:
        """The share of the mean's variance that goes back to the instances, from 0 to 1.

        Args:
            between: ``V_references``, the squared standard error of the reference means.
        """
        own = max(self.columns - self.cells, 0.0)
        return own / (between + own) if own else 0.0

    def variance(self, between: float, references: int) -> tuple[float, float]:
        """The variance of the mean over references and instances, and Satterthwaite's degrees of freedom.

        Args:
            between: ``V_references``, the squared standard error of the reference means.
            references: their number R.
        """
        R, N = references, self.instances
        variance = between + max(self.columns - self.cells, 0.0)
        of_each = between**2 / (R - 1) + self.columns**2 / (N - 1) + self.cells**2 / ((R - 1) * (N - 1))
        return variance, variance**2 / of_each


class InstanceTally:
    """Adds up what references say of each instance, one reference after the other."""

    def __init__(self) -> None:
        self._references, self._squares = 0, 0.0
        self._total: Floats | None = None

    def add(self, influences: Floats) -> None:
        """Counts a reference, with its influence of each instance ``[N]``."""
        centred = influences - influences.mean()
        self._total = centred if self._total is None else self._total + centred
        self._squares += float(centred @ centred)
        self._references += 1

    def variance(self) -> InstanceVariance | None:
        """What instances carry; None with fewer than two references or instances."""
        if self._total is None or self._references < 2 or len(self._total) < 2:
            return None
        R, N = self._references, len(self._total)
        of_means = float(self._total @ self._total) / R  # R times the sum of squares of the instances' means
        of_cells = max(self._squares - of_means, 0.0)
        return InstanceVariance(N, of_means / ((N - 1) * R * N), of_cells / ((R - 1) * (N - 1) * R * N))
