"""Writes the three forms, each whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from anchorlab.errors import AnchorlabError
from anchorlab.files import check_writable, kind_at, write_atomically
from anchorlab.reports.acceptance.junit import junit_xml
from anchorlab.reports.acceptance.record import Acceptance
from anchorlab.reports.acceptance.sarif import sarif_text
from anchorlab.reports.acceptance.summary import summary_text

#: The variable that names the file to which all steps of a job of GitHub's add their summaries.
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def check_places(places: Mapping[str, Path | None]) -> None:
    """Refuses places before any work is done.

    Args:
        places: option to the file that it names; None if it was not given.

    Raises:
        AnchorlabError: if a file could not be written, or two options name the same one.
    """
    taken: dict[Path, str] = {}
    for option, file in places.items():
        if file is None:
            continue
        check_writable(file)
        first = taken.setdefault(file.resolve(), option)
        if first != option:
            raise AnchorlabError(f"{first} and {option} both name {file}: give each a file of its own")


def write_acceptance(
    acceptance: Acceptance, *, junit: Path | None = None, sarif: Path | None = None, summary: Path | None = None
) -> None:
    """Writes the forms that are wanted. Each file is replaced, but the step summary of GitHub's is added to.

    Args:
        acceptance: what was judged.
        junit: the file of JUnit XML.
        sarif: the file of SARIF 2.1.0.
        summary: the file of Markdown.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    if junit is not None:
        write_atomically(junit, junit_xml(acceptance))
    if sarif is not None:
        write_atomically(sarif, sarif_text(acceptance))
    if summary is not None:
        write_atomically(summary, _before(summary) + summary_text(acceptance).encode())


def _before(summary: Path) -> bytes:
    """What other commands of the step wrote into its summary, with an empty line; nothing for any other file."""
    shared = os.environ.get(STEP_SUMMARY)
    if not shared or summary.resolve() != Path(shared).resolve() or kind_at(summary) is None:
        return b""
    former = summary.read_bytes()
    return former.rstrip(b"\n") + b"\n\n" if former.strip() else b""
