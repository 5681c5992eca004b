"""Which documents an audit of language models makes updates of, and which it measures on: never the same ones.

Documents are told apart by their SHA-256, so that the choice needs no seed, does not depend on their order, and puts
equal documents on one side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from anchorlab.errors import AnchorlabError, shortened
from anchorlab.tokens.documents import Document, Texts

#: Fewest different documents on each side.
FEWEST = 2


@dataclass(frozen=True)
class AuditTexts:
    """The documents of an audit, each of which counts once.

    Attributes:
        update: of these benign updates are made; None where none are made.
        measured: on these all models are measured.
        words: how they were told apart, for the result.
    """

    update: Texts | None
    measured: Texts
    words: str


def halves_of(texts: Texts, most: int) -> AuditTexts:
    """One half of the documents to make updates of, and the other one to measure on.

    Args:
        texts: the audited texts.
        most: most documents that are measured, those of largest hashes.

    Raises:
        AnchorlabError: if there are too few different documents.
    """
    own = _hashes(texts)
    half = len(own) // 2
    if half < FEWEST:
        raise AnchorlabError(
            f"{shortened(texts.source)} holds {_documents(len(own))}, which are too few to make updates of one half "
            f"and measure on the other: give {2 * FEWEST} or more, better 40, or others for the updates, with "
            "--update-texts"
        )
    measured = own[max(half, len(own) - most) :]
    words = (
        f"Updates were made of {_documents(half)}, one half by hash; all models were measured on "
        f"{_documents(len(measured))} of the other half."
    )
    return AuditTexts(_chosen(texts, own[:half]), _chosen(texts, measured), words)


def beside(texts: Texts, others: Texts, most: int) -> AuditTexts:
    """Other texts to make updates of, without those documents that are measured; see ``halves_of``."""
    alone = measured_alone(texts, most)
    update = {*_hashes(others)} - {*_hashes(texts)}
    if len(update) < FEWEST:
        raise AnchorlabError(
            f"{shortened(others.source)} holds {_documents(len(update))} that are not among the audited ones, which "
            f"are too few to make updates of: give {FEWEST} or more, better 20"
        )
    words = (
        f"Updates were made of {_documents(len(update))} of {shortened(others.source)} that are not among the audited "
        f"ones. {alone.words}"
    )
    return AuditTexts(_chosen(others, update), alone.measured, words)


def measured_alone(texts: Texts, most: int) -> AuditTexts:
    """Texts to measure on, where no update is made of any; see ``halves_of``."""
    own = _hashes(texts)
    if len(own) < FEWEST:
        raise AnchorlabError(
            f"{shortened(texts.source)} holds {_documents(len(own))}, which are too few to measure on: give {FEWEST} "
            "or more, better 20"
        )
    measured = own[-most:]
    return AuditTexts(None, _chosen(texts, measured), f"All models were measured on {_documents(len(measured))}.")


def _hashes(texts: Texts) -> list[bytes]:
    """The hashes of the different documents, in order."""
    found = sorted({_hash(document) for document in texts.read()})
    if not found:
        texts.checked()  # which refuses them
    return found


def _chosen(texts: Texts, hashes: Collection[bytes]) -> Texts:
    """Those documents whose hashes are chosen, each once."""

    def read() -> Iterator[Document]:
        left = {*hashes}
        for document in texts.read():
            own = _hash(document)
            if own in left:
                left.discard(own)
                yield document

    return Texts(texts.source, read, texts.text_column, texts.domain_column)


def _documents(count: int) -> str:
    return f"{count:,} different document{'s' * (count != 1)}"


def _hash(document: Document) -> bytes:
    return hashlib.sha256(document.text.encode("utf-8", errors="surrogatepass")).digest()
