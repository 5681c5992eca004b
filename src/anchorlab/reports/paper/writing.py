"""Sentences in LaTeX and in Markdown alike: words are escaped, and citations name keys of one bibliography."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from anchorlab.reports.paper.bibliography import Bibliography
from anchorlab.statistics.escaping import markdown
from anchorlab.statistics.latex import latex


class Words(ABC):
    """Writes words and citations.

    Args:
        bibliography: notes what is cited.
    """

    def __init__(self, bibliography: Bibliography) -> None:
        self.bibliography = bibliography

    @abstractmethod
    def text(self, words: str) -> str:
        """Words as they are."""

    @abstractmethod
    def _citation(self, keys: list[str]) -> str:
        """The citation of keys, with what stands before it."""

    def cite(self, cites: Iterable[str]) -> str:
        """A citation behind a word; nothing if nothing is cited."""
        keys = self.bibliography.keys(cites)
        return self._citation(keys) if keys else ""


class LatexWords(Words):
    r"""Words for LaTeX, with ``\cite``."""

    def text(self, words: str) -> str:
        """Words as they are."""
        return latex(words)

    def _citation(self, keys: list[str]) -> str:
        return rf"~\cite{{{','.join(keys)}}}"


class MarkdownWords(Words):
    """Words for Markdown, with citations as pandoc reads them."""

    def text(self, words: str) -> str:
        """Words as they are."""
        return markdown(words)

    def _citation(self, keys: list[str]) -> str:
        return f" [{'; '.join(f'@{key}' for key in keys)}]"
