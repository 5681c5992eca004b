"""The plane through three models in weight space: clean loss and attack success on a grid of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anchorlab.perturbation.analysis import REFERENCE
from anchorlab.perturbation.behaviour import Probe, Triggered
from anchorlab.perturbation.weights import Perturbation, WeightSpace, products

Floats = NDArray[np.float64]

#: Room around the models, as a share of what they span.
_MARGIN = 0.25

#: Sine of the angle below which two changes count as one direction.
_FLAT = 1e-3


@dataclass(frozen=True)
class Plane:
    """A plane through the reference, with coordinates in units of the parameters' L2 norm.

    Buffers move in proportion to the parameters: a point is ``w + a d_1 + b d_2`` in both.

    Attributes:
        first: name of the candidate on the first axis.
        second: of that which spans the plane with it.
        places: name to ``(x, y)`` of each candidate's projection.
        distances: name to the L2 distance from the plane.
    """

    first: str
    second: str
    places: Mapping[str, tuple[float, float]]
    distances: Mapping[str, float]

    def multiples(self, x: float, y: float) -> tuple[float, float]:
        """How much of either change leads to a place."""
        (x1, _), (x2, y2) = self.places[self.first], self.places[self.second]
        second = y / y2
        return (x - second * x2) / x1, second


def plane_through(perturbations: Mapping[str, Perturbation], attacked: Collection[str] = ()) -> Plane | None:
    """The plane of the first change and the largest of the others; None if no two span one.

    Args:
        perturbations: by name, those that move parameters.
        attacked: names of those that carry a backdoor, among which the second is looked for first.
    """
    names = list(perturbations)
    if len(names) < 2:
        return None
    gram = products(list(perturbations.values())).numpy()
    norms = np.sqrt(gram.diagonal())
    # Gram and Schmidt, by inner products alone: no further vector as long as the weights is needed.
    x = gram[0] / norms[0]
    heights = np.sqrt(np.maximum(norms**2 - x**2, 0))
    spanning = [at for at in range(1, len(names)) if heights[at] > _FLAT * norms[at]]
    if not spanning:
        return None
    second = max([at for at in spanning if names[at] in attacked] or spanning, key=lambda at: norms[at])
    y = (gram[second] - x[second] * x) / heights[second]
    y[0] = 0  # but for rounding
    rest = np.sqrt(np.maximum(norms**2 - x**2 - y**2, 0))
    rest[[0, second]] = 0
    return Plane(
        names[0],
        names[second],
        {name: (float(x[i]), float(y[i])) for i, name in enumerate(names)},
        {name: float(rest[i]) for i, name in enumerate(names)},
    )


def marks(plane: Plane) -> pd.DataFrame:
    """The table ``models``."""
    rows = [{"candidate": REFERENCE, "x": 0.0, "y": 0.0, "distance": 0.0}]
    for name, (x, y) in plane.places.items():
        rows.append({"candidate": name, "x": x, "y": y, "distance": plane.distances[name]})
    return pd.DataFrame(rows)


def grid(plane: Plane, steps: int) -> list[tuple[float, float]]:
    """Places around all models, row by row: ``steps`` along either axis."""
    around = np.array([(0.0, 0.0), *plane.places.values()])
    low, high = around.min(axis=0), around.max(axis=0)
    room = _MARGIN * np.maximum(high - low, (high - low).max() / 4)
    xs, ys = (np.linspace(low[axis] - room[axis], high[axis] + room[axis], steps) for axis in (0, 1))
    return [(float(x), float(y)) for y in ys for x in xs]


def survey(
    space: WeightSpace,
    plane: Plane,
    perturbations: Mapping[str, Perturbation],
    probe: Probe,
    triggered: Triggered | None,
    steps: int,
    report: Callable[[], None],
) -> pd.DataFrame:
    """The table ``plane``: mean clean loss, infinite where a logit is, and ASR at each place of a grid.

    Args:
        space: where points are built.
        plane: through three models.
        perturbations: by name.
        probe: clean examples.
        triggered: the same with an attack; None without one.
        steps: places along either axis.
        report: called after each place.
    """
    rows = []
    for x, y in grid(plane, steps):
        first, second = plane.multiples(x, y)
        model = space.at((first, perturbations[plane.first]), (second, perturbations[plane.second]))
        hits = None if triggered is None or not triggered.count else triggered.hits(model) / triggered.count
        rows.append({"x": x, "y": y, "loss": probe.loss(model), "asr": float("nan") if hits is None else hits})
        report()
    return pd.DataFrame(rows)
