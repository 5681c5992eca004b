"""The page of a comparison of two language models: findings, worst tokens in context, distribution, breakdowns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pydantic import ValidationError

from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json, write_json
from anchorlab.reports.foreign import refuse_foreign
from anchorlab.reports.html import PAGE, asset
from anchorlab.reports.plain import PlainPage, PlainSection, write_plain
from anchorlab.reports.tokens.figures import figures_of
from anchorlab.reports.tokens.passages import passages_element
from anchorlab.settings import invalid
from anchorlab.statistics.table import Table, facts_table
from anchorlab.tokens.result import TokenComparison
from anchorlab.tokens.table import headline_table, parts_table, tokens_table
from anchorlab.tokens.words import words_of_tokens

#: The file that tells a folder with such a comparison.
RECORD = "tokens.json"

_REMEDY = "run anchorlab compare --texts again"

_OF_INTERVALS = (
    "Intervals are over documents: a mean over tokens is a ratio of two sums over documents, linearised, with "
    "Student's t. They speak of this pair of models on documents like these, and not of other trainings. Percentiles "
    "with fewer than ten documents beyond them, and extremes, have none."
)


def write_tokens(comparison: TokenComparison, out: Path, judged: Sequence[str] = ()) -> Path:
    """Writes ``tokens.json``, the page and ``figures/`` to a folder.

    Args:
        comparison: what ``compare_tokens`` measured.
        out: the folder.
        judged: what the gates say of it, a sentence each; these are the first findings.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    write_json(out / RECORD, {"values": _storable(comparison.model_dump(mode="python")), "judged": list(judged)})
    return write_plain(tokens_page(comparison, out, judged), out)


def check_tokens_folder(folder: Path) -> None:
    """Refuses a folder whose files ``compare --texts --out`` did not write, as ``refuse_foreign`` does."""
    refuse_foreign(folder / RECORD, "anchorlab compare --texts", lambda: read_tokens(folder / RECORD), [PAGE])


def write_tokens_folder(folder: Path, out: Path) -> Path:
    """Writes the page of a folder that ``compare --texts --out`` filled.

    Raises:
        AnchorlabError: if the record is damaged, or the page cannot be written.
    """
    judged = read_json(folder / RECORD, _REMEDY).get("judged", [])  # older records have none
    if not isinstance(judged, list) or not all(isinstance(sentence, str) for sentence in judged):
        raise AnchorlabError(f"the comparison {folder / RECORD} is damaged: judged must be a list of texts; {_REMEDY}")
    return write_plain(tokens_page(read_tokens(folder / RECORD), out, judged), out)


def read_tokens(file: Path) -> TokenComparison:
    """The comparison that ``write_tokens`` recorded.

    Raises:
        AnchorlabError: if the record is damaged.
    """
    record = read_json(file, _REMEDY)
    try:
        return TokenComparison.model_validate(record.get("values"))
    except ValidationError as error:
        raise AnchorlabError(f"{invalid(f'the comparison {file}', error)}; {_REMEDY}") from error


def _storable(value: Any) -> Any:
    """A value as JSON has it; infinite numbers, which JSON has not, as the texts that they are read from again."""
    if isinstance(value, Mapping):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def tokens_page(comparison: TokenComparison, out: Path, judged: Sequence[str] = ()) -> PlainPage:
    """What a page says of a comparison, first what gates judged; its figures' files are written below ``out``."""
    reference, candidate = (_name(path) for path in (comparison.reference, comparison.candidate))
    title = f"{candidate} against {reference}"
    return PlainPage(
        kind="comparison of language models",
        title=f"Does {candidate} still answer like {reference}, token by token?",
        findings=(*map(_sentence, judged), *words_of_tokens(comparison)),
        caution=" ".join(comparison.cautions),
        style=asset("tokens.css"),
        sections=[
            PlainSection("The measurements to read first", tables=[headline_table(comparison, title)]),
            *_worst(comparison),
            *_distributions(comparison, dict(figures_of(comparison, out / "figures"))),
            *_parts(comparison),
            PlainSection("Every measurement", tables=[tokens_table(comparison, title)]),
            _measured(comparison),
        ],
    )


def _sentence(words: str) -> str:
    """A sentence as a page has it, with a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"


def _name(path: str) -> str:
    """The last part of a path, by which people call a model."""
    return path.rstrip("/").rpartition("/")[2] or path


def _worst(comparison: TokenComparison) -> Iterator[PlainSection]:
    if comparison.worst:
        words = (
            "The tokens of largest KL, outlined, with the tokens around them. The table says how likely both models "
            "held the true token, and their own likeliest ones.",
        )
        yield PlainSection("Where they differ most", words, parts=[passages_element(comparison.worst)])


def _distributions(comparison: TokenComparison, figures: Mapping[str, Markup]) -> Iterator[PlainSection]:
    if "survival" in figures:
        yield PlainSection("How rarely the divergence is large", parts=[figures["survival"]])
    if comparison.by_position:
        table = parts_table(comparison.by_position, "positions", "By the number of tokens before", "tokens before")
        shown = [figures["positions"]] if "positions" in figures else []
        yield PlainSection("By position", parts=shown, tables=[table])


def _parts(comparison: TokenComparison) -> Iterator[PlainSection]:
    if comparison.by_domain:
        table = parts_table(comparison.by_domain, "domains", "By domain", "domain")
        yield PlainSection("By domain", tables=[table])
    if comparison.noise:
        words = ("The reference against itself, computed otherwise: a difference of this size means nothing.",)
        table = parts_table(comparison.noise, "noise", "The noise floor", "computed")
        yield PlainSection("The noise floor", words, tables=[table])


def _measured(comparison: TokenComparison) -> PlainSection:
    words = [comparison.scoring.words(), _OF_INTERVALS, *comparison.notes]
    return PlainSection("How it was measured", words, tables=[_facts(comparison)])


def _facts(comparison: TokenComparison) -> Table:
    scoring = comparison.scoring
    facts: dict[str, object] = {
        "reference": f"{comparison.reference}, {scoring.precision_reference}",
        "candidate": f"{comparison.candidate}, {scoring.precision_candidate}",
        "texts": scoring.texts,
        "column of texts": scoring.text_column or "–",
        "column of domains": scoring.domain_column or "–",
        "context": f"{scoring.context:,} tokens",
        "stride": f"{scoring.stride:,} tokens",
        "put before each window": scoring.begins or "nothing",
        "scored": f"{comparison.tokens:,} tokens of {comparison.documents:,} documents",
    }
    return facts_table("scoring", "What was compared, and how", facts)
