"""The plane through three models in weight space: clean loss and attack success on a grid of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anchorlab.perturbation.context import Context
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.probe import Probe, Triggered
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Cost
from anchorlab.perturbation.weights import Perturbation, WeightSpace, products
from anchorlab.perturbation.wording import REFERENCE

Floats = NDArray[np.float64]

#: Room around the models, as a share of what they span.
_MARGIN = 0.25

#: Sine of the angle below which two perturbations count as one direction.
_FLAT = 1e-3


@dataclass(frozen=True)
class Plane:
    """A plane through the reference, with coordinates in units of the parameters' L2 norm.

    Buffers move in proportion to the parameters: a point is ``w + a d_1 + b d_2`` in both.

    Attributes:
        first: name of the candidate on the first axis.
        second: name of the candidate that spans the plane with it.
        positions: name to ``(x, y)`` of each candidate's projection.
        distances: name to the L2 distance from the plane.
    """

    first: str
    second: str
    positions: Mapping[str, tuple[float, float]]
    distances: Mapping[str, float]

    def multiples(self, x: float, y: float) -> tuple[float, float]:
        """How much of either perturbation leads to a place."""
        (x1, _), (x2, y2) = self.positions[self.first], self.positions[self.second]
        second = y / y2
        return (x - second * x2) / x1, second


def plane_through(perturbations: Mapping[str, Perturbation], backdoored: Collection[str] = ()) -> Plane | None:
    """The plane of the first perturbation and the largest of the others; None if no two span one.

    Args:
        perturbations: by name, those that move parameters.
        backdoored: names of those that carry a backdoor; the second is one of them if any spans a plane.
    """
    names = list(perturbations)
    if len(names) < 2:
        return None
    gram = products(list(perturbations.values())).numpy()
    norms = np.sqrt(gram.diagonal())
    # Gram and Schmidt, by inner products alone: no further vector as long as the weights is needed.
    x = gram[0] / norms[0]
    heights = np.sqrt(np.maximum(norms**2 - x**2, 0))
    spanning = [i for i in range(1, len(names)) if heights[i] > _FLAT * norms[i]]
    if not spanning:
        return None
    second = max([i for i in spanning if names[i] in backdoored] or spanning, key=lambda i: norms[i])
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


def positions(plane: Plane) -> pd.DataFrame:
    """The table ``models``."""
    rows = [{"candidate": REFERENCE, "x": 0.0, "y": 0.0, "distance": 0.0}]
    for name, (x, y) in plane.positions.items():
        rows.append({"candidate": name, "x": x, "y": y, "distance": plane.distances[name]})
    return pd.DataFrame(rows)


def grid(plane: Plane, steps: int) -> list[tuple[float, float]]:
    """Places around all models, row by row: ``steps`` along either axis."""
    around = np.array([(0.0, 0.0), *plane.positions.values()])
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
        asr = float("nan")
        if triggered is not None and triggered.count:
            asr = triggered.successes(model) / triggered.count
        rows.append({"x": x, "y": y, "loss": probe.loss(model), "asr": asr})
        report()
    return pd.DataFrame(rows)


def plane_of(context: Context) -> Plane | None:
    """The plane of an analysis; None if no two perturbations span one."""
    moving = {name: context.perturbations[name] for name in context.moving}
    return plane_through(moving, context.backdoored)


def _parts(context: Context) -> Iterator[Part]:
    plane = context.shared(plane_of)
    if plane is not None:
        spanning = [plane.first, plane.second]
        others = [name for name in context.moving if name not in spanning]
        yield context.part(
            "plane", spanning + others, partial(_measure, context, plane), context.settings.plane_steps**2
        )


def _measure(context: Context, plane: Plane, tick: Tick) -> Tables:
    attack = next((attack for attack in context.attacks.values() if attack is not None), None)
    few = context.first(context.settings.plane_examples)
    surveyed = survey(
        context.space,
        plane,
        context.perturbations,
        Probe(few, context.model),
        None if attack is None else Triggered(few, attack),
        context.settings.plane_steps,
        tick,
    )
    return {"plane": surveyed, "models": positions(plane)}


PLANE = AnalysisTable(
    name="plane",
    description="clean loss and attack success on the plane through three models",
    columns=[
        AnalysisColumn("x", "L2 distance from the reference along the first axis"),
        AnalysisColumn("y", "L2 distance from the reference along the second axis"),
        AnalysisColumn("loss", "mean clean loss, nats; infinite where a logit is"),
        AnalysisColumn("asr", "share of attacked examples predicted as the attacker wants", "ASR"),
    ],
    has_candidate=False,
    cost=Cost.GRID,
    parts=_parts,
    in_page=False,
)

MODELS = AnalysisTable(
    name="models",
    description="where the models lie on that plane",
    columns=[
        AnalysisColumn("x", "of the model's projection; the first row is the ``reference`` at 0, 0"),
        AnalysisColumn("y", "of the model's projection"),
        AnalysisColumn("distance", "L2 distance of the model from the plane"),
    ],
)
