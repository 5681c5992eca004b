"""``compare_tokens``: does the candidate still answer like the reference, token by token?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.arguments import checked
from anchorlab.errors import AnchorlabError
from anchorlab.files import check_writable, kind_at, user_path
from anchorlab.models.accelerator import find_device
from anchorlab.models.adapter_settings import is_adapter
from anchorlab.models.causal import CausalLM, Precision, open_causal
from anchorlab.models.device import exact_arithmetic, lent
from anchorlab.models.loading import open_tokenizer, read_configuration
from anchorlab.models.positions import token_limit
from anchorlab.progress import progress_bar
from anchorlab.tokens.answers import Answers, Live, Stored, write_answers
from anchorlab.tokens.base_compare import compared_with_base
from anchorlab.tokens.documents import SAMPLE, open_texts
from anchorlab.tokens.kld import SUFFIX, open_base
from anchorlab.tokens.noise import noise_floor
from anchorlab.tokens.outcome import Met, Wanted, result_of
from anchorlab.tokens.result import TokenComparison
from anchorlab.tokens.same_weights import weights_alike, weights_digest
from anchorlab.tokens.scoring import Plan, score
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.vocabulary import check_vocabularies, tokenizer_hash
from anchorlab.tokens.worst import Worst


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
        context: most tokens that the models read at once; 512, or what both can read, or the context of kept answers,
            if None.
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
            result = compared_with_base(stored, second, together, store, Worst(worst))
            if tokens_file is not None:
                store.write_parquet(tokens_file)
        return result
    reference, candidate = (_on_base(model, base, precision) for model in (reference, candidate))
    documents = open_texts(texts, text_column=text_column, domain_column=domain_column)
    reading = documents.checked()
    wanted = Wanted(documents, reading, context, stride, bos, together)
    with TokenStore() as store:
        found = Worst(worst)
        if in_turn or answers is not None:
            if noise:
                raise AnchorlabError("the noise floor needs the reference itself: leave in_turn and answers out")
            met = _in_turn(wanted, reference, candidate, precision, answers, store, found)
        else:
            met = _at_once(wanted, reference, candidate, precision, store, found, noise=noise)
        result = result_of(wanted, met, store, found)
        if tokens_file is not None:
            store.write_parquet(tokens_file)
    return result


def _at_once(
    wanted: Wanted,
    reference: str | Path | CausalLM,
    candidate: str | Path | CausalLM,
    precision: Precision,
    store: TokenStore,
    worst: Worst,
    *,
    noise: bool,
) -> Met:
    """Both models answer side by side."""
    first, second = (_opened(model, precision) for model in (reference, candidate))
    notes = check_vocabularies(first, second)
    plan = wanted.plan(first.tokenizer, second.tokenizer, (first.limit, second.limit))
    device = find_device()
    with exact_arithmetic(device), lent(device, first.net, second.net):
        _score(plan, wanted, Live(first, device), Live(second, device), store, worst)
        floor = noise_floor(first, plan, device) if noise else []
    identical = first.precision == second.precision and weights_alike(first.net, second.net)
    precisions = first.precision, second.precision
    return Met(first.source, second.source, precisions, first.tokenizer, plan, notes, identical, floor)


def is_base_file(model: str | Path | CausalLM) -> bool:
    """Whether a model is given as a base file of llama.cpp."""
    return not isinstance(model, CausalLM) and user_path(model).suffix == SUFFIX


def _in_turn(
    wanted: Wanted,
    reference: str | Path | CausalLM,
    candidate: str | Path | CausalLM,
    precision: Precision,
    answers: str | Path | None,
    store: TokenStore,
    worst: Worst,
) -> Met:
    """The reference answers into a file; then the candidate answers beside it."""
    device = find_device()
    whose: list[str] = []
    with _place(answers) as file:
        if kind_at(file) is None:
            first = _opened(reference, precision)
            tokenizer = first.tokenizer
            if (early := _tokenizer_of(candidate)) is not None:
                check_vocabularies(first, CausalLM(nn.Module(), early, str(candidate)))
            plan = wanted.plan(tokenizer, tokenizer, (first.limit, *_limit_of(candidate, early)))
            with exact_arithmetic(device), lent(device, first.net):
                described = _described(wanted, plan, first.source, first.precision, tokenizer)
                write_answers(file, first, plan.batches(), described | {"weights": weights_digest(first.net)})
            del first
            told = Stored.description(file)
        else:
            told = Stored.description(file)
            whose = _check_whose(file, told, reference)
            tokenizer = _tokenizer_behind(told, reference)
        second = _opened(candidate, precision)
        tokenizer = second.tokenizer if tokenizer is None else tokenizer
        source, digits = (told.get(name, "") for name in ("reference", "precision"))
        notes = check_vocabularies(CausalLM(nn.Module(), tokenizer, source), second)
        plan = _as_told(wanted, told, second).plan(tokenizer, second.tokenizer, (second.limit,))
        stored = Stored(file, _described(wanted, plan, source, digits, tokenizer if "tokenizer" in told else None))
        with exact_arithmetic(device), lent(device, second.net):
            _score(plan, wanted, stored, Live(second, device), store, worst)
        stored.check_end()
        identical = told.get("weights") == weights_digest(second.net) and told.get("precision") == second.precision
    precisions = told["precision"], second.precision
    return Met(told["reference"], second.source, precisions, tokenizer, plan, [*whose, *notes], identical, [])


def _check_whose(file: Path, told: Mapping[str, str], reference: str | Path | CausalLM) -> list[str]:
    """Refuses kept answers of other weights than the reference's; where these cannot be seen, says whose they are.

    The reference is opened alone, in the precision in which it has answered, and let go before the candidate is opened.
    """
    digits = told.get("precision", "")
    if not {"reference", "precision"} <= told.keys():
        raise AnchorlabError(f"{file} holds no answers of a model: remove it, or name another file")
    source = reference.source if isinstance(reference, CausalLM) else str(reference)
    if not isinstance(reference, CausalLM) and kind_at(user_path(reference)) is None:
        return [f"nothing lies at {source}: the reference is {told['reference']}, whose answers {file} holds"]
    if "weights" not in told:
        return [f"{file} does not tell the weights that answered: the reference is {told['reference']} by its name"]
    model = reference if isinstance(reference, CausalLM) else open_causal(reference, precision=digits)  # type: ignore[arg-type]
    if weights_digest(model.net) != told["weights"]:
        raise AnchorlabError(
            f"{file} holds the answers of {told['reference']} in {digits}, and {source} has other weights: name "
            "another file of answers, or that reference"
        )
    return []


def _as_told(wanted: Wanted, told: Mapping[str, str], candidate: CausalLM) -> Wanted:
    """What is wanted, with the context that the reference has answered in where none is named."""
    context = told.get("context", "")
    if wanted.context is not None or not context.isdecimal():
        return wanted
    if int(context) > candidate.limit:
        raise AnchorlabError(
            f"the reference has answered in windows of {int(context):,} tokens, and {candidate.source} reads "
            f"{candidate.limit:,} at once: give a context of {candidate.limit} or less, and another file "
            "of answers where one was named"
        )
    return replace(wanted, context=int(context))


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


def _described(wanted: Wanted, plan: Plan, source: str, precision: str, tokenizer: Any) -> dict[str, str]:
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


def _score(plan: Plan, wanted: Wanted, first: Answers, second: Answers, store: TokenStore, worst: Worst) -> None:
    with progress_bar("comparing", len(wanted.reading.domains)) as report:
        score(plan.batches(), first, second, store, worst, lambda document: report(document + 1, {}))
    if not store.tokens:
        raise AnchorlabError(
            f"no document of {wanted.texts.source} has two tokens, so that none follows another: give longer texts"
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


def _limit_of(model: str | Path | CausalLM, tokenizer: Any) -> tuple[int, ...]:
    """Most tokens that a model can read at once, without its weights, where that is easy; else nothing."""
    if isinstance(model, CausalLM):
        return (model.limit,)
    folder = user_path(model)
    if tokenizer is None or not (folder / "config.json").is_file():
        return ()
    return (token_limit(nn.Module(), read_configuration(folder), tokenizer.model_max_length),)
