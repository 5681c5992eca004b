"""What can be read off an analysis: plain sentences, each from measured numbers with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from anchorlab.perturbation.size import WHOLE

Tables = Mapping[str, pd.DataFrame]

#: Rise of the error above the straight line up to which two models count as linearly connected: Frankle et al. 2020
#: (arXiv 1912.05671).
CONNECTED = 0.02

#: Factor within which the quadratic picture is said to hold.
_WITHIN = 2.0


def findings_of(tables: Tables, kinds: Mapping[str, str]) -> list[str]:
    """The sentences.

    Args:
        tables: of an analysis, by name.
        kinds: what each candidate is.
    """
    every: list[Callable[[], Iterable[str]]] = [
        lambda: _size(tables["sizes"]),
        lambda: _basin(tables["barriers"], "stored"),
        lambda: _basin(tables["barriers"], "re-estimated"),
        lambda: _turned(tables["sizes"], tables["angles"], kinds),
        lambda: _buffers(tables["behaviour"]),
        lambda: _quadratic(tables["quadratic"]),
        lambda: _reach(tables["paths"]),
        lambda: _ranking(tables["sizes"], tables["quadratic"]),
        lambda: _curvature(tables["spectrum"], tables["rayleigh"]),
        lambda: _bounds(tables["bounds"]),
        lambda: _gradients(tables["gradients"]),
    ]
    return [sentence for find in every for sentence in find()]


def _size(sizes: pd.DataFrame) -> Iterable[str]:
    whole = sorted(_rows(sizes, layer=WHOLE), key=lambda row: row["relative"])
    if whole:
        told = [f"{row['candidate']} {_percent(row['relative'])}" for row in whole]
        yield f"The parameters' change, as a share of the reference's L2 norm: {', '.join(told)}."


def _basin(barriers: pd.DataFrame, buffers: str) -> Iterable[str]:
    """By the error's barrier; that of the loss is said beside it."""
    verdicts: dict[str, list[str]] = {"in": [], "out": [], "open": []}
    for row in _rows(barriers, buffers=buffers):
        verdict = "in" if row["error_upper"] < CONNECTED else "out" if row["error_lower"] > CONNECTED else "open"
        told = (
            f"{row['candidate']} (barrier of the error {_interval(row, 'error')}, of the loss {_interval(row, 'loss')})"
        )
        verdicts[verdict].append(told)
    how = "" if buffers == "stored" else "With BatchNorm's statistics re-estimated at each point: "
    heads = {
        "in": f"in the reference's basin, the error rising by less than {CONNECTED} above the straight line",
        "out": "not in it",
        "open": "undecided, the interval holding both",
    }
    for verdict, names in verdicts.items():
        if names:
            yield _sentence(f"{how}{heads[verdict]}: {'; '.join(names)}.")


def _turned(sizes: pd.DataFrame, angles: pd.DataFrame, kinds: Mapping[str, str]) -> Iterable[str]:
    """Against plain tuning: is a change shorter, or does it point elsewhere?"""
    plain = next((name for name, kind in kinds.items() if kind == "plain"), None)
    if plain is None or not len(angles):
        return
    lengths = {row["candidate"]: row["l2"] for row in _rows(sizes, layer=WHOLE)}
    told = [
        f"{row['candidate']}'s is {lengths[row['candidate']] / lengths[plain]:.2f} times as long and turned by "
        f"{row['degrees']:.0f}°"
        for row in _rows(angles, other=plain)
    ]
    if told:
        yield f"Against the change of {plain}, {'; '.join(told)}."


def _buffers(behaviour: pd.DataFrame) -> Iterable[str]:
    weights = {row["candidate"]: row for row in _rows(behaviour, part="weights")}
    for row in _rows(behaviour, part="buffers"):
        alone = weights[row["candidate"]]
        yield (
            f"Of {row['candidate']}, the buffers alone shift logits by {_interval(row, 'logit_distance')} (mean "
            f"square; KL {_interval(row, 'kl')}), the weights alone by {_interval(alone, 'logit_distance')} (KL "
            f"{_interval(alone, 'kl')})."
        )


def _quadratic(quadratic: pd.DataFrame) -> Iterable[str]:
    holds: list[str] = []
    fails: list[str] = []
    undecided: list[str] = []
    for row in _rows(quadratic):
        if pd.isna(row["kl_ratio"]):
            continue
        lower, upper = row["kl_ratio_lower"], row["kl_ratio_upper"]
        told = f"{row['candidate']} ({_interval(row, 'kl_ratio')})"
        if lower >= 1 / _WITHIN and upper <= _WITHIN:
            holds.append(told)
        elif upper < 1 / _WITHIN or lower > _WITHIN:
            fails.append(told)
        else:
            undecided.append(told)
    what = "the quadratic picture's KL over the measured one"
    for names, verdict in (
        (holds, f"{what} is within a factor of {_WITHIN:g}"),
        (fails, f"{what} is off by more than a factor of {_WITHIN:g}"),
        (undecided, f"whether {what} is within a factor of {_WITHIN:g} is undecided"),
    ):
        if names:
            yield _sentence(f"{verdict} for {', '.join(names)}.")


