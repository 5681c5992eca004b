"""What ``compare_tokens`` measures: a typed value, which pages, gates and JSON read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from anchorlab.consistency.gate import Measured
from anchorlab.errors import printable, unknown
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.table import to_html
from anchorlab.tokens.measurements import MEASUREMENTS

if TYPE_CHECKING:
    import pandas as pd

_FROZEN = ConfigDict(frozen=True, ser_json_inf_nan="null")

#: What the one-line form of a comparison shows.
_SHOWN = ("kl", "kl_p99", "kl_max", "log_ppl_ratio", "same_top")

#: Which measurements leave infinite tokens out, and would be infinite with them; their count is the second one.
_INFINITE = {
    "kl": "kl_infinite",
    "kl_rms": "kl_infinite",
    "kl_reverse": "kl_reverse_infinite",
    "kl_reverse_rms": "kl_reverse_infinite",
}

#: Which leave out the tokens of ``nll_infinite``. That does not say which model rules them out, and so nothing else.
_OF_EITHER = ("nll_reference", "nll_candidate", "log_ppl_ratio", "ppl_reference", "ppl_candidate", "ppl_ratio")


class Measurement(BaseModel):
    """One number over the scored tokens.

    A mean is over the finite tokens; percentiles and extremes are over all, so that they may be infinite.
    """

    model_config = _FROZEN

    value: float | None = Field(description="the value; None if it is undefined")
    interval: tuple[float, float] | None = Field(
        default=None, description="95% interval over documents; None where there is none"
    )
    documents: int = Field(description="documents that it was measured on")
    tokens: int = Field(description="tokens that it was measured on, infinite ones left out of means")
    undefined: str = Field(default="", description="why there is no value, or no interval; empty where there are both")

    @property
    def estimate(self) -> Estimate:
        """The value with its interval, as tables and pages write it."""
        lower, upper = self.interval or (None, None)
        return Estimate(self.value, lower, upper, units=self.documents)


class Part(BaseModel):
    """A part of the tokens: some positions, or one domain."""

    model_config = _FROZEN

    name: str = Field(description="such as '16–31', or the domain")
    measurements: dict[str, Measurement] = Field(description="name to measurement, of ``BROKEN_DOWN``")


class ShownToken(BaseModel):
    """A token of a passage."""

    model_config = _FROZEN

    text: str = Field(description="as the tokenizer writes it")
    kl: float | None = Field(description="nats, may be infinite; None where it was not scored")


class Alternative(BaseModel):
    """A token that a model holds for likely."""

    model_config = _FROZEN

    text: str = Field(description="as the tokenizer writes it")
    reference: float = Field(description="its probability under the reference")
    candidate: float = Field(description="its probability under the candidate")


class Passage(BaseModel):
    """One of the tokens of largest KL, in its context."""

    model_config = _FROZEN

    document: int = Field(description="which document, counted from 0")
    domain: str | None = Field(default=None, description="its domain, if the file has a column for it")
    position: int = Field(description="how many tokens the models had read before it in its window")
    kl: float = Field(description="its KL, nats, may be infinite")
    before: list[ShownToken] = Field(description="the tokens before it")
    token: ShownToken = Field(description="the token itself")
    after: list[ShownToken] = Field(description="the tokens after it")
    likeliest: list[Alternative] = Field(
        description="the true token, the reference's likeliest and the candidate's, each once"
    )


class Scoring(BaseModel):
    """What decides which positions were scored, and how."""

    model_config = _FROZEN

    context: int = Field(description="most tokens that the models read at once")
    stride: int = Field(description="tokens from the beginning of one window to the next one's")
    base_file: bool = Field(
        default=False, description="whether the reference is a base file of llama.cpp, which decides all of it"
    )
    begins: str | None = Field(description="the token that is put before each window; None for none")
    precision_reference: str = Field(description="kind of numbers that the reference computes in")
    precision_candidate: str = Field(description="kind of numbers that the candidate computes in")
    texts: str = Field(description="where the texts come from")
    text_column: str | None = Field(default=None, description="the column of texts, if there are columns")
    domain_column: str | None = Field(default=None, description="the column of domains, if there is one")

    def words(self) -> str:
        """A sentence that says which positions were scored."""
        if self.base_file:
            first = f"{self.begins!r}" if self.begins else "the text's own token"
            return (
                f"Scored are positions {self.context // 2} to {self.context - 2} of each chunk of {self.context} "
                f"tokens, as the base file holds them; a chunk begins with {first}, and counts as a document."
            )
        start = f"{self.begins!r} is put before each window" if self.begins else "nothing is put before a window"
        first = "" if self.begins else ", and the first token of a document, which has nothing before it, is not scored"
        return (
            f"Each token is scored once, in windows of {self.context} tokens that begin {self.stride} tokens apart; "
            f"{start}{first}; no chat template is applied."
        )


class TokenComparison(BaseModel):
    """What ``compare_tokens`` measures of two causal language models over texts.

    ``comparison["kl"]`` is one of its measurements, see ``anchorlab.tokens.measurements``. Intervals are over
    documents: they speak of this pair of models over documents like these, not of other trainings.
    """

    model_config = _FROZEN

    reference: str = Field(description="where the reference comes from")
    candidate: str = Field(description="where the candidate comes from")
    documents: int = Field(description="documents with a scored token")
    tokens: int = Field(description="scored tokens")
    measurements: dict[str, Measurement] = Field(description="name to measurement")
    by_position: list[Part] = Field(default=[], description="the same, by how many tokens came before")
    by_domain: list[Part] = Field(default=[], description="the same, by domain; empty if no column names it")
    noise: list[Part] = Field(
        default=[], description="the reference against itself, at another batch size and precision; empty if not asked"
    )
    worst: list[Passage] = Field(default=[], description="the tokens of largest KL, in context, the largest first")
    scoring: Scoring = Field(description="what decides the scored positions")
    identical_weights: bool = Field(default=False, description="whether all weights of both models are equal")
    notes: list[str] = Field(default=[], description="what was noticed, such as special tokens that differ")
    cautions: list[str] = Field(default=[], description="what the result cannot mean, each with its cure")

    def __getitem__(self, name: str) -> Measurement:
        if name not in self.measurements:
            raise unknown("measurement", name, self.measurements)
        return self.measurements[name]

    def measured(self) -> Measured:
        """The measurements as a gate judges them, which must not pass because tokens are infinite and left out.

        A mean KL and its root mean square count as infinite then, a mean nll and a perplexity as undefined.
        """
        ruled_out = self.measurements.get("nll_infinite")
        values: dict[str, float | None] = {}
        intervals: dict[str, tuple[float, float]] = {}
        undefined: dict[str, str] = {}
        for name, each in self.measurements.items():
            if name in _OF_EITHER and ruled_out is not None and ruled_out.value:
                values[name] = None
                undefined[name] = (
                    f"it leaves out {several(round(ruled_out.value), 'token')} that a model rules out, which "
                    "nll_infinite counts"
                )
                continue
            values[name] = each.value
            count = self.measurements.get(_INFINITE.get(name, ""))
            if count is not None and count.value:
                values[name] = math.inf
                intervals[name] = (math.inf, math.inf)
            elif each.interval is not None:
                intervals[name] = each.interval
            if each.value is None:
                undefined[name] = each.undefined
        return Measured(values, intervals, undefined)

    def to_dict(self) -> dict[str, Any]:
        """The measurements at the top level by their names, and all else beside them, in JSON's own types."""
        rest = self.model_dump(mode="json", exclude={"measurements"})
        measured = {name: each.model_dump(mode="json") for name, each in self.measurements.items()}
        return measured | rest

    def table(self) -> pd.DataFrame:
        """A row a measurement: ``value``, ``lower``, ``upper``, ``documents`` and ``tokens``; NaN for none."""
        import pandas as pd

        rows = [
            (each.value, *(each.interval or (None, None)), each.documents, each.tokens)
            for each in self.measurements.values()
        ]
        columns = ["value", "lower", "upper", "documents", "tokens"]
        return pd.DataFrame(rows, index=pd.Index(list(self.measurements), name="measurement"), columns=columns)

    def _repr_html_(self) -> str:
        # Only here, because the table is made of comparisons.
        from anchorlab.tokens.table import tokens_table

        return to_html(tokens_table(self))

    def __repr__(self) -> str:
        values = ", ".join(
            f"{name}={each.value:.4g}"
            for name in _SHOWN
            if (each := self.measurements.get(name)) is not None and each.value is not None
        )
        return printable(f"TokenComparison({self.documents} documents, {self.tokens} tokens, {values})")

    __str__ = __repr__


#: Names that a gate may bound.
NAMES = tuple(MEASUREMENTS)
