"""The tokens of many texts are kept in the cache, so that no process tokenises again what another one has tokenised.

An entry's key is a hash of the texts, of the tokenizer with its limit, and of the code. A text that is refused leaves
no entry, because nothing was made of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from anchorlab.cache.store import LEAST, Entry, damaged, digest, find, keep
from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import CONTINUED
from anchorlab.data.ragged import Ragged
from anchorlab.data.reader import reader

#: Characters that make fewer bytes of tokens than an entry has at least.
_FEW = LEAST // 8

#: Name of an input, without ``continued_``, to its type.
_TYPES = {"input_ids": torch.int32, "attention_mask": torch.bool, "word_starts": torch.bool}


def encoded_once(encoding: TextEncoding, texts: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
    """What ``encoding.encode_counting`` makes of texts: from the cache, or made and kept there.

    Args:
        encoding: makes the tokens; those of tokenizers that are not of ``transformers`` are not kept, because nobody
            knows what decides them.
        texts: the texts.

    Raises:
        AnchorlabError: as ``encode_counting`` does.
    """
    if sum(map(len, texts)) < _FEW or not type(encoding.tokenizer).__module__.startswith("transformers."):
        return encoding.encode_counting(texts)
    key = _key(encoding, texts)
    entry = find("tokens", key)
    if entry is not None:
        try:
            return _opened(entry, len(texts))
        except (ValueError, KeyError, TypeError) as error:
            damaged(entry.place, str(error))
    inputs, tokens = encoding.encode_counting(texts)
    entry = _keep(key, inputs, tokens, encoding)
    return (inputs, tokens) if entry is None else _opened(entry, len(texts))


def _key(encoding: TextEncoding, texts: Sequence[str]) -> str:
    written = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", errors="surrogatepass")
        written.update(len(content).to_bytes(8, "little") + content)
    return digest("tokens", reader(), _settings(encoding), written.hexdigest())


def _settings(encoding: TextEncoding) -> list[Any]:
    """All of an encoding that decides tokens, as it is now; its fingerprint was made when somebody first asked for it.

    How long texts were cut or padded when the tokenizer was last used stands before its first token, and is left out.
    """
    tokenizer = encoding.tokenizer
    state = tokenizer.backend_tokenizer.to_str().partition('"added_tokens"')[2]
    return [
        f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}",
        hashlib.sha256(state.encode()).hexdigest(),
        encoding.max_length,
        encoding.pad,
        *(encoding.prefix, encoding.suffix, encoding.ids_depend_on_space, *([encoding.lead] if encoding.lead else [])),
        tokenizer.truncation_side,
        getattr(tokenizer, "split_special_tokens", None),
    ]


def _keep(key: str, inputs: Mapping[str, Tensor], tokens: Tensor, encoding: TextEncoding) -> Entry | None:
    arrays: dict[str, Any] = {"tokens": tokens.numpy()}
    value: dict[str, Any] = {}
    for name, tensor in inputs.items():
        if isinstance(tensor, Ragged):
            arrays[f"{name}.stored"], arrays[f"{name}.sizes"] = tensor.stored.numpy(), tensor.sizes.numpy()
            value[name] = {"width": tensor.shape[1], "padding": tensor.padding}
        else:
            arrays[name] = tensor.numpy()
            value[name] = None
    what = f"tokens of {len(tokens):,} texts, at most {encoding.max_length:,}"
    return keep("tokens", key, arrays, value, what=what, source=type(encoding.tokenizer).__name__)


def _opened(entry: Entry, count: int) -> tuple[dict[str, Tensor], Tensor]:
    """The inputs and the tokens of each text in an entry.

    Raises:
        ValueError, KeyError, TypeError: if it holds something else.
    """
    arrays = {name: torch.from_numpy(array) for name, array in entry.arrays.items()}
    inputs = {name: _input(arrays, name, ragged) for name, ragged in entry.value.items()}
    wrong = any(value.dtype != _TYPES[name.removeprefix(CONTINUED)] for name, value in inputs.items())
    shapes = {tuple(value.shape) for value in inputs.values()}
    tokens = arrays["tokens"]
    if wrong or len(shapes) != 1 or tokens.dtype != torch.int64 or tokens.shape != (count,):
        raise ValueError("its tokens are none")
    if {name.removeprefix(CONTINUED) for name in inputs} != set(_TYPES) or next(iter(shapes))[0] != count:
        raise ValueError("it lacks tokens")
    return inputs, tokens


def _input(arrays: Mapping[str, Tensor], name: str, ragged: Mapping[str, int] | None) -> Tensor:
    if ragged is None:
        if arrays[name].ndim != 2:
            raise ValueError(f"{name} is no table")
        return arrays[name]
    stored, sizes = arrays[f"{name}.stored"], arrays[f"{name}.sizes"]
    width, padding = ragged["width"], ragged["padding"]
    if stored.ndim != 1 or sizes.ndim != 1 or sizes.dtype != torch.int64 or type(padding) is not int:
        raise ValueError(f"{name} has no rows")
    if len(sizes) == 0 or sizes.min() < 0 or sizes.max() > width or sizes.sum() != len(stored):
        raise ValueError(f"the rows of {name} have other lengths")
    return Ragged(stored, sizes, width, padding)