def _reach(paths: pd.DataFrame) -> Iterable[str]:
    """How far along each path the quadratic prediction stays within the factor, by the interval of the measured KL."""
    if "kl_quadratic" not in paths:
        return
    told = []
    ahead = paths[(paths["scale"] > 0) & paths["kl_quadratic"].notna()].sort_values("scale")
    for name, path in ahead.groupby("candidate", sort=False):
        good = (path["kl_quadratic"] <= _WITHIN * path["kl_upper"]) & (
            path["kl_quadratic"] >= path["kl_lower"] / _WITHIN
        )
        reach = path["scale"][good.cumprod().astype(bool)]
        told.append(f"{name} {reach.iloc[-1]:g}" if len(reach) else f"{name} below {path['scale'].iloc[0]:g}")
    if told:
        yield (
            f"Along the straight path (0 the reference, 1 the candidate) the quadratic prediction of KL stays within a "
            f"factor of {_WITHIN:g} of the measured interval up to: {', '.join(told)}."
        )


def _ranking(sizes: pd.DataFrame, quadratic: pd.DataFrame) -> Iterable[str]:
    """Which sizes order the candidates as KL does, over pairs whose KL is told apart by their intervals."""
    if len(quadratic) < 2:
        return
    lengths = {row["candidate"]: row["l2"] for row in _rows(sizes, layer=WHOLE)}
    table = quadratic.assign(l2=quadratic["candidate"].map(lengths)).set_index("candidate")
    resolved = [
        (one, other)
        for one, other in combinations(table.index, 2)
        if table["kl_lower"][one] > table["kl_upper"][other] or table["kl_lower"][other] > table["kl_upper"][one]
    ]
    if not resolved:
        yield "No two candidates' KL are told apart by their intervals, so that no ranking is checked."
        return
    same = {
        words: sum((table[name][a] > table[name][b]) == (table["kl"][a] > table["kl"][b]) for a, b in resolved)
        for words, name in (("the Fisher norm", "fisher_norm"), ("EWC's diagonal", "ewc"), ("the L2 norm", "l2"))
    }
    told = ", ".join(f"{words} orders {count}" for words, count in same.items())
    pairs = "the one pair" if len(resolved) == 1 else f"the {len(resolved)} pairs"
    yield f"Of {pairs} whose KL (of the weights alone) is told apart by intervals, {told} as KL does."


def _curvature(spectrum: pd.DataFrame, rayleigh: pd.DataFrame) -> Iterable[str]:
    found = {row["quantity"]: row for row in _rows(spectrum)}
    told = []
    if top := found.get("eigenvalue 1"):
        told.append(
            f"the largest eigenvalue of the clean loss's Hessian is {_n(top['value'])} (residual {_n(top['error'])})"
        )
    if mean := found.get("mean eigenvalue"):
        told.append(f"the mean one is {_n(mean['value'])} ± {_n(mean['error'])} (standard error)")
    if told:
        yield _sentence(f"{' and '.join(told)}.")
    if along := [f"{row['candidate']} {_interval(row, 'rayleigh')}" for row in _rows(rayleigh)]:
        yield f"The curvature along each change (Rayleigh quotient): {', '.join(along)}."


def _bounds(bounds: pd.DataFrame) -> Iterable[str]:
    told = [
        f"{row['candidate']} {_n(row['measured'])} of {_n(row['bound_mean'])}"
        for row in _rows(bounds, bound="KL by range")
    ]
    if told:
        yield (
            f"No bound is violated by any instance; mean KL, of what the range of the shift allows: {', '.join(told)}."
        )


def _gradients(gradients: pd.DataFrame) -> Iterable[str]:
    told = []
    for name, run in gradients.groupby("candidate", sort=False) if len(gradients) else ():
        known = run["cosine_clean"].dropna()
        if len(known):
            told.append(
                f"{name} {known.min():.2f} to {known.max():.2f} (median {known.median():.2f}, {len(known)} steps)"
            )
    if told:
        yield (
            "The cosine between the gradients of the backdoor and of the clean loss along the injection: "
            f"{'; '.join(told)}."
        )


def _rows(table: pd.DataFrame, **where: str) -> list[dict[str, Any]]:
    """Rows in which the named columns hold these values; none of an empty table."""
    found = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    return [row for row in found if all(row[name] == value for name, value in where.items())]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _interval(row: Mapping[str, Any], name: str) -> str:
    return f"{_n(row[name])} [{_n(row[f'{name}_lower'])}, {_n(row[f'{name}_upper'])}]"


def _n(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "undefined" if share is None or pd.isna(share) else f"{100 * share:.3g}%"
