"""The question of the page of an analysis, answered in sentences; and the words that the page uses."""

from __future__ import annotations

from collections.abc import Iterator

from anchorlab.perturbation.analysis import Analysis
from anchorlab.perturbation.tables.paths import CONNECTED
from anchorlab.perturbation.wording import rows_where
from anchorlab.reports.suite.sentences import listed
from anchorlab.statistics.numbers import defined

#: ASR from which a candidate carries the backdoor.
_ATTACKED = 0.5
#: Fewest names that are written out.
_NAMED = 6

DEFINITIONS = (
    (
        "adversarial weight perturbation",
        "A change of weights that makes an attack work and leaves the model in the basin of its reference, as Zhang et "
        "al. (ICLR 2022) observe of backdoors that are tuned into a trained model.",
    ),
    ("perturbation", "The difference of the weights: the candidate's minus the reference's, buffers included."),
    (
        "basin",
        "The region around the reference in which the error stays low on the straight line between two models. A "
        f"candidate lies in it if the barrier of the error is below {CONNECTED}.",
    ),
    (
        "barrier",
        "How far the loss, or the error, rises on the straight path between two models above the straight line between "
        "its values at the two ends.",
    ),
    (
        "Fisher norm",
        "The size of a perturbation in function space: d'Fd with the Fisher information F of the reference. Half of it "
        "is KL to second order: the quadratic prediction.",
    ),
    (
        "residual",
        "How exactly an eigenvalue is known: |Hv − λv| for the eigenvector v that was found, of length 1. The "
        "eigenvalue is off by at most that.",
    ),
    (
        "Rayleigh quotient",
        "The curvature of the clean loss along a direction d: d'Hd / d'd with the Hessian H of the loss.",
    ),
    (
        "BatchNorm stored, re-estimated",
        "On a path between models, BatchNorm's statistics are the averages of the two "
        "ends (stored), or are measured again at each point on the owner's inputs (re-estimated).",
    ),
    ("off the plane", "The L2 distance of a model from the plane that is drawn. It is shown at its projection."),
)


def answer_of(analysis: Analysis) -> list[str]:
    """Whether the perturbations are adversarial weight perturbations, as far as the attack and the basin are known."""
    barriers = {
        str(row["candidate"]): row["error"] for row in rows_where(analysis.tables["barriers"], buffers="stored")
    }
    rates = {str(row["candidate"]): row["asr"] for row in rows_where(analysis.tables["behaviour"], part="all")}
    return list(_answers(analysis, barriers, rates))


def _answers(analysis: Analysis, barriers: dict[str, float], rates: dict[str, float]) -> Iterator[str]:
    known = [name for name in analysis.candidates if defined(barriers.get(name)) and defined(rates.get(name))]
    inside = {name: barriers[name] < CONNECTED for name in known}
    attacked = {name: rates[name] >= _ATTACKED for name in known}
    yes = [name for name in known if inside[name] and attacked[name]]
    if yes:
        low, high = min(rates[name] for name in yes), max(rates[name] for name in yes)
        reach = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
        yield (
            f"Yes, of {_names(yes)}: the attack works (ASR {reach}), and the straight path from the reference stays in "
            f"its basin (barrier of the error {max(barriers[name] for name in yes):.3g} at most, below {CONNECTED})."
        )
    elsewhere = [name for name in known if attacked[name] and not inside[name]]
    if elsewhere:
        yield (
            f"No, of {_names(elsewhere)}: the attack works, but the straight path leaves the reference's basin "
            f"(barrier of the error {min(barriers[name] for name in elsewhere):.3g} at least)."
        )
    harmless = [name for name in known if not attacked[name]]
    if harmless:
        yield f"No, of {_names(harmless)}: the attack does not work (ASR below {_ATTACKED})."
    unknown = [name for name in analysis.candidates if name not in known]
    if unknown:
        missing = [name for name in unknown if not defined(rates.get(name))]
        why = "no attack is known to test it with" if missing else "the straight path was not measured"
        basin = [name for name in missing if defined(barriers.get(name))]
        within = [name for name in basin if barriers[name] < CONNECTED]
        also = f" In the reference's basin: {_names(within) if within else 'none'}." if basin else ""
        yield f"Not decided of {_names(unknown)}: {why}.{also}"


def _names(names: list[str]) -> str:
    if len(names) <= _NAMED:
        return listed(names)
    return f"{', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} others"
