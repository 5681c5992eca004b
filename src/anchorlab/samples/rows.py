"""One line of a log as a sample: which document, which filter, its scores and its answer.

lm-eval 0.4 writes ``doc_id``, ``doc``, ``target``, ``arguments``, ``resps``, ``filtered_resps`` and each metric by its
name; newer versions of it also ``filter``, ``metrics`` (the metrics' names), ``doc_hash``, ``prompt_hash`` and
``target_hash``. There is a line for each document and filter. All that is not a string in ``filtered_resps`` is written
as one. Any other log has an id in each line, and an answer or scores.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from anchorlab.errors import AnchorlabError, first_line, quoted, shortened

#: What stands in a line of lm-eval's besides its metrics.
_FIXED = {
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"),
    *("doc_hash", "prompt_hash", "target_hash"),
}

#: Names under which other logs have their ids and answers, and names that are no scores. The first that is there
#: counts: beside a prediction, a response or an output, what is called an answer may be the right one.
IDS = ("id", "doc_id", "sample_id", "example_id", "question_id")
ANSWERS = ("prediction", "response", "output", "answer")
_NO_SCORES = {*IDS, *ANSWERS, "filter", "label", "target", "gold"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One document's result under one filter.

    Attributes:
        document: what is the same for the same document in both runs.
        number: the document's id in its log.
        filter: how the answer was read off the model's output; empty where the log does not say.
        scores: metric to value; those that are no finite number are left out.
        unscored: metrics whose values are no numbers, such as a pair that only sums can be made of.
        answer: a hash of the answer; None if it is not known.
        prompt: the prompt's hash; empty if it is not known.
        target: the target's hash; empty if it is not known.
    """

    document: str
    number: str
    filter: str
    scores: Mapping[str, float]
    unscored: frozenset[str] = field(default=frozenset())
    answer: bytes | None = None
    prompt: str = ""
    target: str = ""


def samples_of(file: Path) -> Iterator[Sample]:
    """The samples of a log, a line at a time.

    Raises:
        AnchorlabError: naming the file and the line of what is no JSON, no object, or has no id.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except (ValueError, RecursionError) as error:
                raise AnchorlabError(
                    f"{file}, line {number} is not JSON ({shortened(first_line(error)) or type(error).__name__}): a "
                    "log has an object on each line; correct it, or log the run again"
                ) from error
            if not isinstance(row, dict):
                raise AnchorlabError(
                    f"{file}, line {number} holds {quoted(row, 60)}, but an object with an id was expected: write "
                    'each row as {"id": …, "answer": …, "score": …}'
                )
            yield _sample(row, f"{file}, line {number}")


def _sample(row: dict[str, Any], where: str) -> Sample:
    of_lm_eval = "doc_id" in row and not {"resps", "filtered_resps", "doc_hash"}.isdisjoint(row)
    name = "doc_id" if of_lm_eval else next((name for name in IDS if name in row), None)
    if name is None or isinstance(row[name], bool) or not isinstance(row[name], str | int):
        found = "no id" if name is None else f"the id {quoted(row[name], 60)}"
        raise AnchorlabError(
            f"{where} has {found}: give each row a number or a text as {', '.join(IDS[:-1])} or {IDS[-1]}"
        )
    number = str(row[name])
    named = row.get("metrics") if of_lm_eval else None
    if not isinstance(named, list):
        named = [name for name in row if name not in (_FIXED if of_lm_eval else _NO_SCORES)]
    values = {name: _number(row[name]) for name in named if isinstance(name, str) and name in row}
    if not of_lm_eval:
        values = {name: value for name, value in values.items() if value is not None}
    answer = _answer(row.get("filtered_resps")) if of_lm_eval else next((row[n] for n in ANSWERS if n in row), None)
    return Sample(
        document=_text(row, "doc_hash") if of_lm_eval and _text(row, "doc_hash") else number,
        number=number,
        filter=_text(row, "filter"),
        scores={name: value for name, value in values.items() if value is not None and math.isfinite(value)},
        unscored=frozenset(name for name, value in values.items() if value is None),
        answer=None if answer is None else blake2b(json.dumps(answer).encode(), digest_size=16).digest(),
        prompt=_text(row, "prompt_hash"),
        target=_text(row, "target_hash"),
    )


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    """A score as a number, NaN where it is missing; None for what is none."""
    if value is None:
        return math.nan
    if not isinstance(value, bool | int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _answer(responses: Any) -> Any:
    """The answer in lm-eval's ``filtered_resps``.

    Of several choices, each a log-likelihood and whether it is the greedy continuation, it is the number of the
    likeliest; of one, whether it is the greedy one; of a generation, its text.
    """
    if not isinstance(responses, list) or not responses:
        return None
    pairs = [_likelihood(each) for each in responses]
    known = [pair for pair in pairs if pair is not None]
    if len(known) < len(pairs):
        return responses
    if len(known) == 1:
        return known[0][1]
    likelihoods = [likelihood for likelihood, _ in known]
    return likelihoods.index(max(likelihoods))


def _likelihood(response: Any) -> tuple[float, str] | None:
    """A log-likelihood and whether it is the greedy continuation, both of which lm-eval writes as texts."""
    if not isinstance(response, list) or len(response) != 2 or str(response[1]) not in ("True", "False"):
        return None
    try:
        return float(response[0]), str(response[1])
    except (TypeError, ValueError):
        return None
