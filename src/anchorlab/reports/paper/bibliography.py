"""The papers that a text cites: a key for each, and a BibTeX file of those that were cited."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from anchorlab.errors import AnchorlabError, quoted

_KEY = re.compile(r"@\w+\s*\{\s*([^\s,{}\"#%'()=~\\]+)\s*,")


@cache
def known_entries() -> dict[str, str]:
    """The entries of references.bib by their keys."""
    file = files("anchorlab.reports") / "assets" / "references.bib"
    text = file.read_text(encoding="utf-8")
    return {_key(entry): entry for entry in re.split(r"\n\n(?=@)", text.strip())}


class Bibliography:
    """Collects what is cited, in the order of the first citation.

    Args:
        version: of anchorlab, for the entry that cites it.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self._entries: dict[str, str] = {}

    def keys(self, cites: Iterable[str]) -> list[str]:
        """The keys of citations, which are noted.

        Args:
            cites: keys of references.bib, or whole BibTeX entries of third parties.

        Raises:
            AnchorlabError: for what is neither.
        """
        keys = []
        for cited in cites:
            own = cited.lstrip().startswith("@")
            if not own and cited not in known_entries():
                raise AnchorlabError(
                    f"{quoted(cited)} is no reference: cites holds keys of anchorlab's references.bib, or BibTeX "
                    "entries, which begin with @"
                )
            key = _key(cited) if own else cited
            entry = cited.strip() if own else known_entries()[cited].replace("VERSION", self.version)
            self._entries.setdefault(key, entry)
            keys.append(key)
        return list(dict.fromkeys(keys))

    def text(self) -> str:
        """The BibTeX file of everything that was cited."""
        return "\n\n".join(self._entries.values()) + "\n"


def _key(entry: str) -> str:
    found = _KEY.match(entry.lstrip())
    if found is None:
        raise AnchorlabError(f"{quoted(entry[:60])} is no BibTeX entry: it begins as in '@article{{key, author = …'")
    return found[1]
