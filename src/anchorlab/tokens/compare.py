"""``compare_tokens``: does the candidate still answer like the reference, token by token?"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anchorlab.arguments import checked
from anchorlab.errors import AnchorlabError
from anchorlab.files import check_writable, kind_at, user_path
from anchorlab.models.accelerator import find_device
from anchorlab.models.adapter_settings import is_adapter
from anchorlab.models.causal import CausalLM, Precision, open_causal
from anchorlab.models.device import exact_arithmetic, lent
from anchorlab.models.loading import open_tokenizer
from anchorlab.progress import progress_bar
from anchorlab.tokens.answers import Answers, Live, Stored, write_answers
from anchorlab.tokens.base_reference import BaseAnswers, base_windows, cut_off, lumped
from anchorlab.tokens.documents import SAMPLE, Reading, Texts, open_texts
from anchorlab.tokens.kld import SUFFIX, BaseFile, open_base
from anchorlab.tokens.llama_answers import ModelAnswers, check_fits, with_bos
from anchorlab.tokens.noise import noise_floor
from anchorlab.tokens.result import Scoring, TokenComparison
from anchorlab.tokens.scoring import Plan, score
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.summary import Tokens, by_domain, by_position, cautions_of
from anchorlab.tokens.vocabulary import begins_with, check_vocabularies, encoder, parting, tokenizer_hash
from anchorlab.tokens.windows import check_windows, in_batches
from anchorlab.tokens.worst import Worst

#: Most tokens that models read at once, where nobody says so and they can read so many.
_CONTEXT = 512


@checked
def compare_tokens(
    reference: str | Path | CausalLM,
    candidate: str | Path | CausalLM,
    *,
    texts: str | Path | Sequence[str] = SAMPLE,
    text_column: str | None = None,
    domain_column: str | None = None,
    context: int | None = None,
    stride: int | None = None,
    bos: bool | None = None,
    together: int = 1,
    precision: Precision = "float32",
    in_turn: bool = False,
    answers: str | Path | None = None,
    noise: bool = False,
    worst: int = 20,
    save_tokens: str | Path | None = None,
    base: str | Path | None = None,
) -> TokenComparison:
    """Measures how far a causal language model differs from its reference at each token of some texts.

    Both models read the same windows of the texts, and their distributions of each next token are compared, in float64
    from the logits as they are. Memory holds the logits of one window.

    Args:
        reference: a folder with a causal language model, or an opened one; or a base file of llama.cpp (``.kld``),
            which holds the tokens too, so that ``texts`` and what decides how they are read are left out.
        candidate: the model compared with it, in either form, with the same tokenizer.
        texts: a file, see ``anchorlab.tokens.documents``; a list of documents; or ``sample``.
        text_column: the column of texts, where the file has columns and leaves a doubt.
        domain_column: the column by which results are broken down; ``domain`` if there is one.
        context: most tokens that the models read at once; 512, or what both can read, if None.
        stride: tokens from the beginning of one window to the next one's; as many as fit into a window if None. A
            smaller one gives each token more context, and takes longer.
        bos: whether the beginning-of-text token is put before each window; as the reference's tokenizer does if None.
        together: windows of full length that are read at once.
        precision: of models that are opened here.
        in_turn: whether one model is opened after the other, and the reference's answers wait in a file.
        answers: that file, which is kept, and read in place of the reference where it is there already; a temporary
            one if None. Naming one means ``in_turn``.
        noise: whether to measure the reference against itself too, at another batch size and in bfloat16.
        worst: how many of the tokens of largest KL are kept with their contexts.
        save_tokens: a parquet file to write a row a scored token to; None for none.
        base: the base model of adapters, which are then opened first; None for the one that each names.

    Raises:
        AnchorlabError: if a model, a text or an option cannot be used, or the tokenizers differ.
    """
    for name, value, least in (("together", together, 1), ("worst", worst, 0)):
        if value < least:
            raise AnchorlabError(f"{name} is {value}: give {least} or more")
    tokens_file = None if save_tokens is None else user_path(save_tokens)
    check_writable(tokens_file)
    if is_base_file(candidate):
        raise AnchorlabError(f"{candidate} is a base file of llama.cpp, which can only be the reference: give a model")
    if not isinstance(reference, CausalLM) and is_base_file(reference):
        options: dict[str, Any] = {"text_column": text_column, "domain_column": domain_column, "context": context}
        options |= {"stride": stride, "bos": bos, "answers": answers}
        options |= {"in_turn": in_turn or None, "noise": noise or None, "texts": None if texts == SAMPLE else texts}
        for option, given in options.items():
            if given is not None:
                raise AnchorlabError(f"{reference} holds its tokens, and says how they are read: leave out {option}")
        with TokenStore() as store:
            stored = open_base(reference)  # first, because a model takes long to open
            second = _opened(_on_base(candidate, base, precision), precision)
            result = _with_base(stored, second, together, store, Worst(worst))
            if tokens_file is not None:
                store.write_parquet(tokens_file)
        return result
    reference, candidate = (_on_base(model, base, precision) for model in (reference, candidate))
    documents = open_texts(texts, text_column=text_column, domain_column=domain_column)
    reading = documents.checked()
    wanted = _Wanted(documents, reading, context, stride, bos, together)
    with TokenStore() as store:
        found = Worst(worst)
        if in_turn or answers is not None:
            if noise:
                raise AnchorlabError("the noise floor needs the reference itself: leave in_turn and answers out")
            met = _in_turn(wanted, reference, candidate, precision, answers, store, found)
        else:
            met = _at_once(wanted, reference, candidate, precision, store, found, noise=noise)
        result = _result(wanted, met, store, found)
        if tokens_file is not None:
            store.write_parquet(tokens_file)
    return result


@dataclass(frozen=True)
class _Wanted:
    """The texts, and how they are to be read."""

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
class _Met:
    """What is known of the models and the run."""

    reference: str
    candidate: str
    precisions: tuple[str, str]
    tokenizer: Any
    plan: Plan
    notes: list[str]
    identical: bool
    noise: list[Any]


def _at_once(
    wanted: _Wanted,
    reference: str | Path | CausalLM,
    candidate: str | Path | CausalLM,
    precision: Precision,
    store: TokenStore,
    worst: Worst,
    *,
    noise: bool,
) -> _Met:
    """Both models answer side by side."""
    first, second = (_opened(model, precision) for model in (reference, candidate))
    notes = check_vocabularies(first, second)
    plan = wanted.plan(first.tokenizer, second.tokenizer, (first.limit, second.limit))
    device = find_device()
    with exact_arithmetic(device), lent(device, first.net, second.net):
        _score(plan, wanted, Live(first, device), Live(second, device), store, worst)
        floor = noise_floor(first, plan, device) if noise else []
    identical = first.precision == second.precision and _identical(first.net, second.net)
    precisions = first.precision, second.precision
    return _Met(first.source, second.source, precisions, first.tokenizer, plan, notes, identical, floor)


def is_base_file(model: str | Path | CausalLM) -> bool:
    """Whether a model is given as a base file of llama.cpp."""
    return not isinstance(model, CausalLM) and user_path(model).suffix == SUFFIX


def _with_base(file: BaseFile, candidate: CausalLM, together: int, store: TokenStore, worst: Worst) -> TokenComparison:
    """The candidate against a base file of llama.cpp, over its tokens; see ``base_reference``."""
    tokens, bos = file.tokens.astype(np.int64), candidate.tokenizer.bos_token_id
    begins = bos if bos is not None and tokens[0, 0] == bos else None
    answers = ModelAnswers(candidate, with_bos(tokens, bos))
    check_fits(answers, file.context, "candidate")
    if answers.vocabulary != file.vocabulary:
        raise AnchorlabError(
            f"{file.path} has a vocabulary of {file.vocabulary:,}, but {candidate.source} of {answers.vocabulary:,}: "
            "give two of one vocabulary"
        )
    count, device, cut = len(tokens), find_device(), 0

    def counting(reference: Any, logits: Any, true: Any) -> tuple[Any, Any]:
        nonlocal cut
        with lock:
            cut += cut_off(reference, true)
        return lumped(reference, logits, true)

    lock = threading.Lock()
    batches = in_batches(base_windows(file, answers.chunks), file.context * together)
    with exact_arithmetic(device), lent(device, candidate.net), progress_bar("comparing", count) as report:
        live = Live(candidate, device)
        score(batches, BaseAnswers(file), live, store, worst, lambda chunk: report(chunk + 1, {}), counting)
    texts = Texts(f"the tokens of {file.path}", lambda: iter(()))
    wanted = _Wanted(texts, Reading((None,) * count, ""), None, None, None, together)
    plan = Plan(texts, lambda text: np.empty(0, np.int64), file.context, file.context, begins)
    met = _Met(
        str(file.path),
        candidate.source,
        ("16-bit log-probabilities", candidate.precision),
        candidate.tokenizer,
        plan,
        [],
        identical=False,
        noise=[],
    )
    found = _result(wanted, met, store, worst)
    cautions = [
        "the base file holds 16 bits a log-probability, and what is 16 nats rarer than the likeliest token as one "
        "event, so that divergences are the least that it allows: compare the models themselves for more",
        "chunks are pieces of one text and not documents, so that intervals over them may be too narrow: compare "
        "the models themselves over documents, with --texts",
    ]
    if cut:
        cautions.append(
            f"the base file cuts off {cut:,} of {found.tokens:,} true tokens, which it holds as 16 nats rarer than the "
            "likeliest although they may be rarer, so ppl_reference is too small and ppl_ratio too large: compare the "
            "models themselves"
        )
    scoring = found.scoring.model_copy(update={"base_file": True})
    return found.model_copy(update={"scoring": scoring, "cautions": [*found.cautions, *cautions]})


def _in_turn(
    wanted: _Wanted,
    reference: str | Path | CausalLM,
    candidate: str | Path | CausalLM,
    precision: Precision,
    answers: str | Path | None,
    store: TokenStore,
    worst: Worst,
) -> _Met:
    """The reference answers into a file; then the candidate answers beside it."""
    device = find_device()
    with _place(answers) as file:
        if kind_at(file) is None:
            first = _opened(reference, precision)
            tokenizer = first.tokenizer
            if (early := _tokenizer_of(candidate)) is not None:
                check_vocabularies(first, CausalLM(nn.Module(), early, str(candidate)))
            plan = wanted.plan(tokenizer, tokenizer, (first.limit,))
            with exact_arithmetic(device), lent(device, first.net):
                described = _described(wanted, plan, first.source, first.precision, tokenizer)
                write_answers(file, first, plan.batches(), described | {"weights": _digest(first.net)})
            del first
            told = Stored.description(file)
        else:
            told = Stored.description(file)
            tokenizer = _tokenizer_behind(told, reference)
        second = _opened(candidate, precision)
        tokenizer = second.tokenizer if tokenizer is None else tokenizer
        source, digits = (told.get(name, "") for name in ("reference", "precision"))
        notes = check_vocabularies(CausalLM(nn.Module(), tokenizer, source), second)
        plan = wanted.plan(tokenizer, second.tokenizer, (second.limit,))
        stored = Stored(file, _described(wanted, plan, source, digits, tokenizer if "tokenizer" in told else None))
        with exact_arithmetic(device), lent(device, second.net):
            _score(plan, wanted, stored, Live(second, device), store, worst)
        stored.check_end()
        identical = told.get("weights") == _digest(second.net) and told.get("precision") == second.precision
    precisions = told["precision"], second.precision
    return _Met(told["reference"], second.source, precisions, tokenizer, plan, notes, identical, [])


def _tokenizer_behind(told: Mapping[str, str], reference: str | Path | CausalLM) -> Any:
    """The tokenizer whose tokens a kept file answers to, if the reference is there and has it; else None."""
    tokenizer = _tokenizer_of(reference)
    same = tokenizer is not None and told.get("tokenizer") in (None, tokenizer_hash(tokenizer))
    return tokenizer if same else None


@contextmanager
def _place(answers: str | Path | None) -> Iterator[Path]:
    """The file of answers that is named, or a temporary one."""
    if answers is not None:
        yield user_path(answers)
        return
    with tempfile.TemporaryDirectory(prefix="anchorlab-answers-") as folder:
        yield Path(folder) / "answers.safetensors"


def _described(wanted: _Wanted, plan: Plan, source: str, precision: str, tokenizer: Any) -> dict[str, str]:
    """What a file of answers says of itself: all that decides what is in it; older ones tell of no tokenizer."""
    return {
        **({} if tokenizer is None else {"tokenizer": tokenizer_hash(tokenizer)}),
        "reference": source,
        "precision": precision,
        "texts": wanted.reading.digest,
        "context": str(plan.context),
        "stride": str(plan.stride),
        "begins": str(plan.begins),
    }


def _score(plan: Plan, wanted: _Wanted, first: Answers, second: Answers, store: TokenStore, worst: Worst) -> None:
    with progress_bar("comparing", len(wanted.reading.domains)) as report:
        score(plan.batches(), first, second, store, worst, lambda document: report(document + 1, {}))
    if not store.tokens:
        raise AnchorlabError(
            f"no document of {wanted.texts.source} has two tokens, so that none follows another: give longer texts"
        )


def _result(wanted: _Wanted, met: _Met, store: TokenStore, worst: Worst) -> TokenComparison:
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
        cautions=cautions_of(tokens, measurements),
    )


def _opened(model: str | Path | CausalLM, precision: Precision) -> CausalLM:
    return model if isinstance(model, CausalLM) else open_causal(model, precision=precision)


def _on_base(model: str | Path | CausalLM, base: str | Path | None, precision: Precision) -> str | Path | CausalLM:
    """The model as it was given; an adapter is opened on the base that is named."""
    if base is None or isinstance(model, CausalLM) or not is_adapter(user_path(model)):
        return model
    return open_causal(model, precision=precision, base=base)


def _tokenizer_of(model: str | Path | CausalLM) -> Any:
    """A model's tokenizer without the model, where that is easy; else None."""
    if isinstance(model, CausalLM):
        return model.tokenizer
    folder = user_path(model)
    return open_tokenizer(folder) if (folder / "tokenizer.json").is_file() else None


def _identical(first: nn.Module, second: nn.Module) -> bool:
    """Whether all weights of two networks are equal."""
    one, other = _weights(first), _weights(second)
    return one.keys() == other.keys() and all(
        value.shape == other[name].shape and torch.equal(value, other[name].to(value.device))
        for name, value in one.items()
    )


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """The weights by name; quantised ones, under names of their own, as the numbers that they stand for."""
    plain = (Tensor, nn.Parameter)
    return dict(
        (name, value) if type(value) in plain else (f"{name} quantised", value.dequantize())
        for name, value in net.state_dict().items()
    )


def _digest(net: nn.Module) -> str:
    """A hash of all weights of a network."""
    digest = hashlib.sha256()
    for name, value in _weights(net).items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
