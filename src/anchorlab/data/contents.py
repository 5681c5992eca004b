"""A hash of what a split holds: another order, another pixel, word or name of a class is another content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

from torch import Tensor

from anchorlab.data.derived import derived
from anchorlab.data.split import RawData, Split, index_hash

#: The hashes of data that are resident, so that nothing is hashed twice: data to what was hashed of them.
_KNOWN: WeakKeyDictionary[RawData, dict[tuple[str, str], str]] = WeakKeyDictionary()

#: The same for how many examples of the test part stand in the training part, and how many stand twice in that.
_REPEATED: WeakKeyDictionary[RawData, int] = WeakKeyDictionary()
_TWICE: WeakKeyDictionary[RawData, int] = WeakKeyDictionary()


def content_hashes(raw: RawData, indices: dict[str, Tensor]) -> dict[str, str]:
    """Split name to the SHA-256 of what it holds, see ``content_hash``.

    Args:
        raw: the data.
        indices: split name to int64 indices into the training part; for ``test``, all of the test part.
    """
    known = _KNOWN.setdefault(raw, {})
    keys = {name: (name, index_hash(chosen)) for name, chosen in indices.items()}
    if any(key not in known for key in keys.values()):

        def derive() -> dict[str, str]:
            parts = {name: raw.test if name == "test" else raw.train for name in indices}
            return {name: content_hash(_there(part), raw.classes, indices[name]) for name, part in parts.items()}

        def valid(value: object) -> bool:
            return isinstance(value, dict) and set(value) == set(indices) and all(map(_is_hash, value.values()))

        hashes = derived(raw, ("contents", sorted(keys.values())), derive, valid)
        known |= {keys[name]: hashes[name] for name in indices}
    return {name: known[key] for name, key in keys.items()}


def content_hash(part: Split, classes: Sequence[str], indices: Tensor) -> str:
    """SHA-256 over some examples in their order: of each its content, and then the name of its class.

    The content is an image's pixels, uint8 in the order C, H, W, after these three sizes; or a text in UTF-8 after the
    number of its bytes. A name is written like a text. Sizes and numbers are int64, little-endian. The number of a
    class does not count.

    Args:
        part: the examples.
        classes: names of the classes, by label.
        indices: which examples, int64 ``[M]``.
    """
    digest = hashlib.sha256()
    names = [_written(name) for name in classes]
    labels = part.labels[indices].tolist()
    for pieces, label in zip(_contents(part, indices.tolist()), labels, strict=True):
        for piece in pieces:
            digest.update(piece)
        digest.update(names[label])
    return digest.hexdigest()


def repeated_examples(raw: RawData) -> int:
    """How many examples of the test part have the content of an example of the training part, whatever their class."""
    if raw.test is None:
        return 0
    if raw not in _REPEATED:

        def derive() -> int:
            known = set(example_hashes(raw.train))
            return sum(digest in known for digest in example_hashes(_there(raw.test)))

        _REPEATED[raw] = derived(raw, ("repeated",), derive, lambda value: type(value) is int)
    return _REPEATED[raw]


def examples_twice(raw: RawData) -> int:
    """How many different contents stand in the training part more than once, whatever their class."""
    if raw not in _TWICE:

        def derive() -> int:
            return sum(count > 1 for count in Counter(example_hashes(raw.train)).values())

        _TWICE[raw] = derived(raw, ("twice",), derive, lambda value: type(value) is int)
    return _TWICE[raw]


def _there(part: Split | None) -> Split:
    assert part is not None
    return part


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64


def example_hashes(part: Split) -> Iterator[bytes]:
    """A hash of the content of each example, whatever its class: equal for equal pixels or texts."""
    for pieces in _contents(part, list(range(len(part)))):
        digest = hashlib.blake2b(digest_size=16)
        for piece in pieces:
            digest.update(piece)
        yield digest.digest()


def _contents(part: Split, indices: list[int]) -> Iterator[tuple[bytes | memoryview, ...]]:
    """The content of each example, in pieces."""
    if part.texts is not None:
        for index in indices:
            yield (_written(part.texts[index]),)
        return
    pixels = part.inputs["pixel_values"].cpu().contiguous().numpy()
    sizes = b"".join(_number(size) for size in pixels.shape[1:])
    for index in indices:
        yield sizes, pixels[index].data


def _written(text: str) -> bytes:
    content = text.encode("utf-8", errors="surrogatepass")
    return _number(len(content)) + content


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")
