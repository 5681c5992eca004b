"""Two language models by llama.cpp's definitions: its statistics, from its base files or from models."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anchorlab.arguments import checked
from anchorlab.consistency.gate import Measured
from anchorlab.errors import AnchorlabError, printable, shortened
from anchorlab.files import input_file, user_path
from anchorlab.models.accelerator import find_device
from anchorlab.models.causal import CausalLM, Precision, open_causal
from anchorlab.models.device import lent
from anchorlab.progress import progress_bar
from anchorlab.statistics.arrays import Floats, Integers, Truths
from anchorlab.statistics.table import number
from anchorlab.tokens.documents import SAMPLE, open_texts
from anchorlab.tokens.kld import SUFFIX, BaseFile, open_base
from anchorlab.tokens.llama_answers import (
    Answers,
    ModelAnswers,
    StoredAnswers,
    check_fits,
    chunks_of,
    tokens_of,
    with_bos,
)
from anchorlab.tokens.llama_block import block_text
from anchorlab.tokens.llama_cpp import ENOUGH_TOKENS, Block, Scored, block_of, joined, score, scored_positions

#: llama.cpp's own context.
CONTEXT = 512

#: Rows of a chunk that are measured at once, so that float64 copies of them stay in the processor's cache.
_ROWS = 8

#: Fewer chunks than this make intervals over them unsure.
_ENOUGH_CHUNKS = 20

#: A base row that spans so many nats was cut off at llama.cpp's 16.
_CUT = 15.99


@dataclass(frozen=True)
class LlamaComparison:
    """The statistics of llama.cpp's block, with its uncertainties and our intervals.

    Attributes:
        reference: where the base's log-probabilities come from.
        candidate: where the candidate's come from.
        statistics: name to value, uncertainty and interval; rates and changes in probability are fractions of 1.
        context: tokens in a chunk.
        chunks: number of chunks.
        tokens: number of scored tokens.
        begins: whether each chunk begins with BOS in place of its first token.
        cut: true tokens that the base file holds as no rarer than 16 nats below the likeliest, although they may be.
        cautions: what the numbers cannot mean.
    """

    reference: str
    candidate: str
    statistics: Block
    context: int
    chunks: int
    tokens: int
    begins: bool
    cut: int
    cautions: tuple[str, ...] = field(default=())

    def lines(self) -> list[str]:
        """The block as llama.cpp prints it, our interval after each line that has one, and what both mean."""
        first = "BOS" if self.begins else "the text's own token"
        return [
            *block_text(self.statistics),
            "",
            f"± is llama.cpp's standard error, which takes the {self.tokens:,} tokens as independent; [ ] is "
            f"anchorlab's 95% interval over the {self.chunks:,} chunks.",
            f"Scored are positions {self.context // 2} to {self.context - 2} of each chunk of {self.context} tokens, "
            f"which begins with {first}.",
        ]

    def to_dict(self) -> dict[str, Any]:
        """The statistics at the top level by their names, and what they were made of; what is not finite is None."""
        return {
            **{
                name: {
                    "value": number(entry.value),
                    "interval": entry.interval,
                    "standard_error": number(entry.error),
                    "chunks": self.chunks,
                    "tokens": self.tokens,
                }
                for name, entry in self.statistics.items()
            },
            "definitions": "llama.cpp",
            "reference": self.reference,
            "candidate": self.candidate,
            "context": self.context,
            "chunks": self.chunks,
            "tokens": self.tokens,
            "begins_with_bos": self.begins,
            "true_tokens_cut": self.cut,
        }

    def measured(self) -> Measured:
        """The statistics as a gate judges them."""
        values: dict[str, float | None] = {
            name: None if math.isnan(entry.value) else entry.value for name, entry in self.statistics.items()
        }
        intervals = {name: entry.interval for name, entry in self.statistics.items() if entry.interval is not None}
        return Measured(values, intervals, dict.fromkeys(("nll_correlation",), "one of both models never varies"))

    def __repr__(self) -> str:
        block = self.statistics
        shown = ", ".join(f"{name}={block[name].value:.4g}" for name in ("kl", "kl_p99", "log_ppl_ratio", "same_top"))
        return printable(f"LlamaComparison({self.chunks} chunks, {self.tokens} tokens, {shown})")

    __str__ = __repr__


@checked
def compare_as_llama_cpp(
    reference: str | Path | CausalLM,
    candidate: str | Path | CausalLM,
    *,
    texts: str | Path | None = None,
    context: int | None = None,
    precision: Precision = "float32",
) -> LlamaComparison:
    """Measures a candidate as ``llama-perplexity --kl-divergence`` does, whose numbers users publish.

    Args:
        reference: a base file that ``llama-perplexity --kl-divergence-base`` wrote (``.kld``), or a model.
        candidate: a model; or a second base file over the same tokens, whose 16-bit values stand in for the logits.
        texts: a text file, where no base file says the tokens. It is one text, as for llama.cpp. Documents of
            another file, or of ``sample``, are joined by blank lines.
        context: tokens in a chunk, where no base file says it; 512, as in llama.cpp, if None.
        precision: the kind of numbers that models given as folders compute in.

    Raises:
        AnchorlabError: if a file is damaged, tokens or vocabularies differ, or a model cannot read a whole chunk.
    """
    pair = [_opened(given, precision) for given in (reference, candidate)]
    stored = [each for each in pair if isinstance(each, BaseFile)]
    if stored:
        _refuse_given(texts=texts, context=context, file=stored[0])
        _check_same_tokens(stored)
        chunks = stored[0].tokens.astype(np.int64)
    elif texts is None:
        raise AnchorlabError(
            "two models need a text to be compared on: give a text file, or the reference's base file of llama.cpp"
        )
    else:
        chunks = _chunks_of_text(pair, texts, CONTEXT if context is None else context)
    with ExitStack() as lending:
        models = [each.net for each in pair if isinstance(each, CausalLM)]
        lending.enter_context(lent(find_device(), *models))
        base, other = (_answers(each, chunks, name) for each, name in zip(pair, _NAMES, strict=True))
        _check_vocabularies(base, other)
        scored, cut = _scored(base, other, chunks)
    return _comparison(base, other, scored, cut, chunks, begins=_begins(pair, chunks))


_NAMES = ("reference", "candidate")


def _opened(given: str | Path | CausalLM, precision: Precision) -> BaseFile | CausalLM:
    if isinstance(given, CausalLM):
        return given
    if user_path(given).suffix == SUFFIX:
        return open_base(given)
    return open_causal(given, precision=precision)


def _refuse_given(*, file: BaseFile, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise AnchorlabError(f"{file.path} says the {name} itself, its tokens too: leave out {name}")


def _check_same_tokens(stored: list[BaseFile]) -> None:
    first, last = stored[0], stored[-1]
    if not np.array_equal(first.tokens, last.tokens):
        raise AnchorlabError(
            f"{first.path} and {last.path} are over different tokens or contexts: write both with one text and one -c"
        )


def _chunks_of_text(pair: list[Any], texts: str | Path, context: int) -> Integers:
    if context < 4:
        raise AnchorlabError(f"a context of {context} tokens leaves nothing to score: give at least 4")
    text = _text_of(texts)
    first, second = (tokens_of(text, model.tokenizer) for model in pair)
    if not np.array_equal(first, second):
        raise AnchorlabError(
            f"the tokenizers of {shortened(pair[0].source)} and {shortened(pair[1].source)} cut the text differently: "
            "give two models with one tokenizer"
        )
    return chunks_of(first, context)


def _text_of(texts: str | Path) -> str:
    """One text: a text file as it is, without its last line break; documents of other files, joined by blank lines."""
    if str(texts) == SAMPLE or Path(texts).suffix in (".jsonl", ".parquet"):
        return "\n\n".join(document.text for document in open_texts(str(texts)).read())
    path = input_file(texts, "give a text file")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise AnchorlabError(f"{path} is no UTF-8 text: write it as UTF-8") from error
    return text.removesuffix("\n")


def _answers(opened: BaseFile | CausalLM, chunks: Integers, name: str) -> Answers:
    if isinstance(opened, BaseFile):
        return StoredAnswers(opened)
    answers = ModelAnswers(opened, with_bos(chunks, opened.tokenizer.bos_token_id))
    check_fits(answers, chunks.shape[1], name)
    return answers


def _begins(pair: list[Any], chunks: Integers) -> bool:
    return any(isinstance(each, CausalLM) and chunks[0, 0] == each.tokenizer.bos_token_id for each in pair)


def _check_vocabularies(base: Answers, other: Answers) -> None:
    if base.vocabulary != other.vocabulary:
        raise AnchorlabError(
            f"{shortened(base.source)} has a vocabulary of {base.vocabulary:,}, but {shortened(other.source)} of "
            f"{other.vocabulary:,}: give two of one vocabulary"
        )


def _scored(base: Answers, other: Answers, chunks: Integers) -> tuple[Scored, int]:
    """What is measured at every scored token, and how many true tokens the base file cuts off."""
    count, context = chunks.shape
    positions = range(context)[scored_positions(context)]
    parts, cut = [], 0
    with progress_bar("comparing", count) as report:
        for chunk in range(count):
            first, second = base.of(chunk), other.of(chunk)
            for start in range(0, len(positions), _ROWS):
                stop = min(start + _ROWS, len(positions))
                true = chunks[chunk, positions.start + 1 + start : positions.start + 1 + stop]
                rows = first(start, stop)
                cut += int(_are_cut(rows, true).sum()) if isinstance(base, StoredAnswers) else 0
                parts.append(score(rows, second(start, stop), true))
            report(chunk + 1, {})
    return joined(parts), cut


def _are_cut(rows: Floats, true: Integers) -> Truths:
    """Which true tokens are stored with the least log-probability of a row that llama.cpp cut off at 16 nats."""
    least = rows.min(axis=1)
    return np.asarray((rows[np.arange(len(true)), true] <= least) & (rows.max(axis=1) - least > _CUT))


def _comparison(
    base: Answers, other: Answers, scored: Scored, cut: int, chunks: Integers, *, begins: bool
) -> LlamaComparison:
    count, tokens = len(chunks), len(scored.kl)
    return LlamaComparison(
        base.source,
        other.source,
        block_of(scored, count),
        chunks.shape[1],
        count,
        tokens,
        begins,
        cut,
        tuple(_cautions(count, tokens, cut, both_stored=isinstance(other, StoredAnswers))),
    )


def _cautions(chunks: int, tokens: int, cut: int, *, both_stored: bool) -> list[str]:
    cautions = []
    if tokens < ENOUGH_TOKENS:
        cautions.append(f"llama.cpp prints no statistics of fewer than {ENOUGH_TOKENS} tokens, and these are {tokens}")
    if chunks == 1:
        cautions.append("one chunk has no interval, because nothing says how far chunks differ: use a longer text")
    elif chunks < _ENOUGH_CHUNKS:
        cautions.append(
            f"{chunks} chunks say little about others: intervals need about {_ENOUGH_CHUNKS}, so use a longer text"
        )
    if cut:
        cautions.append(
            f"the base file cuts off {cut:,} of {tokens:,} true tokens, which it holds as 16 nats rarer than the "
            "likeliest although they may be rarer, so PPL(base) is too small and PPL(Q)/PPL(base) too large: compare "
            "the two models themselves with --texts"
        )
    if both_stored:
        cautions.append(
            "the candidate's log-probabilities are 16-bit and cut off at 16 nats too: llama.cpp itself takes its exact "
            "logits"
        )
    return cautions
