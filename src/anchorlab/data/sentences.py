"""Texts of which some are phrases of others: which are whole sentences, and a cut that parts these with their phrases.

SST-2's training part holds phrases beside the sentences that they were taken from. A cut text by text would let
the owner train on phrases of sentences that are measured later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from anchorlab.data.by_hash import first_by_hash
from anchorlab.data.cut import Fractions, cut_splits
from anchorlab.data.derived import derived
from anchorlab.data.reading import PartReading
from anchorlab.data.split import RawData, Split

#: Of few whole sentences, at most this share becomes a further part of the test part.
_LARGEST_SHARE = 0.3


def whole_sentences(texts: Sequence[str]) -> list[int]:
    """Where the texts stand that are no run of words of another text, ascending; of equal texts, the first.

    Words are what stands between white space.
    """
    known: dict[str, int] = {}
    for index, text in enumerate(texts):
        known.setdefault(_plain(text), index)
    phrases: set[str] = set()
    whole = []
    for text in sorted(known, key=lambda text: -text.count(" ")):  # a text is no phrase of a shorter one
        if text not in phrases:
            whole.append(known[text])
            phrases.update(run for run in _runs(text) if run in known)
    return sorted(whole)


def phrases_of(sentences: Iterable[str], texts: Sequence[str]) -> Tensor:
    """Which texts are runs of words of one of the sentences, or one of them: bool ``[N]``."""
    plain = [_plain(text) for text in texts]
    known = set(plain)
    found = {run for sentence in sentences for run in _runs(_plain(sentence)) if run in known}
    return torch.tensor([text in found for text in plain], dtype=torch.bool)


def cut_by_sentence(raw: RawData, fractions: Fractions, *, seed: int) -> dict[str, Tensor]:
    """Cuts texts into owner, held-out, selection and defender; the owner has no phrase of the others' sentences.

    The whole sentences are cut class by class (``cut_splits``). The owner gets all texts, phrases too, that are no
    phrase of a sentence of another split. What is such a phrase is in no split.

    Args:
        raw: the data, of texts.
        fractions: shares of the whole sentences.
        seed: decides which sentence goes where.

    Returns:
        Split name to ascending int64 indices into the training part; no two have an index in common.
    """
    texts = raw.train.texts or ()
    sentences = _whole(raw)
    parts = cut_splits(raw.train.labels[sentences], fractions, seed=seed)
    cut = {name: sentences[chosen] for name, chosen in parts.items()}
    others = [texts[index] for name, chosen in cut.items() if name != "owner" for index in chosen.tolist()]
    return cut | {"owner": (~phrases_of(others, texts)).nonzero().flatten()}


def with_further_test(raw: RawData, count: int) -> RawData:
    """The same with some whole sentences of the training part in the test part, behind what it has.

    All that is a phrase of a sentence of the test part leaves the training part. A hash of each sentence decides, so
    that their order does not matter.

    Args:
        raw: the data, of texts, with a test part.
        count: number of sentences; at most three tenths of those that are there.
    """
    assert raw.test is not None
    texts, sentences = raw.train.texts or (), _whole(raw)
    count = min(count, int(_LARGEST_SHARE * len(sentences)))
    first = first_by_hash([_plain(texts[index]) for index in sentences.tolist()], count)
    further = raw.train.select(sentences[first])
    test = Split({}, torch.cat([raw.test.labels, further.labels]), (*(raw.test.texts or ()), *(further.texts or ())))
    leaving = phrases_of(test.texts or (), texts)
    train = raw.train.select((~leaving).nonzero().flatten())
    changed = replace(raw, train=train, test=test, reading=_noted(raw.reading, count, int(leaving.sum())))
    return changed.known_as(raw.origin, "further test", count)


def _noted(reading: Collection[PartReading], count: int, left: int) -> tuple[PartReading, ...]:
    """How the two parts were read, with what became of them here; nothing where nobody noted it."""
    if not reading:
        return ()
    train, test = reading
    return (
        replace(train, notes=(*train.notes, f"{left:,} sentences and phrases of test sentences left out")),
        replace(test, notes=(*test.notes, f"the last {count:,} are whole sentences of the part '{train.part}'")),
    )


def _whole(raw: RawData) -> Tensor:
    """The whole sentences of the training part, int64, kept beside the data in the cache."""
    found = derived(
        raw,
        ("whole sentences",),
        lambda: whole_sentences(raw.train.texts or ()),
        lambda value: isinstance(value, list) and all(type(index) is int for index in value),
    )
    return torch.tensor(found, dtype=torch.int64)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _runs(text: str) -> Iterator[str]:
    """All runs of words of a text with one space between two words, the text itself among them."""
    words = text.split(" ")
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            yield " ".join(words[start:end])
