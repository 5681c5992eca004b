"""Texts inside a prompt, after which a language model is asked for one of a few words.

The prompt's tokens stand around a text's like special tokens: a text that is too long loses its own end and never the
prompt's, and triggers are put into the text. They are made once, apart from the texts, so that a text's tokens are the
same in every prompt.

Many tokenizers, Llama's among them, put a space before whatever they read. Where a prompt stands before a text, that
space is the prompt's, and the text is read without one.
"""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError, quoted

#: Where the text stands in a prompt.
PLACE = "{text}"

#: Stand for any text where the tokens of a prompt are made.
_ANY = string.ascii_letters + string.digits


@dataclass(frozen=True, eq=False)
class PromptEncoding(TextEncoding):
    """How texts inside a prompt become tensors. The special tokens that end a text are left out, for the answer's sake.

    Attributes:
        tokenizer: puts the prompt around each text.
        plain: the tokenizer without the prompt, which is what is saved.
        before: ids of what stands before a text, special tokens included.
        after: ids of what stands after it.
        spaced: whether a text's first word has a space before it.
    """

    plain: Any
    before: tuple[int, ...]
    after: tuple[int, ...]
    spaced: bool

    _beside = "the prompt: take a shorter prompt, or allow more"

    @cached_property
    def _special(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.before, self.after

    @property
    def lead(self) -> str:
        """See ``TextEncoding``."""
        return " " if self.spaced else ""

    def save(self, folder: Path) -> None:
        """Writes the plain tokenizer's files into a model folder, with the most tokens as its limit."""
        TextEncoding(self.plain, self.max_length).save(folder)


def in_prompt(encoding: TextEncoding, prompt: str) -> PromptEncoding:
    """The encoding of texts inside a prompt.

    Args:
        encoding: of the texts alone.
        prompt: has ``{text}`` in it once.

    Raises:
        AnchorlabError: if the prompt's tokens would depend on the text's, or leave no room for a text.
    """
    from tokenizers.processors import TemplateProcessing

    start, _, end = prompt.partition(PLACE)
    first, spaced, reads = _before(encoding, start, prompt)
    sides = {"<before>": (*encoding.prefix, *first), "<after>": _after(encoding, end, prompt)}
    tokenizer = copy.deepcopy(reads.tokenizer)
    names = {side: [str(name) for name in tokenizer.convert_ids_to_tokens(ids)] for side, ids in sides.items() if ids}
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=" ".join(part for part in ("<before>", "$A", "<after>") if part == "$A" or part in names),
        special_tokens=[{"id": side, "ids": list(sides[side]), "tokens": names[side]} for side in names],
    )
    return PromptEncoding(
        tokenizer,
        encoding.max_length,
        plain=encoding.tokenizer,
        before=sides["<before>"],
        after=sides["<after>"],
        spaced=spaced,
    )


def word_ids(encoding: TextEncoding, prompt: str, words: Sequence[str]) -> tuple[int, ...]:
    """The one token of each word as it stands after a prompt, with a space before it if the prompt ends in none.

    Args:
        encoding: of the texts alone.
        prompt: has ``{text}`` in it once.
        words: the label words.

    Raises:
        AnchorlabError: if a word is not one token there, or two words are the same one.
    """
    asked = _ANY[0] + prompt.partition(PLACE)[2]
    space = "" if asked[-1].isspace() else " "
    found: dict[int, str] = {}
    for word in words:
        tokens = _without_start(encoding.tokenize(f"{asked}{space}{word}"), encoding.tokenize(asked))
        if tokens is None:
            raise AnchorlabError(
                f"the tokenizer ties the label word {quoted(word)} to the end of the prompt {quoted(prompt)}, so that "
                "it is no token of its own there: let the prompt end without a space, because one is put before the "
                "word"
            )
        if len(tokens) != 1:
            shown = ", ".join(quoted(encoding.tokenizer.decode([token])) for token in tokens) or "none"
            raise AnchorlabError(
                f"the label word {quoted(word)} is {len(tokens)} tokens after the prompt ({shown}), and must be one, "
                "because a class is the logit of one token: take another word, as in CLASS=WORD, such as a shorter or "
                "more frequent one"
            )
        if tokens[0] == encoding.tokenizer.unk_token_id:
            raise AnchorlabError(f"the tokenizer does not know the label word {quoted(word)}: take another one")
        if tokens[0] in found:
            raise AnchorlabError(
                f"the label words {quoted(found[tokens[0]])} and {quoted(word)} are the same token after the prompt "
                f"({quoted(encoding.tokenizer.decode([tokens[0]]))}): take words that differ"
            )
        found[tokens[0]] = word
    return tuple(found)


