"""Whether each perturbation is small, and whether it stays in the reference's basin: a sentence a candidate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from anchorlab.perturbation.analysis import Analysis
from anchorlab.perturbation.tables.paths import CONNECTED
from anchorlab.perturbation.tables.sizes import WHOLE
from anchorlab.perturbation.wording import interval, percent, rows_where
from anchorlab.statistics.numbers import defined


def words_of_sizes(analysis: Analysis) -> Iterator[str]:
    """A sentence a candidate, as far as it was measured, in their order.

    Args:
        analysis: what ``analyze`` measured.
    """
    sizes = _by_candidate(analysis, "sizes", layer=WHOLE)
    behaviour = _by_candidate(analysis, "behaviour", part="all")
    barriers = _by_candidate(analysis, "barriers", buffers="stored")
    for name in analysis.candidates:
        words = []
        if name in sizes:
            words.append(f"its parameters change by {percent(sizes[name]['relative'])} of the reference's L2 norm")
        if name in behaviour and defined(behaviour[name]["kl"]):
            words.append(f"that changes its answers by a KL of {interval(behaviour[name], 'kl')} nats")
        if name in barriers and defined(barriers[name]["error"]):
            words.append(_basin(barriers[name]))
        if words:
            yield f"{name}: {'; '.join(words)}."


def _by_candidate(analysis: Analysis, table: str, **values: str) -> dict[str, dict[str, Any]]:
    return {str(row["candidate"]): row for row in rows_where(analysis.tables[table], **values)}


def _basin(row: Mapping[str, Any]) -> str:
    rise = f"the error rises by {interval(row, 'error')} on the straight path"
    if row["error_upper"] < CONNECTED:
        return f"it is in the reference's basin, because {rise}, less than {CONNECTED}"
    if row["error_lower"] > CONNECTED:
        return f"it is not in the reference's basin, because {rise}, more than {CONNECTED}"
    return f"whether it is in the reference's basin is undecided, because {rise}, and {CONNECTED} is the limit"
