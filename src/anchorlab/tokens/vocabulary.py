"""Whether two models read and write the same tokens: refused where they do not, and said where they differ beside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from anchorlab.errors import AnchorlabError, first_line, quoted
from anchorlab.models.causal import CausalLM
from anchorlab.statistics.arrays import Integers

#: Special tokens by the names of transformers.
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")

_REMEDY = "compare a model with its own versions, which share one tokenizer"


def check_vocabularies(reference: CausalLM, candidate: CausalLM) -> list[str]:
    """Refuses models of different vocabularies, and says in sentences which special tokens and templates differ.

    Raises:
        AnchorlabError: naming the first id whose token differs.
    """
    first, second = reference.tokenizer.get_vocab(), candidate.tokenizer.get_vocab()
    if first != second:
        tokens = [{number: token for token, number in vocabulary.items()} for vocabulary in (first, second)]
        number = min(each for each in {*tokens[0], *tokens[1]} if tokens[0].get(each) != tokens[1].get(each))
        one, other = (quoted(each[number], 60) if number in each else "no token" for each in tokens)
        raise AnchorlabError(
            f"the vocabularies differ: id {number} is {one} in {reference.source}, which has {len(first):,} tokens, "
            f"but {other} in {candidate.source}, which has {len(second):,}: {_REMEDY}"
        )
    return [*_differences(reference.tokenizer, candidate.tokenizer)]


def _differences(reference: Any, candidate: Any) -> Iterator[str]:
    for name in _SPECIAL:
        one, other = getattr(reference, name, None), getattr(candidate, name, None)
        if one != other:
            yield (
                f"the {name.replace('_', ' ')} is {quoted(one, 40)} in the reference and {quoted(other, 40)} in the "
                "candidate; the reference's counts here"
            )
    if getattr(reference, "chat_template", None) != getattr(candidate, "chat_template", None):
        yield "the chat templates differ; none is applied here, so that chats may differ more than this comparison says"


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 of what decides which ids a text gets; how texts were cut or padded last is of no meaning."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        told: Any = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    else:
        told = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def encoder(reference: Any, candidate: Any) -> Callable[[str], Integers]:
    """How texts become ids, without special tokens: by the reference's tokenizer, to which the candidate's must agree.

    Args:
        reference: its tokenizer.
        candidate: its tokenizer.

    Returns:
        A function from a text to int64 ids. It raises AnchorlabError for a text that the tokenizers read otherwise.
    """
    if _description(reference) is not None and _description(reference) == _description(candidate):
        return lambda text: _ids(reference, text)

    def both(text: str) -> Integers:
        first, second = _ids(reference, text), _ids(candidate, text)
        if not np.array_equal(first, second):
            shorter = min(len(first), len(second))
            unequal = np.flatnonzero(first[:shorter] != second[:shorter])
            place = int(unequal[0]) if len(unequal) else shorter
            one, other = (_shown(tokenizer, ids, place) for tokenizer, ids in ((reference, first), (candidate, second)))
            raise AnchorlabError(
                f"the tokenizers read {quoted(text[:40], 60)} differently: token {place} is {one} by the reference's "
                f"and {other} by the candidate's: {_REMEDY}"
            )
        return first

    return both


def parting(*tokenizers: Any) -> Callable[[str, str], bool]:
    """Whether all of some tokenizers read two texts, one right after the other, as they read each of them alone.

    The ids must be equal. And nothing may reach over the place between the texts: the tokenizer's own rule splits them
    into words there, or its merges make no token of the two characters that meet. A tokenizer that marks the beginning
    of each text as a word's, as older ones of Llama, says no; and so does one without fast code.

    Returns:
        A function of both texts. Of long ones what stands around the place is enough, if that is between two words:
        the rules read from left to right, and look ahead no further than through white space.
    """
    return lambda first, second: all(_apart(tokenizer, first, second) for tokenizer in tokenizers)


def _apart(tokenizer: Any, first: str, second: str) -> bool:
    if not getattr(tokenizer, "is_fast", False):
        return False
    whole, left, right = (_read(tokenizer, text).encodings[0] for text in (first + second, first, second))
    place = len(left.ids)
    if whole.ids != left.ids + right.ids or not 0 < place < len(whole.ids):
        return False
    if whole.word_ids[place - 1] != whole.word_ids[place]:
        return True
    meeting = left.tokens[-1][-1] + right.tokens[0][0]
    merges = type(tokenizer.backend_tokenizer.model).__name__ == "BPE"
    return merges and not any(meeting in token for token in tokenizer.get_vocab())


def begins_with(tokenizer: Any) -> int | None:
    """The id that a tokenizer puts before a text by itself; None if it puts nothing there."""
    plain, whole = _ids(tokenizer, "a"), tokenizer("a", verbose=False)["input_ids"]
    if len(whole) > len(plain) and list(whole[1 : len(plain) + 1]) == plain.tolist():
        return int(whole[0])
    return None


def _ids(tokenizer: Any, text: str) -> Integers:
    return np.asarray(_read(tokenizer, text)["input_ids"], dtype=np.int64)


def _read(tokenizer: Any, text: str) -> Any:
    """A text as the tokenizer reads it, without special tokens, and without masks, which take memory."""
    masks = {"return_attention_mask": False, "return_token_type_ids": False}
    try:
        return tokenizer(text, add_special_tokens=False, verbose=False, **masks)
    except Exception as error:  # tokenizers raise what they like
        raise AnchorlabError(
            f"the tokenizer cannot read {quoted(text[:40], 60)} ({first_line(error)}): give another text, or the "
            "tokenizer that the model was trained with"
        ) from error


def _description(tokenizer: Any) -> str | None:
    """All that a fast tokenizer does, as text; None for one that does not say it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return None if backend is None else str(backend.to_str())


def _shown(tokenizer: Any, ids: Integers, place: int) -> str:
    if place >= len(ids):
        return "nothing"
    return f"{quoted(tokenizer.decode([int(ids[place])]), 40)} (id {int(ids[place])})"
