"""What an audit finds: the result for each access, the verdict, and the answers that stand behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from anchorlab.scoring.audit_statistics import ACCESSES, AccessAudit
from anchorlab.scoring.ranked import Direction, JointAudit, frame_of, plot_ranked
from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.statistics.escaping import html
from anchorlab.statistics.table import to_html

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from anchorlab.data import Split

#: What an audit may be judged by: one kind of access, or all at once.
Judged = Literal["labels", "probabilities", "logits", "joint"]

#: What a gate may ask an audit for.
GATED = (
    *("unusual", "p", "p_joint", "p_labels", "p_probabilities", "p_logits"),
    *("churn", "kl", "logit_distance_centred"),
)

#: The statistic of each kind of access, as comparisons call it.
STATISTICS = {"labels": "churn", "probabilities": "kl", "logits": "logit_distance_centred"}

#: What every audit says, whatever it finds.
NO_PROOF = (
    "No test of this kind proves the absence of a backdoor: an injection can move a model exactly as an ordinary "
    "update does."
)


@dataclass(frozen=True)
class UpdateSetting:
    """How some of the benign updates came to be.

    Attributes:
        name: "short", "long", or "given".
        count: number of updates.
        settings: of the tuning, as JSON values; empty for updates that were given.
    """

    name: str
    count: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.settings:
            return f"{self.count} {self.name}"
        how = self.settings
        rate = f"learning rate {how['learning_rate']:g}"
        read = f"{2 * how['batch_size']:,} examples"
        if "context" in how:
            read = f"{how['batch_size']:,} windows of at most {how['context']:,} tokens"
        steps = f"{how['steps']:,} step{'s' * (how['steps'] != 1)} of {read}"
        return f"{self.count} {self.name} ({steps}, {rate})"


@dataclass(frozen=True)
class AuditedAnswers:
    """What both models answered to the queries.

    Attributes:
        reference_predictions: the reference's labels, int64 ``[N]``.
        candidate_predictions: the candidate's labels, int64 ``[N]``.
        reference: the reference's probabilities, float64 ``[N, C]``; None if labels alone are known.
        candidate: the candidate's probabilities, float64 ``[N, C]``; None if labels alone are known.
        labels: true labels, int64 ``[N]``; None if they are not known.
        classes: names of the classes by label.
        queries: the examples that were asked; None for stored answers.
        rows: the place of each query in its split, int64 ``[N]``; None for their own order, as in stored answers.
    """

    reference_predictions: Integers
    candidate_predictions: Integers
    reference: Floats | None
    candidate: Floats | None
    labels: Integers | None
    classes: tuple[str, ...]
    queries: Split | None = None
    rows: Integers | None = None


@dataclass(frozen=True)
class Verdict:
    """The answer to the auditor's question, from one kind of access or from all.

    Attributes:
        access: what it is judged by, one of ``Judged``; of language models one of ``TokenAccess``, or joint.
        unusual: whether the candidate's difference is unlike the updates' at this level.
        direction: whether it moved more or less than they do; None if it is not unusual.
        p: the p-value.
        level: of the test.
        sentence: the verdict in words.
    """

    access: str
    unusual: bool
    direction: Direction | None
    p: float
    level: float
    sentence: str

    @property
    def value(self) -> str:
        """``"unusual: more"``, ``"unusual: less"`` or ``"not unusual"``."""
        return f"unusual: {self.direction}" if self.unusual else "not unusual"


@dataclass(frozen=True, repr=False)
class Audit:
    """The result of an audit.

    Attributes:
        count: number of queries.
        updates: number of benign updates.
        level: of the test.
        settings: how the benign updates came to be.
        accesses: the result for each kind of access that there is, the poorest first.
        joint: the test of all of them at once.
        verdict: the answer.
        sentences: the result in words, the verdict first.
        cautions: what the result cannot mean, each with its cure.
        answers: what both models answered.
    """

    count: int
    updates: int
    level: float
    settings: tuple[UpdateSetting, ...]
    accesses: tuple[AccessAudit, ...]
    joint: JointAudit
    verdict: Verdict
    sentences: tuple[str, ...]
    cautions: tuple[str, ...]
    answers: AuditedAnswers

    def __repr__(self) -> str:
        p_values = ", ".join(f"p={access.p:.3g} from {access.access}" for access in self.accesses)
        return f"Audit({self.verdict.value}, {self.count} queries, {self.updates} benign updates, {p_values})"

    def _repr_html_(self) -> str:
        # Only here, because the table is made of audits.
        from anchorlab.scoring.tables import audit_table

        sentences = "".join(f"<li>{html(sentence)}</li>" for sentence in (*self.sentences, *self.cautions))
        return f"{to_html(audit_table(self))}<ul>{sentences}</ul>"

    def table(self) -> pd.DataFrame:
        """A row for each access: p-value, the candidate's statistic with its interval, the range of the updates'."""
        return frame_of(self.accesses)

    def plot(self) -> Figure:
        """The candidate, with its 95% interval, among the benign updates, by access; a notebook shows the figure."""
        return plot_ranked(self.accesses, {access: f"{ACCESSES[access]} ({access})" for access in ACCESSES})

    def access(self, name: str) -> AccessAudit:
        """The result for one kind of access.

        Raises:
            KeyError: if the audit had no such access.
        """
        return {access.access: access for access in self.accesses}[name]  # type: ignore[index]

    def values(self) -> dict[str, float]:
        """What a gate may ask for, by name: p-values, the candidate's statistics, and 1 or 0 for ``unusual``."""
        return {
            "unusual": float(self.verdict.unusual),
            "p": self.verdict.p,
            "p_joint": self.joint.p,
            **{f"p_{access.access}": access.p for access in self.accesses},
            **{STATISTICS[access.access]: access.value for access in self.accesses},
        }

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95% interval of each of the candidate's statistics, by the names of ``values``."""
        bounds = {STATISTICS[access.access]: access.statistic.bounds for access in self.accesses}
        return {name: ends for name, ends in bounds.items() if ends is not None}

    def to_dict(self) -> dict[str, Any]:
        """Everything but the answers as JSON values."""
        verdict = self.verdict
        return {
            "verdict": {
                "value": verdict.value,
                "unusual": verdict.unusual,
                "direction": verdict.direction,
                "access": verdict.access,
                "p": verdict.p,
                "level": verdict.level,
                "sentence": verdict.sentence,
            },
            "queries": self.count,
            "updates": self.updates,
            "update_settings": [
                {"name": setting.name, "count": setting.count, "settings": dict(setting.settings)}
                for setting in self.settings
            ],
            "accesses": [_access_dict(access) for access in self.accesses],
            "joint": {"p": self.joint.p, "access": self.joint.access, "direction": self.joint.direction},
            "sentences": list(self.sentences),
            "cautions": list(self.cautions),
        }


def _access_dict(access: AccessAudit) -> dict[str, Any]:
    return {
        "access": access.access,
        "statistic": [access.statistic.value, access.statistic.lower, access.statistic.upper],
        "null": list(access.null),
        "null_settings": list(access.settings),
        "p": access.p,
        "p_more": access.upper,
        "p_less": access.lower,
        "p_by_setting": dict(access.by_setting),
        "level": access.level,
        "noticeable": {"above": access.noticeable.above, "below": access.noticeable.below},
        "queries_for_95": access.queries,
        "power": access.power.to_dict("list"),
    }
