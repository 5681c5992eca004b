"""The tables of an analysis, a file each; a record is all that a new table needs, and a line below."""

from __future__ import annotations

from anchorlab.perturbation.table import AnalysisTable
from anchorlab.perturbation.tables.adapter import ADAPTER
from anchorlab.perturbation.tables.angles import ANGLES
from anchorlab.perturbation.tables.behaviour import BEHAVIOUR
from anchorlab.perturbation.tables.bounds import BOUNDS, INSTANCES
from anchorlab.perturbation.tables.gradients import GRADIENTS
from anchorlab.perturbation.tables.paths import BARRIERS, PATHS
from anchorlab.perturbation.tables.plane import MODELS, PLANE
from anchorlab.perturbation.tables.quadratic import QUADRATIC
from anchorlab.perturbation.tables.rayleigh import RAYLEIGH
from anchorlab.perturbation.tables.sizes import SIZES
from anchorlab.perturbation.tables.spectrum import SPECTRUM

#: Every table by its name, in the order in which findings speak of them. A budget goes to cheap tables first.
TABLES: dict[str, AnalysisTable] = {
    table.name: table
    for table in (
        SIZES,
        BARRIERS,
        ANGLES,
        BEHAVIOUR,
        QUADRATIC,
        PATHS,
        SPECTRUM,
        RAYLEIGH,
        BOUNDS,
        INSTANCES,
        PLANE,
        MODELS,
        GRADIENTS,
        ADAPTER,
    )
}
