"""What ``audit.json`` holds. The page is made from it alone, and the schema of the file is made from these classes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Version of the file.
FORMAT = 2

Access = Literal["labels", "probabilities", "logits"]
Direction = Literal["more", "less"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AuditedModel(_Record):
    """One of the two models."""

    name: str = Field(description="name of its folder, or of its file of answers")
    kind: str | None = Field(default=None, description="what its manifest says that it is; null without a manifest")
    architecture: str | None = Field(default=None, description="by its manifest; null without one")
    weights_sha256: str | None = Field(default=None, description="hash of its weights; null for stored answers")


class VerdictRecord(_Record):
    """The answer to the auditor's question."""

    value: Literal["unusual: more", "unusual: less", "not unusual"] = Field(description="the answer in two words")
    unusual: bool = Field(description="whether the candidate's difference is unlike the updates' at the level")
    direction: Direction | None = Field(description="whether it moved more or less; null if it is not unusual")
    access: Literal["labels", "probabilities", "logits", "joint"] = Field(description="what it is judged by")
    p: float = Field(description="the p-value, two-sided")
    level: float = Field(description="level of the test")
    sentence: str = Field(description="the verdict in words")


class SettingRecord(_Record):
    """How some of the benign updates came to be."""

    name: str = Field(description="short, long, given, or another name")
    count: int = Field(description="number of updates")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="of the tuning; empty for updates that were given"
    )


class NoticeableRecord(_Record):
    """Sizes of a difference that the audit notices with a chance of 95%."""

    above: float | None = Field(description="from this size on it is found to move more; null if no size is noticed")
    below: float | None = Field(description="up to this size it is found to move less; null if no size is noticed")


class PowerRecord(_Record):
    """The power of the test by its number of queries."""

    queries: list[int] = Field(description="numbers of queries")
    power: list[float] = Field(description="the share of random sets of so many queries that reject")


class AccessRecord(_Record):
    """The result for one kind of access."""

    access: Access = Field(description="what the auditor sees")
    statistic: tuple[float, float | None, float | None] = Field(
        description="the candidate's statistic over all queries, with the ends of its 95% interval"
    )
    null: list[float] = Field(description="the statistic of each benign update")
    null_settings: list[str] = Field(description="the name of each update's setting")
    p: float = Field(description="the two-sided p-value")
    p_more: float = Field(description="the p-value of moving more")
    p_less: float = Field(description="the p-value of moving less")
    p_by_setting: dict[str, float] = Field(description="two-sided, against the updates of each setting alone")
    level: float = Field(description="level of the test whose power is given")
    noticeable: NoticeableRecord | None = Field(default=None, description="what could have been seen; null if unknown")
    queries_for_95: int | None = Field(
        description="queries with which the test finds this candidate; null: not with all"
    )
    power: PowerRecord = Field(description="the power by number of queries")


class JointRecord(_Record):
    """The test of all accesses at once."""

    p: float = Field(description="the p-value")
    access: Access = Field(description="in which the candidate's rank is the most extreme")
    direction: Direction = Field(description="to which side it lies there")


class ClassRecord(_Record):
    """The answers to the queries of one class."""

    name: str = Field(description="name of the class")
    queries: int = Field(description="number of its queries")
    changed: int = Field(description="how many of them the candidate labels otherwise than the reference")
    right_to_wrong: int | None = Field(default=None, description="how many became wrong; null without true labels")
    wrong_to_right: int | None = Field(default=None, description="how many became right; null without true labels")


class AgreementRecord(_Record):
    """How the labels of both models agree."""

    changed: int = Field(description="queries with another label")
    right_reference: int | None = Field(default=None, description="queries that the reference labels rightly")
    right_candidate: int | None = Field(default=None, description="queries that the candidate labels rightly")
    by: Literal["true label", "reference's label"] = Field(description="what the classes below are")
    classes: list[ClassRecord] = Field(description="the classes that have queries")


class ClassProbability(_Record):
    """What both models make of one class."""

    name: str = Field(description="name of the class")
    reference: float = Field(description="the reference's probability")
    candidate: float = Field(description="the candidate's probability")


class QueryRecord(_Record):
    """A query on which the answers differ."""

    row: int = Field(description="its place in its split, or in the file of stored answers, from 0")
    label: str | None = Field(description="its true label; null if unknown")
    reference: str = Field(description="the reference's label")
    candidate: str = Field(description="the candidate's label")
    moved: float | None = Field(
        default=None, description="total variation distance of the probabilities, from 0 to 1; null for labels alone"
    )
    probabilities: list[ClassProbability] = Field(
        default_factory=list, description="of the likeliest classes of either model; empty for labels alone"
    )
    text: str | None = Field(default=None, description="the query, if it is a text")
    picture: str | None = Field(default=None, description="the query as a data URI, if it is an image")


class DetectorRecord(_Record):
    """A detector that was run."""

    name: str = Field(description="its registered name")
    judges: Literal["models", "inputs", "sets of inputs"] = Field(description="what it scores")
    candidate: float | None = Field(description="the candidate's score; null if there is none")
    reference: float | None = Field(description="the trusted reference's score, for comparison; null if there is none")
    meaning: str = Field(description="what the number is")
    note: str = Field(default="", description="a remark that a reader needs")


class UntestedRecord(_Record):
    """What was not tested."""

    what: str = Field(description="what was not tested")
    why: str = Field(description="why not")


class AuditRecord(_Record):
    """An audit of a candidate against its trusted reference, as anchorlab writes it to audit.json."""

    format: Literal[2] = Field(default=2, description="version of this format")
    version: str = Field(description="version of anchorlab")
    reference: AuditedModel = Field(description="the trusted model")
    candidate: AuditedModel = Field(description="the model that was audited")
    task: str | None = Field(default=None, description="name of the data; null for stored answers")
    split: str | None = Field(default=None, description="the split of the queries; null for stored answers")
    verdict: VerdictRecord = Field(description="the answer")
    queries: int = Field(description="number of queries")
    updates: int = Field(description="number of benign updates")
    update_settings: list[SettingRecord] = Field(description="how the benign updates came to be")
    accesses: list[AccessRecord] = Field(description="the result for each kind of access, the poorest first")
    joint: JointRecord = Field(description="the test of all accesses at once")
    sentences: list[str] = Field(description="the result in words, the verdict first")
    cautions: list[str] = Field(description="what the result cannot mean")
    agreement: AgreementRecord | None = Field(default=None, description="how labels agree; null if unknown")
    changed: list[QueryRecord] = Field(
        default_factory=list, description="the queries on which the answers differ most, the largest difference first"
    )
    detectors: list[DetectorRecord] = Field(default_factory=list, description="the detectors that were run")
    not_tested: list[UntestedRecord] = Field(default_factory=list, description="what was not tested, and why")
