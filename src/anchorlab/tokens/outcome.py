"""What a comparison is asked for, what it met on the way, and the result that the scored tokens make of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anchorlab.errors import AnchorlabError
from anchorlab.tokens.documents import Reading
from anchorlab.tokens.result import Scoring, TokenComparison
from anchorlab.tokens.scoring import Plan
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.summary import Tokens, by_domain, by_position, cautions_of
from anchorlab.tokens.vocabulary import begins_with, encoder, parting
from anchorlab.tokens.windows import check_windows
from anchorlab.tokens.worst import Worst

#: Most tokens that models read at once, where nobody says so and they can read so many.
_CONTEXT = 512


@dataclass(frozen=True)
class Wanted:
    """The texts, and how they are to be read; see ``compare_tokens``, where None stands for the same.

    Attributes:
        texts: the documents.
        reading: what was seen of all of them beforehand.
        context: most tokens that the models read at once.
        stride: tokens from the beginning of one window to the next one's.
        bos: whether the beginning-of-text token is put before each window.
        together: windows of full length that are read at once.
    """

    texts: Any
    reading: Reading
    context: int | None
    stride: int | None
    bos: bool | None
    together: int

    def plan(self, tokenizer: Any, other: Any, limits: Sequence[int]) -> Plan:
        """How texts become batches for models of these limits."""
        least = min(limits)
        if self.context is not None and self.context > least:
            raise AnchorlabError(
                f"a context of {self.context:,} tokens is more than the models can read ({least:,}): give a smaller one"
            )
        context = min(_CONTEXT, least) if self.context is None else self.context
        begins = begins_with(tokenizer) if self.bos is None else None
        if self.bos:
            begins = tokenizer.bos_token_id
            if begins is None:
                raise AnchorlabError("the reference's tokenizer has no beginning-of-text token: leave bos out")
        stride = check_windows(context, self.stride, begins)
        encode, apart = encoder(tokenizer, other), parting(tokenizer, other)
        return Plan(self.texts, encode, context, stride, begins, self.together, apart)


@dataclass(frozen=True)
class Met:
    """What is known of the models and the run.

    Attributes:
        reference: where the reference comes from, for messages.
        candidate: where the candidate comes from.
        precisions: the kinds of numbers that both compute in.
        tokenizer: of the texts.
        plan: how the texts became batches.
        notes: what is to be said of both tokenizers.
        identical: whether all weights of both are equal.
        noise: the reference against itself, as ``noise_floor`` has it.
    """

    reference: str
    candidate: str
    precisions: tuple[str, str]
    tokenizer: Any
    plan: Plan
    notes: list[str]
    identical: bool
    noise: list[Any]


def result_of(wanted: Wanted, met: Met, store: TokenStore, worst: Worst) -> TokenComparison:
    """The comparison that the scored tokens make."""
    domains, plan = wanted.reading.domains, met.plan
    tokens = Tokens(store.column, len(domains))
    measurements = tokens.measure()
    documents = measurements["kl_infinite"].documents
    notes = list(met.notes)
    if documents < len(domains):
        notes.append(f"{len(domains) - documents:,} of {len(domains):,} documents are too short to score a token of")
    return TokenComparison(
        reference=met.reference,
        candidate=met.candidate,
        documents=documents,
        tokens=store.tokens,
        measurements=measurements,
        by_position=by_position(store, len(domains), plan.context),
        by_domain=by_domain(store, domains),
        noise=met.noise,
        worst=worst.passages(store, met.tokenizer, domains),
        scoring=Scoring(
            context=plan.context,
            stride=plan.stride,
            begins=None if plan.begins is None else str(met.tokenizer.convert_ids_to_tokens(plan.begins)),
            precision_reference=met.precisions[0],
            precision_candidate=met.precisions[1],
            texts=wanted.texts.source,
            text_column=wanted.texts.text_column,
            domain_column=wanted.texts.domain_column,
        ),
        identical_weights=met.identical,
        notes=notes,
        cautions=[*wanted.reading.copies_in_words, *cautions_of(tokens, measurements)],
    )
