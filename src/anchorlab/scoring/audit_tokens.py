"""``audit_tokens``: does a language model differ from its trusted reference as ordinary fine-tunes do?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from anchorlab.arguments import checked
from anchorlab.artifacts.provenance import same_weights, weights_hash
from anchorlab.artifacts.trust import check_trusted_folder
from anchorlab.errors import AnchorlabError
from anchorlab.files import user_path
from anchorlab.models.accelerator import find_device
from anchorlab.models.adapter_settings import is_adapter
from anchorlab.models.causal import CausalLM, open_causal
from anchorlab.models.device import exact_arithmetic
from anchorlab.notices import notice
from anchorlab.progress import Status, duration, figures_in_words, status_bar
from anchorlab.scoring.audit import check_enough, check_level, sides_of
from anchorlab.scoring.audit_ranks import updates_needed
from anchorlab.scoring.audit_result import UpdateSetting
from anchorlab.scoring.audit_statistics import LEVEL
from anchorlab.scoring.benign_updates import DistinctUpdates, update_name
from anchorlab.scoring.token_audit_result import Measuring, TokenAudit, token_access, token_audit_of
from anchorlab.scoring.token_bench import Asking, Bench
from anchorlab.scoring.token_kept import DEFINITIONS, KeptUpdates, configuration_hash
from anchorlab.scoring.token_texts import AuditTexts, beside, halves_of, measured_alone
from anchorlab.scoring.token_updates import (
    COPIES,
    PlannedUpdate,
    TokenTuning,
    check_tunable,
    make_update,
    plan_updates,
    tunings_for,
    weight_bytes,
    windows_to_learn,
)
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.tokens.documents import has_columns, open_texts
from anchorlab.tokens.scoring import Plan
from anchorlab.tokens.vocabulary import begins_with, check_vocabularies, encoder, parting, tokenizer_hash
from anchorlab.tokens.windows import Window, check_windows

#: Most tokens that the models read at once, where nobody says so and they can read so many.
CONTEXT = 256

#: Most documents that are measured, prompts at which tokens are sampled, tokens that are sampled at each, and length
#: of the lists of likeliest tokens, where nobody says so.
DOCUMENTS, QUERIES, SAMPLES, TOP = 100, 100, 100, 5

#: What takes so many seconds or bytes is said beforehand.
LONG, LARGE = 60.0, 2e9

#: How long a step takes for each of its tokens, and how long a model is measured for each, as multiples of a pass.
_STEP, _MEASURING = 3.0, 2.0


@checked
def audit_tokens(
    reference: str | Path | CausalLM,
    candidate: str | Path | CausalLM,
    *,
    texts: str | Path | Sequence[str],
    update_texts: str | Path | Sequence[str] | None = None,
    text_column: str | None = None,
    benign: int | Sequence[str | Path | CausalLM] | None = None,
    level: float = LEVEL,
    access: str | None = None,
    tuning: TokenTuning | Sequence[TokenTuning] | None = None,
    folder: str | Path | None = None,
    documents: int = DOCUMENTS,
    context: int | None = None,
    top: int = TOP,
    queries: int = QUERIES,
    samples: int = SAMPLES,
    base: str | Path | None = None,
    seed: int = 0,
) -> TokenAudit:
    """Tests whether a language model differs from its reference as benign fine-tunes of the reference do.

    All models read the same windows of the same documents. Fine-tunes are made of other documents. Each statistic of
    the candidate is ranked among the same statistic of the fine-tunes, in both directions. Memory holds two models, and
    while a fine-tune is made the reference's weights five times.

    Args:
        reference: a folder with the trusted causal language model, or an opened one, in float32.
        candidate: the model to audit, in either form, with the same tokenizer.
        texts: a file, see ``anchorlab.tokens.documents``; a list of documents; or ``sample``.
        update_texts: documents of which updates are made, in either form; one half of ``texts`` by hash if None.
        text_column: the column of texts, where a file has columns and leaves a doubt.
        benign: benign updates of the reference, or the number of updates to make; None for as many as the level needs.
        level: of the test, above 0 and below 1.
        access: what the verdict is judged by: samples, top-k, logits, or joint for all statistics at once; None for
            logits, the richest.
        tuning: settings of updates to make, one or several, which share them; None for a short and a long one.
        folder: where the statistics of updates are kept, and read from if they are there; None to keep none. The
            weights of updates are not kept.
        documents: most documents that the models are measured on.
        context: most tokens that the models read at once; 256, or what the reference can read, if None.
        top: length of the lists of likeliest tokens.
        queries: prompts at which tokens are sampled; fewer where there are fewer tokens.
        samples: tokens that each model answers at each prompt.
        base: the base model of adapters; None for the one that each names.
        seed: of the sampled tokens.

    Raises:
        AnchorlabError: if a model, a text or an option cannot be used, there are too few documents or updates, the
            tokenizers differ, an update that is given has the weights of another, of the reference or of the
            candidate, or the reference or a benign update may carry a backdoor by its manifest.
    """
    judged = token_access(access)
    check_level(level)
    for name, value in (("documents", documents), ("top", top), ("queries", queries), ("samples", samples)):
        if value < 1:
            raise AnchorlabError(f"{name} is {value}: give 1 or more")
    given = None if benign is None or isinstance(benign, int) else benign
    count = updates_needed(level, sides=sides_of(judged)) if benign is None else benign
    count = count if isinstance(count, int) else len(count)
    check_enough(count, level, judged)
    if given is not None:
        for name, made in (("tuning", tuning), ("folder", folder), ("update_texts", update_texts)):
            if made is not None:
                raise AnchorlabError(f"{name} is for updates that are made: leave it out beside a list of updates")
    _check_kind(reference, "the reference of an audit")
    for number, update in enumerate(given or (), 1):
        _check_kind(update, f"benign update {number}")
    # The column is that of the files that have columns; where none has any, its name is refused.
    columned = has_columns(texts), has_columns(update_texts)
    columns = [text_column if has or not any(columned) else None for has in columned]
    found = open_texts(texts, text_column=columns[0])
    if given is not None:
        split = measured_alone(found, documents)
    elif update_texts is None:
        split = halves_of(found, documents)
    else:
        split = beside(found, open_texts(update_texts, text_column=columns[1]), documents)
    trusted = _opened(reference, base)
    distinct = _distinct(trusted, given or (), base)
    suspect = _opened(candidate, base)
    if given is not None:
        distinct.add(suspect.net, "the candidate", update=False)
    notes = check_vocabularies(trusted, suspect)
    identical = same_weights(trusted.net, suspect.net)
    sources = trusted.source, suspect.source
    plan = _plan(trusted, suspect, split, context)
    device, asking = find_device(), Asking(top, queries, samples, seed)
    settings: tuple[UpdateSetting, ...] = (UpdateSetting("given", count),)
    with tempfile.TemporaryDirectory(prefix="anchorlab-audit-") as place, exact_arithmetic(device):
        if given is None:
            check_tunable(trusted, device)
            settings, planned = plan_updates(count, tunings_for(trusted, tuning))
        begun = time.monotonic()
        with status_bar("audit") as show:
            show(0, 1 + count, "the reference answers")
            bench = Bench(trusted, plan, asking, Path(place) / "answers.safetensors", device)
            seconds = time.monotonic() - begun
            own = bench.measure(
                suspect, "candidate", lambda share: show(share, 1 + count, f"the candidate answers, {share:.0%}")
            )
            suspect = None  # type: ignore[assignment] # its memory is wanted for updates
            if given is None:
                making = _Making(trusted, split, plan, bench, asking, device, show, seconds)
                null = making.values(planned, None if folder is None else user_path(folder))
            else:
                null = [
                    _values(_measured_given(bench, update, number, base, show, count))
                    for number, update in enumerate(given, 1)
                ]
    measuring = Measuring(
        split.words,
        bench.scored,
        bench.tokens,
        plan.context,
        top,
        len(bench.queries),
        samples,
        bench.chance,
        identical,
        tuple(notes),
    )
    return token_audit_of(sources, own, null, settings, measuring, judged=judged, level=level)


@dataclass(frozen=True)
class _Making:
    """Makes benign updates one after the other, and measures each.

    Attributes:
        reference: of which they are made.
        texts: the documents of the audit.
        plan: how they are read.
        bench: where they are measured.
        asking: what they are asked.
        device: where they are made.
        show: shows how far it is.
        seconds: what the reference's answers took.
        windows: those of the update texts, by their length.
    """

    reference: CausalLM
    texts: AuditTexts
    plan: Plan
    bench: Bench
    asking: Asking
    device: torch.device
    show: Status
    seconds: float
    windows: dict[int, list[Window]] = field(default_factory=dict)

    def values(self, planned: Sequence[PlannedUpdate], folder: Path | None) -> list[dict[str, float]]:
        """The statistics of all updates; those that a folder holds are read from it."""
        assert self.texts.update is not None
        about = {
            "definitions": DEFINITIONS,
            "reference": weights_hash(self.reference.net),
            "configuration": configuration_hash(self.reference),
            "tokenizer": tokenizer_hash(self.reference.tokenizer),
            "texts": self.plan.texts.checked().digest,
            "update_texts": self.texts.update.checked().digest,
            "context": self.plan.context,
            "beginning": self.plan.begins,
            **vars(self.asking),
        }
        kept = KeptUpdates(folder, about)
        there = {one.name: kept.read(one) for one in planned}
        to_make = [one for one in planned if there[one.name] is None]
        self._announce(to_make)
        total = 1 + len(planned)
        found = []
        for number, one in enumerate(planned, 1):
            values = there[one.name]
            if values is None:
                values = self._made(one, number, total)
                kept.write(one, values)
            found.append(values)
        return found

    def _made(self, planned: PlannedUpdate, number: int, total: int) -> dict[str, float]:
        words = f"benign update {number} of {total - 1}"

        def tuned(done: int, figures: dict[str, float]) -> None:
            self.show(number + done / planned.tuning.steps / 2, total, words, figures_in_words(figures))

        assert self.texts.update is not None
        context = planned.tuning.context
        if context not in self.windows:
            self.windows[context] = windows_to_learn(self.texts.update, self.plan, context)
        update = make_update(self.reference, self.windows[context], planned, self.device, tuned)
        return _values(
            self.bench.measure(
                update,
                planned.name,
                lambda share: self.show(number + (1 + share) / 2, total, f"{words}, measured: {share:.0%}"),
            )
        )

    def _announce(self, to_make: Sequence[PlannedUpdate]) -> None:
        """Says what the updates that are to be made will take, where that is much."""
        steps = sum(one.tuning.steps * one.tuning.batch_size * one.tuning.context for one in to_make)
        # A step costs three passes; measuring costs as much as a pass again.
        seconds = self.seconds * (_STEP * steps / self.bench.tokens + _MEASURING * len(to_make))
        memory = COPIES * weight_bytes(self.reference)
        if to_make and (seconds >= LONG or memory >= LARGE):
            notice(
                f"{several(len(to_make), 'benign update')} of {self.reference.source} will take about "
                f"{duration(seconds)}; memory holds the weights {COPIES} times, which is {memory / 1e9:.1f} GB, beside "
                "what a step needs"
            )


def _distinct(reference: CausalLM, given: Sequence[str | Path | CausalLM], base: str | Path | None) -> DistinctUpdates:
    """Refuses updates that are copies, or of other vocabularies, before anything is measured.

    Each is opened, and let go again, so that memory holds two models at most.
    """
    distinct = DistinctUpdates()
    if given:
        distinct.add(reference.net, "the reference", update=False)
    for number, update in enumerate(given, 1):
        opened = _opened(update, base)
        check_vocabularies(reference, opened)
        distinct.add(opened.net, update_name(given, number))
    return distinct


def _measured_given(
    bench: Bench, update: str | Path | CausalLM, number: int, base: Any, show: Status, total: int
) -> dict[str, Estimate]:
    """A benign update that was given."""
    opened = _opened(update, base)
    words = f"benign update {number} of {total}"
    return bench.measure(
        opened, f"given-{number}", lambda share: show(number + share, 1 + total, f"{words}, {share:.0%}")
    )


def _values(found: Mapping[str, Estimate]) -> dict[str, float]:
    """The values alone; 0 where nothing could be counted."""
    return {name: 0.0 if one.value is None else float(one.value) for name, one in found.items()}


def _check_kind(model: str | Path | CausalLM, what: str) -> None:
    """Refuses a folder that may hold a backdoor by its files, where a model is held to be clean."""
    if not isinstance(model, CausalLM):
        check_trusted_folder(model, what)


def _opened(model: str | Path | CausalLM, base: str | Path | None) -> CausalLM:
    if isinstance(model, CausalLM):
        return model
    return open_causal(model, base=base if is_adapter(user_path(model)) else None)


def _plan(reference: CausalLM, candidate: CausalLM, texts: AuditTexts, context: int | None) -> Plan:
    """How measured texts are read: windows without an overlap, each token once."""
    limit = min(reference.limit, candidate.limit)
    if context is not None and context > limit:
        raise AnchorlabError(
            f"a context of {context:,} tokens is more than the models can read ({limit:,}): give a smaller one"
        )
    context = min(CONTEXT, limit) if context is None else context
    begins = begins_with(reference.tokenizer)
    stride = check_windows(context, None, begins)
    tokenizers = reference.tokenizer, candidate.tokenizer
    return Plan(texts.measured, encoder(*tokenizers), context, stride, begins, apart=parting(*tokenizers))
