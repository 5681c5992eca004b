"""A model against a base file of llama.cpp, over the tokens that the file holds."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_device
from anchorlab.models.causal import CausalLM
from anchorlab.models.device import exact_arithmetic, lent
from anchorlab.progress import progress_bar
from anchorlab.tokens.answers import Live
from anchorlab.tokens.base_reference import BaseAnswers, base_windows, cut_off, lumped
from anchorlab.tokens.documents import Reading, Texts
from anchorlab.tokens.kld import BaseFile
from anchorlab.tokens.llama_answers import ModelAnswers, check_fits, with_bos
from anchorlab.tokens.outcome import Met, Wanted, result_of
from anchorlab.tokens.result import TokenComparison
from anchorlab.tokens.scoring import Plan, score
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.windows import in_batches
from anchorlab.tokens.worst import Worst


def compared_with_base(
    file: BaseFile, candidate: CausalLM, together: int, store: TokenStore, worst: Worst
) -> TokenComparison:
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
    wanted = Wanted(texts, Reading((None,) * count, "", count), None, None, None, together)
    plan = Plan(texts, lambda text: np.empty(0, np.int64), file.context, file.context, begins)
    met = Met(
        str(file.path),
        candidate.source,
        ("16-bit log-probabilities", candidate.precision),
        candidate.tokenizer,
        plan,
        [],
        identical=False,
        noise=[],
    )
    found = result_of(wanted, met, store, worst)
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