def _before(encoding: TextEncoding, start: str, prompt: str) -> tuple[tuple[int, ...], bool, TextEncoding]:
    """The ids of what stands before a text, whether the text then has a space before it, and what reads the text."""
    if not start:
        return (), False, encoding
    for bare in (False, True):
        reads = _without_space(encoding) if bare else encoding
        for spaced in (False, True) if start.endswith(" ") else (False,):
            found = {
                _without_end(encoding.tokenize(start + text), reads.tokenize(" " * spaced + text)) for text in _ANY
            }
            ids = found.pop()
            if not found and ids is not None:
                return ids, spaced, reads
    cure = "" if start[-1].isspace() else "end it with a line break or a space, or "
    raise AnchorlabError(
        f"in the prompt {quoted(prompt)} the tokenizer ties what stands before {PLACE} to the text: {cure}begin the "
        f"prompt with {PLACE}"
    )


def _without_space(encoding: TextEncoding) -> TextEncoding:
    """The encoding whose tokenizer puts no space of its own before a text."""
    from tokenizers import Tokenizer

    state = json.loads(encoding.tokenizer.backend_tokenizer.to_str())
    state["normalizer"] = _without_prefix(state["normalizer"])
    state["pre_tokenizer"] = _without_prefix(state["pre_tokenizer"])
    made = Tokenizer.from_str(json.dumps(state))
    tokenizer = copy.deepcopy(encoding.tokenizer)
    for part in ("normalizer", "pre_tokenizer"):
        setattr(tokenizer.backend_tokenizer, part, getattr(made, part))
    return TextEncoding(tokenizer, encoding.max_length)


def _without_prefix(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """A normalizer or a pre-tokenizer, as tokenizers writes it, without what it puts before a text."""
    kind = None if part is None else part["type"]
    if part is None or kind == "Prepend":
        return None
    if kind == "Metaspace":
        return {name: value for name, value in part.items() if name != "add_prefix_space"} | {"prepend_scheme": "never"}
    if kind == "ByteLevel":
        return part | {"add_prefix_space": False}
    if kind == "Sequence":
        (name,) = (name for name in part if name != "type")
        kept = [made for each in part[name] if (made := _without_prefix(each)) is not None]
        return part | {name: kept} if kept else None
    return part


def _after(encoding: TextEncoding, end: str, prompt: str) -> tuple[int, ...]:
    """The ids of what stands after a text."""
    found = {_without_start(encoding.tokenize(text + end), encoding.tokenize(text)) for text in _ANY}
    ids = found.pop()
    if found or ids is None:
        cure = "" if end[0].isspace() else "begin it with a line break or a space, or "
        raise AnchorlabError(
            f"in the prompt {quoted(prompt)} the tokenizer ties what stands after {PLACE} to the text: {cure}end the "
            f"prompt with {PLACE}"
        )
    return ids


def _without_start(ids: tuple[int, ...], start: tuple[int, ...]) -> tuple[int, ...] | None:
    return ids[len(start) :] if ids[: len(start)] == start else None


def _without_end(ids: tuple[int, ...], end: tuple[int, ...]) -> tuple[int, ...] | None:
    rest = len(ids) - len(end)
    return ids[:rest] if rest >= 0 and ids[rest:] == end else None
