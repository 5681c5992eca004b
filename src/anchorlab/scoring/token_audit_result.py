"""What an audit of language models finds: each statistic among the benign updates', the verdict, and its words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anchorlab.errors import unknown
from anchorlab.scoring.audit_cautions import between_settings, updates_change_nothing
from anchorlab.scoring.audit_ranks import rejected_ranks
from anchorlab.scoring.audit_result import NO_PROOF, UpdateSetting, Verdict
from anchorlab.scoring.audit_words import EQUAL_WEIGHTS, beaten, sensitivity
from anchorlab.scoring.ranked import JointAudit, Ranked, frame_of, joint_audit, p_values, plot_ranked
from anchorlab.scoring.token_statistics import MAIN, TOKEN_STATISTICS
from anchorlab.statistics.counted import several
from anchorlab.statistics.documents import FEW_DOCUMENTS
from anchorlab.statistics.escaping import html
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.table import to_html
from anchorlab.tokens.measurements import MEASUREMENTS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Sampled tokens show little where chance alone makes this share of the updates' distance.
_CHANCE = 0.8

#: What a gate may ask an audit of language models for.
TOKEN_GATED = ("unusual", "p", "p_joint", *(f"p_{name}" for name in TOKEN_STATISTICS), *TOKEN_STATISTICS)

#: The least and the greatest value of each statistic; those that comparisons do not have are shares.
TOKEN_RANGES = {name: MEASUREMENTS[name].limits if name in MEASUREMENTS else (0.0, 1.0) for name in TOKEN_STATISTICS}


@dataclass(frozen=True)
class Measuring:
    """What the models were measured on, and how.

    Attributes:
        words: which documents updates were made of, and which were measured.
        documents: number of documents with a scored token.
        tokens: number of scored tokens.
        context: most tokens that the models read at once.
        top: length of the lists of likeliest tokens.
        queries: number of prompts at which tokens were sampled.
        samples: tokens that each model answered at each prompt.
        chance: mean total variation distance of two draws of the reference itself.
        identical: whether all weights of both models are equal.
        notes: what differs between the models besides.
    """

    words: str
    documents: int
    tokens: int
    context: int
    top: int
    queries: int
    samples: int
    chance: float
    identical: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class TokenAudit:
    """The result of an audit of a language model.

    Attributes:
        reference: where the reference comes from.
        candidate: where the candidate comes from.
        measuring: what was measured.
        updates: number of benign updates.
        settings: how they came to be.
        statistics: the candidate among the updates, by ``TOKEN_STATISTICS``, those of the poorest access first.
        joint: the test of all statistics at once.
        verdict: the answer.
        sentences: the result in words, the verdict first.
        cautions: what the result cannot mean, each with its cure.
    """

    reference: str
    candidate: str
    measuring: Measuring
    updates: int
    settings: tuple[UpdateSetting, ...]
    statistics: tuple[Ranked, ...]
    joint: JointAudit
    verdict: Verdict
    sentences: tuple[str, ...]
    cautions: tuple[str, ...]

    def __repr__(self) -> str:
        found = ", ".join(f"p={self[name].p:.3g} from {access}" for access, name in MAIN.items())
        return (
            f"TokenAudit({self.verdict.value}, {self.measuring.tokens} tokens, {self.updates} benign updates, {found})"
        )

    def _repr_html_(self) -> str:
        # Only here, because the table is made of audits.
        from anchorlab.scoring.tables import token_audit_table

        sentences = "".join(f"<li>{html(sentence)}</li>" for sentence in (*self.sentences, *self.cautions))
        return f"{to_html(token_audit_table(self))}<ul>{sentences}</ul>"

    def __getitem__(self, name: str) -> Ranked:
        """One statistic by its name.

        Raises:
            AnchorlabError: for a name that is none.
        """
        found = {one.access: one for one in self.statistics}
        if name not in found:
            raise unknown("statistic", name, found)
        return found[name]

    def table(self) -> pd.DataFrame:
        """A row for each statistic: p-value, the candidate's value with its interval, the range of the updates'."""
        return frame_of(self.statistics).rename_axis("statistic")

    def plot(self) -> Figure:
        """The candidate, with its 95% interval, among the benign updates, by statistic; a notebook shows the figure."""
        shown = [one for one in self.statistics if all(map(math.isfinite, (one.value, *one.null)))]
        return plot_ranked(shown, {name: f"{of.title} ({of.access})" for name, of in TOKEN_STATISTICS.items()})

    def values(self) -> dict[str, float]:
        """What a gate may ask for, by name: p-values, the candidate's statistics, and 1 or 0 for ``unusual``.

        A statistic that is undefined is left out, as ``sure_flips`` is where the reference is sure of no token.
        """
        there = [one for one in self.statistics if one.statistic.value is not None]
        return {
            "unusual": float(self.verdict.unusual),
            "p": self.verdict.p,
            "p_joint": self.joint.p,
            **{f"p_{one.access}": one.p for one in there},
            **{one.access: one.value for one in there},
        }

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95% interval over documents of each of the candidate's statistics that has one, by its name."""
        bounds = {one.access: one.statistic.bounds for one in self.statistics}
        return {name: ends for name, ends in bounds.items() if ends is not None}

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values; a value that is infinite is None."""
        verdict, measuring = self.verdict, self.measuring
        return {
            "verdict": {"value": verdict.value, **vars(verdict)},
            "reference": self.reference,
            "candidate": self.candidate,
            "texts": measuring.words,
            "documents": measuring.documents,
            "tokens": measuring.tokens,
            "context": measuring.context,
            "top": measuring.top,
            "queries": measuring.queries,
            "samples": measuring.samples,
            "chance": measuring.chance,
            "identical_weights": measuring.identical,
            "notes": list(measuring.notes),
            "updates": self.updates,
            "update_settings": [
                {"name": setting.name, "count": setting.count, "settings": dict(setting.settings)}
                for setting in self.settings
            ],
            "statistics": [_statistic_dict(one) for one in self.statistics],
            "joint": {"p": self.joint.p, "statistic": self.joint.access, "direction": self.joint.direction},
            "sentences": list(self.sentences),
            "cautions": list(self.cautions),
        }


def token_audit_from(values: Mapping[str, Any]) -> TokenAudit:
    """The audit of which ``to_dict`` told.

    Raises:
        KeyError, TypeError, ValueError: if the values are not those of one.
    """
    verdict = {name: value for name, value in values["verdict"].items() if name != "value"}
    joint = values["joint"]
    return TokenAudit(
        values["reference"],
        values["candidate"],
        Measuring(
            values["texts"],
            documents=int(values["documents"]),
            tokens=int(values["tokens"]),
            context=int(values["context"]),
            top=int(values["top"]),
            queries=int(values["queries"]),
            samples=int(values["samples"]),
            chance=float(values["chance"]),
            identical=bool(values["identical_weights"]),
            notes=tuple(values["notes"]),
        ),
        int(values["updates"]),
        tuple(UpdateSetting(one["name"], one["count"], one["settings"]) for one in values["update_settings"]),
        tuple(map(_ranked, values["statistics"])),
        JointAudit(joint["p"], joint["statistic"], joint["direction"]),
        Verdict(**verdict),
        tuple(values["sentences"]),
        tuple(values["cautions"]),
    )


def definitions() -> dict[str, str]:
    """What a gate may ask for, each with its definition."""
    return {
        "unusual": "1 where the verdict is unusual at the level of the test, else 0.",
        "p": "The p-value of the verdict.",
        "p_joint": "The p-value of all statistics at once.",
        **{f"p_{name}": f"The two-sided p-value of the {of.title}." for name, of in TOKEN_STATISTICS.items()},
        **{name: of.definition for name, of in TOKEN_STATISTICS.items()},
    }


def token_access(access: str | None) -> str:
    """The kind of access that a verdict is judged by: logits where none is named.

    Raises:
        AnchorlabError: for another name.
    """
    possible = [*MAIN, "joint"]
    if access is None:
        return "logits"
    if access not in possible:
        raise unknown("access", access, possible)
    return access


def token_audit_of(
    models: tuple[str, str],
    candidate: Mapping[str, Estimate],
    null: Sequence[Mapping[str, float]],
    settings: tuple[UpdateSetting, ...],
    measuring: Measuring,
    *,
    judged: str,
    level: float,
) -> TokenAudit:
    """The audit from what was measured.

    Args:
        models: where reference and candidate come from.
        candidate: statistic to the candidate's value.
        null: the same of each update, in the order of their settings.
        settings: how the updates came to be.
        measuring: what was measured.
        judged: what the verdict is judged by.
        level: of the test.
    """
    names = tuple(setting.name for setting in settings for _ in range(setting.count))
    ranked = []
    for name, estimate in candidate.items():
        others = tuple(update[name] for update in null)
        value = 0.0 if estimate.value is None else estimate.value
        ranked.append(Ranked(name, estimate, others, names, **p_values(value, others, names)))
    joint = joint_audit(ranked)
    main = next(one for one in ranked if one.access == (joint.access if judged == "joint" else MAIN[judged]))  # type: ignore[index]
    verdict = _verdict(main, joint, judged, level)
    return TokenAudit(
        *models,
        measuring,
        len(null),
        settings,
        tuple(ranked),
        joint,
        verdict,
        _sentences(verdict, main, ranked, joint, settings, measuring),
        _cautions(main, measuring),
    )


def _verdict(main: Ranked, joint: JointAudit, judged: str, level: float) -> Verdict:
    p = joint.p if judged == "joint" else main.p
    unusual = p <= level + 1e-12
    of = TOKEN_STATISTICS[main.access]
    where = "all statistics at once, of which this one is the most extreme" if judged == "joint" else judged
    if unusual:
        side = "HIGHER" if main.direction == "more" else "LOWER"
        words = f"is {side} than that of {beaten(main, main.direction)} (p = {p:.3g} from {where}, at"
    else:
        ties = len(main.null) - main.below - main.above
        as_high = f", as high as {ties}" if ties else ""
        words = (
            f"is higher than that of {main.below} of the {len(main.null)} benign updates{as_high} and lower than that "
            f"of {main.above} (p = {p:.3g} from {where}, above"
        )
    sentence = f"{'Unusual' if unusual else 'Not unusual'}: the candidate's {of.title} {words} the level of {level:g})."
    return Verdict(judged, unusual, main.direction if unusual else None, p, level, sentence)


def _sentences(
    verdict: Verdict,
    main: Ranked,
    ranked: Sequence[Ranked],
    joint: JointAudit,
    settings: Sequence[UpdateSetting],
    measuring: Measuring,
) -> tuple[str, ...]:
    updates = sum(setting.count for setting in settings)
    found = {one.access: one for one in ranked}
    by_access = ", ".join(f"p = {found[name].p:.3g} from {access}" for access, name in MAIN.items())
    # With more updates than the level needs, some of them lie where a candidate is unusual.
    within, outer = sorted(main.null), max(1, rejected_ranks(len(main.null), verdict.level))
    least, most = within[outer - 1], within[-outer]
    return (
        verdict.sentence,
        *([EQUAL_WEIGHTS] if measuring.identical else []),
        f"By access: {by_access}; p = {joint.p:.3g} from all {len(ranked)} statistics jointly. The verdict is that of "
        f"{verdict.access} alone.",
        f"Compared with {updates} benign updates: {', '.join(map(str, settings))}.",
        *sensitivity(main, settings),
        f"{measuring.words} They have {several(measuring.tokens, 'scored token')}; {measuring.samples:,} tokens were "
        f"sampled at each of {several(measuring.queries, 'prompt')}, where the reference's two likeliest tokens are "
        f"nearest, and lists have the {measuring.top:,} likeliest tokens. Two draws of the reference itself differ by "
        f"{measuring.chance:.3g}.",
        f"A candidate whose {TOKEN_STATISTICS[main.access].title} lies between {least:.3g} and {most:.3g} is not "
        "unusual by it, whatever it learned.",
        *measuring.notes,
        NO_PROOF,
    )


def _cautions(main: Ranked, measuring: Measuring) -> tuple[str, ...]:
    few = None
    if measuring.documents < FEW_DOCUMENTS:
        few = (
            f"{several(measuring.documents, 'measured document')} show little of what the models do elsewhere: give "
            f"{FEW_DOCUMENTS} or more"
        )
    by_chance = None
    if main.access == MAIN["samples"] and measuring.chance > _CHANCE * statistics.median(main.null):
        by_chance = (
            f"two draws of the reference itself differ by {measuring.chance:.3g}, nearly as much as updates do, so "
            "that sampled tokens show little here: give more --samples, samples in Python"
        )
    found = (updates_change_nothing(main), by_chance, few, between_settings(main))
    return tuple(sentence for sentence in found if sentence is not None)


def _ranked(told: Mapping[str, Any]) -> Ranked:
    """The reverse of ``_statistic_dict``; a statistic is infinite where it has no number but a rank."""
    value, lower, upper = told["statistic"]
    value = math.inf if value is None and told["is_infinite"] else value
    return Ranked(
        TOKEN_STATISTICS[told["name"]].name,
        Estimate(value, lower, upper),
        tuple(math.inf if one is None else float(one) for one in told["null"]),
        tuple(told["null_settings"]),
        float(told["p"]),
        float(told["p_more"]),
        float(told["p_less"]),
        told["p_by_setting"],
    )


def _statistic_dict(one: Ranked) -> dict[str, Any]:
    ends = (one.statistic.value, one.statistic.lower, one.statistic.upper)
    return {
        "name": one.access,
        "access": TOKEN_STATISTICS[one.access].access,
        "title": TOKEN_STATISTICS[one.access].title,
        "statistic": [_finite(end) for end in ends],
        "is_infinite": one.statistic.value == math.inf,
        "null": [_finite(value) for value in one.null],
        "null_settings": list(one.settings),
        "p": one.p,
        "p_more": one.upper,
        "p_less": one.lower,
        "p_by_setting": dict(one.by_setting),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
